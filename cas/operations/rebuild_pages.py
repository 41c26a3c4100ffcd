"""Pages and roots that cannot be read, made anew from a copy of the version: another version of the
same digest, here or in another store, or a folder that holds the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from cas.errors import CasError, CorruptionError, NotFoundError, UnsupportedError
from cas.format.manifest import Root
from cas.format.version import VersionRecord
from cas.model.entry import EntryKind
from cas.model.names import Ref
from cas.objects.base_version import Surroundings
from cas.objects.collection_log import list_log
from cas.objects.manifests import write_meta_blob
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.objects.versions import list_slots
from cas.operations.copy_meter import CopyMeter
from cas.operations.copy_outcomes import CopyOptions
from cas.operations.lay_out import lay_out_manifest
from cas.operations.outcomes import PutOptions
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.repair_outcomes import RepairOptions
from cas.operations.repair_sources import StoreSource
from cas.operations.store_copy import store_copy
from cas.operations.store_tree import store_tree
from cas.operations.stored_tree import StoredTree
from cas.transfer.tree import scan_tree


class PageRebuilder:
    """Makes copies of versions whose pages are lost. Not thread-safe.

    Args:
        bad_blobs: what is damaged in the store.
        stores: where a version of the same digest may be.
    """

    def __init__(
        self,
        parts: StoreParts,
        session: WriterSession,
        bad_blobs: frozenset[bytes],
        stores: Sequence[StoreSource],
        options: RepairOptions,
    ) -> None:
        self._parts = parts
        self._session = session
        self._bad_blobs = bad_blobs
        self._stores = stores
        self._options = options

    def copy(self, record: VersionRecord) -> tuple[bool, Root | None]:
        """Store a copy of a version whole; tell whether there is one to copy, and its root.

        On a dry run nothing is stored, and there is no root.

        Raises:
            BackendError: the storage failed.
        """
        for source, pinned in self._same_versions(record):
            try:
                pinned.pages.verify_digest()
                if not self._options.apply:
                    return True, None
                root = self._store(record, self._copied(source.parts, pinned))
            except (CorruptionError, NotFoundError, UnsupportedError):
                continue  # damaged there, too, or gone
            if root is not None:
                return True, root
        for path in self._options.paths:
            if self._may_be(record, path):
                is_same, root = self._from_folder(record, path)
                if is_same:
                    return True, root
        return False, None

    def _same_versions(self, record: VersionRecord) -> Iterator[tuple[StoreSource, PinnedVersion]]:
        for source in self._stores:
            for version in source.versions:
                is_same = version.record.session == record.session and version.record == record
                if version.record.digest == record.digest and not is_same:
                    ref = Ref(version.record.artifact, number=version.record.number)
                    try:
                        yield source, pin_version(source.parts, ref)
                    except CasError:
                        continue  # hidden, or damaged there, too

    def _found(self, record: VersionRecord) -> Surroundings:
        log = list_log(self._parts.backend)
        listing = list_slots(self._parts.backend, record.artifact)
        return Surroundings(log, listing, None, bad_blobs=self._bad_blobs)

    @contextmanager
    def _copied(self, source: StoreParts, pinned: PinnedVersion) -> Iterator[StoredTree]:
        options = CopyOptions(jobs=self._options.jobs, cancel=self._options.cancel)
        meter = CopyMeter(None, [pinned.record.totals])
        found = self._found(pinned.record)
        target = replace(self._parts, state_dir=None)
        with store_copy((source, pinned), target, options, self._session, found, meter) as stored:
            yield stored

    @staticmethod
    def _may_be(record: VersionRecord, path: str) -> bool:
        """Whether a folder holds as much as a version; reading all of it decides."""
        tree = scan_tree([path])
        files = tree.kinds == EntryKind.FILE
        totals = record.totals
        return (int(files.sum()), len(tree.paths), int(tree.sizes[files].sum())) == (
            totals.files,
            totals.entries,
            totals.size,
        )

    def _from_folder(self, record: VersionRecord, path: str) -> tuple[bool, Root | None]:
        options = PutOptions(provenance=False, jobs=self._options.jobs, cancel=self._options.cancel)
        parts = replace(self._parts, state_dir=None)
        found = self._found(record)
        storing = store_tree(parts, path, options, self._session, found, notes=False)
        if not self._options.apply:
            with storing as stored:
                return stored.stated_for(record) is not None, None
        root = self._store(record, storing)
        return root is not None, root

    def _store(
        self, record: VersionRecord, storing: AbstractContextManager[StoredTree]
    ) -> Root | None:
        """Store what a tree lacks, and its pages and root; None if it is not the version's."""
        with storing as stored:
            stated = stored.stated_for(record)
            if stated is None:
                return None
            stored.announce(0)
            manifest = lay_out_manifest(self._session.id, self._found(record), stored, stated)
            for blob in manifest.new_blobs:
                write_meta_blob(self._parts.backend, blob)
            return self._parts.pages.read_root(manifest.root)
