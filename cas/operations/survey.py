"""What a collector looks at: the store as it is, and who needs what of it.

Spec: specs/protocol/collection.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from cas.format.version import MoveKind
from cas.model.progress import Progress
from cas.objects.closure import READERS, ClosureReader, Unreadable
from cas.objects.id_sets import Ids, unite, within, without
from cas.objects.parts import StoreParts
from cas.objects.stored_blobs import StoredBlobs, list_stored_blobs
from cas.objects.versions import list_slots, read_last_move, read_root_location
from cas.objects.workers import Workers
from cas.operations.brakes import BrakeKind
from cas.operations.collection_outcomes import CollectOptions, Space
from cas.operations.find_live import FoundVersion, LiveSearch
from cas.operations.settle_sessions import Grace

NOTHING = Space()


class Survey:
    """One collector's view of a store. For one thread; threads of its own read for it."""

    def __init__(self, parts: StoreParts, options: CollectOptions) -> None:
        threads = options.threads
        if threads is None:
            threads = parts.jobs if parts.backend.capabilities.local else READERS
        self.parts = parts
        self.options = options
        self.backend = parts.backend
        self.grace = Grace(parts, options.grace_seconds)
        self.workers = Workers(threads, "cas-gc", options.cancel)
        self.closures = ClosureReader(parts, threads=threads, cancel=options.cancel)
        self.live = self._new_search()

    def look_anew(self) -> None:
        """Begin a new search for what is needed: what one found is needed for as long as it goes on."""
        self.live = self._new_search()

    def _new_search(self) -> LiveSearch:
        return LiveSearch(
            self.parts,
            self.workers,
            self.closures,
            ignore_unreadable=BrakeKind.UNREADABLE_PAGE in self.options.overrides,
        )

    def step(self, phase: str, done: Space = NOTHING, total: Space = NOTHING) -> None:
        """Tell how far it is; stop here if that was asked for."""
        options = self.options
        if options.cancel is not None:
            options.cancel.check()
        if options.progress is not None:
            options.progress(
                Progress(
                    phase=phase,
                    done_files=done.blobs,
                    total_files=total.blobs,
                    done_bytes=done.bytes,
                    total_bytes=total.bytes,
                )
            )

    def tell_deleted(self, done: Space, total: Space) -> None:
        """Tell how much of what is dead is deleted; stop here if that was asked for."""
        self.step("delete", done, total)

    def list_blobs(self) -> StoredBlobs:
        """List every blob there is."""
        return list_stored_blobs(self.backend, self.workers)

    def needs_of(self, versions: Sequence[FoundVersion]) -> Ids:
        """Return what versions need, as far as it can be read."""
        roots = [one.root for one in versions]
        closure = self.closures.of_locations(roots, unreadable=Unreadable.IGNORE)
        return unite(closure.data_ids, closure.meta_ids)

    def missing(
        self, versions: Sequence[FoundVersion], needed: Ids, listed: StoredBlobs
    ) -> list[tuple[FoundVersion, Ids]]:
        """Return which versions need blobs that are not there, and these.

        Args:
            needed: what the versions need together.
            listed: a listing; what it does not show may be younger, so another look is taken.
        """
        lacking = without(needed, listed.ids)
        if len(lacking):
            lacking = without(lacking, self.list_blobs().ids)
        if len(lacking) == 0:
            return []
        found = []
        for one in versions:
            gone = within(lacking, self.needs_of([one]))
            if len(gone) and not self._went(one):
                found.append((one, gone))
        return found

    def _went(self, version: FoundVersion) -> bool:
        """Tell whether somebody purged it meanwhile, or moved it to another place, so that a collection
        may have taken what it needed. Where it lies then is looked at by the run.
        """
        record = version.record
        listing = list_slots(self.backend, record.artifact)
        if read_last_move(self.backend, listing, record.number) is MoveKind.PURGE:
            return True
        return read_root_location(self.backend, listing, record) != version.root

    def close(self) -> None:
        """End the threads."""
        self.workers.close()
        self.closures.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
