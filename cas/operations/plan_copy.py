"""What a copy would do: chunks are looked up as a copy does it, but none is read or sent."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cas.model.ids import VersionDigest
from cas.model.names import ArtifactName, Ref
from cas.model.progress import Cancel
from cas.objects.base_version import Surroundings, read_surroundings
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.choose_versions import ChosenVersion, choose_versions
from cas.operations.copy_outcomes import CopyOptions, CopyPlan, PlannedCopy
from cas.operations.match_pages import BasePages, files_to_carry, match_pages
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.store_copy import facts_of, open_dedup, read_threads
from cas.operations.store_tree import open_journal
from cas.operations.stored_tree import StoredTree
from cas.transfer.carry_batches import BATCH_BYTES, iter_batches
from cas.transfer.dedup import Deduplicator, Facts
from cas.transfer.rows import EntryColumns
from cas.transfer.stream import no_tree
from cas.transfer.target_lookup import TargetLookup, count_missing


def plan_copy(
    source: StoreParts, target: StoreParts, refs: Sequence[str] | None, options: CopyOptions
) -> CopyPlan:
    """Return what `copy_versions` with the same arguments would do now. Raises as that does."""
    chosen = choose_versions(source, target, refs, options)
    threads = read_threads(source, target, options.jobs)
    with ThreadPoolExecutor(threads, thread_name_prefix="cas-plan") as pool:
        planning = _Planning(source, target, options, pool)
        try:
            planned = tuple(planning.plan(one) for one in chosen)
        finally:
            planning.close()
    return CopyPlan(
        source=source.backend.url,
        target=target.backend.url,
        versions=planned,
        new_bytes=sum(one.new_bytes for one in planned),
        stored_bytes=sum(one.stored_bytes for one in planned),
    )


class _Planning:
    """Plans versions one after another: what one would bring the next finds there."""

    def __init__(
        self,
        source: StoreParts,
        target: StoreParts,
        options: CopyOptions,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._source = source
        self._target = target
        self._force = options.force
        self._cancel = options.cancel or Cancel()
        self._pool = pool
        journal = open_journal(target)
        session = WriterSession(target.backend)
        self._stored = StoredTree(
            target, session, no_tree(), journal, target.clock.now_ns(), takes_notes=False
        )
        # Stands for every blob that would be sent.
        self._coming = self._stored.blobs.reserve()
        self._opened: tuple[Deduplicator, Facts] | None = None
        self._found: dict[ArtifactName, Surroundings] = {}
        self._newest: dict[ArtifactName, tuple[int, VersionDigest]] = {}
        self._next: dict[ArtifactName, int] = {}

    def close(self) -> None:
        if self._stored.journal is not None:
            self._stored.journal.close()

    def plan(self, chosen: ChosenVersion) -> PlannedCopy:
        self._cancel.check()
        number = chosen.existing
        if number is None:
            self._look_around(chosen.name)
            newest = self._newest.get(chosen.name)
            if newest is not None and newest[1] == chosen.digest and not self._force:
                number = newest[0]
        if number is not None:
            return self._planned(chosen, number, created=False)
        new_bytes, stored_bytes = self._count(chosen)
        number = self._next[chosen.name]
        self._next[chosen.name] += 1
        self._newest[chosen.name] = number, chosen.digest
        return self._planned(
            chosen, number, created=True, new_bytes=new_bytes, stored_bytes=stored_bytes
        )

    def _look_around(self, name: ArtifactName) -> None:
        if name in self._found:
            return
        found = read_surroundings(self._target.backend, self._target.pages, name)
        self._found[name] = found
        self._next[name] = found.listing.next_slot
        record = found.newest if found.base is not None else None
        if record is not None:
            self._newest[name] = record.number, record.digest

    def _count(self, chosen: ChosenVersion) -> tuple[int, int]:
        found = self._found[chosen.name]
        if self._opened is None:
            facts = facts_of(self._target, found)
            self._opened = open_dedup(self._target, self._stored, facts, self._pool), facts
        pinned = pin_version(self._source, Ref(chosen.artifact, number=chosen.number))
        return pinned.pages.following_moves(lambda: self._count_missing(pinned, found))

    def _count_missing(self, pinned: PinnedVersion, found: Surroundings) -> tuple[int, int]:
        assert self._opened is not None
        dedup, facts = self._opened
        pages, _ = match_pages(
            (pinned.record, pinned.pages),
            BasePages(self._target, found, facts),
            EntryColumns(pinned.record.totals.entries),
            self._stored.blobs,
            facts,
            self._pool,
        )
        batches = iter_batches(
            files_to_carry(pages), self._source.tables, self._pool, limit_bytes=BATCH_BYTES
        )
        return count_missing(batches, TargetLookup(dedup), self._coming)

    @staticmethod
    def _planned(
        chosen: ChosenVersion,
        number: int,
        *,
        created: bool,
        new_bytes: int = 0,
        stored_bytes: int = 0,
    ) -> PlannedCopy:
        return PlannedCopy(
            source=chosen.source_ref,
            artifact=str(chosen.name),
            number=number,
            digest=chosen.digest,
            created=created,
            totals=chosen.totals,
            new_bytes=new_bytes,
            stored_bytes=stored_bytes,
        )
