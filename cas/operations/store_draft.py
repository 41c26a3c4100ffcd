"""W0 of a draft: store what is new in it, and make the pages that differ from those of its base.

Pages that no edit touches are shared as they are, and mostly not even read: the root of the base has
what the digest needs of them. Where it does not, being of digest 1, or where more must be known of
what is kept, each is passed over once, and not held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import ConflictError, CorruptionError, ErrorCode, NotFoundError
from cas.format.manifest import (
    INLINE_LIMIT,
    MODE_EXECUTABLE,
    DigestBuilder,
    GroupDigestBuilder,
    Page,
    PageGroups,
    digest_part,
    encode_page,
    root_page_location,
)
from cas.format.version import VersionRecord
from cas.model.entry import EntryKind, path_to_text
from cas.model.ids import PageId
from cas.model.progress import Cancel
from cas.model.units import format_some
from cas.objects.base_version import BaseVersion, Surroundings, read_surroundings
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.commit import NotCommitted
from cas.operations.damaged_extents import damaged_entries, damaged_extents
from cas.operations.draft_edits import DraftSource, LocalEntry
from cas.operations.merge_pages import BaseRow, MergedEntry, merge_pages
from cas.operations.outcomes import PutOptions
from cas.operations.pages_to_read import Reading, pages_to_read
from cas.operations.pass_pages import EntryCounts, PassedPage, map_ahead
from cas.operations.store_copy import facts_of
from cas.operations.store_tree import open_journal
from cas.operations.stored_tree import KeptPage, NewPage, StoredTree
from cas.operations.upload_tree import TreeUpload
from cas.operations.version_pages import VersionPages
from cas.transfer.reuse import page_blob_rows
from cas.transfer.rows import EntryColumns
from cas.transfer.tree import LocalTree

# New files further apart than so many others are likely to lie in other blobs.
NEAR_FILES = 1024


def look_from_base(parts: StoreParts, source: DraftSource, found: Surroundings) -> Surroundings:
    """Return surroundings whose base is that of the draft, which need not be the newest version nor
    one of the same artifact. It is read after the log, so all of it is known with that stamp.

    Raises:
        NotFoundError: the base was deleted meanwhile.
        CorruptionError: it is damaged.
    """
    record = source.base
    if record is None or (found.base is not None and found.base.record == record):
        return found
    base = read_surroundings(parts.backend, parts.pages, record.artifact, number=record.number).base
    if base is None:
        _ = VersionPages(parts, record, record.root).root  # tells of damage, if it is that
        raise _deleted(record)
    return replace(found, base=base)


@contextmanager
def store_draft(
    parts: StoreParts,
    source: DraftSource,
    options: PutOptions,
    session: WriterSession,
    found: Surroundings,
    *,
    notes: bool = True,
) -> Iterator[StoredTree]:
    """Store the new content of a draft, and give its pages. See `store_tree`.

    Args:
        found: as `look_from_base` returns it.

    Raises:
        IncompleteError: some files could not be read.
        NotCommitted: what is kept was moved meanwhile, and its old place is gone; try again.
        ConflictError: what is kept of the base is being collected: the base was deleted.
        CorruptionError: what is kept of the base is damaged.
    """
    started_ns = parts.clock.now_ns()
    with ExitStack() as open_things:
        drafting = _Drafting(parts, source, found)
        journal = open_journal(parts)
        if journal is not None:
            open_things.callback(journal.close)
        stored = StoredTree(parts, session, drafting.tree, journal, started_ns, takes_notes=notes)
        drafting.take_over(stored)
        drafting.upload(stored, options, open_things)
        drafting.make_pages(stored)
        yield stored


class _Drafting:
    """One pass over a draft: merge it with its base, upload what is new, make the pages."""

    def __init__(self, parts: StoreParts, source: DraftSource, found: Surroundings) -> None:
        self._parts = parts
        self._found = found
        self._facts = facts_of(parts, found)
        self._usable = found.usable_pages
        # What the log check of an earlier try found; damage is looked at by itself.
        self._bad_blobs = found.bad_blobs - found.damage.bad_blobs
        self._base = None if source.base is None else found.base
        self._base_pages = None if self._base is None else _pages_of(parts, self._base)
        self._groups = None if self._base is None else self._base.root.groups
        self._group_starts = np.zeros(0) if self._groups is None else self._groups.starts
        self._gone = EntryCounts()
        self._merged = list(merge_pages(self._base_pages, source.edits, self._note_gone))
        self._reading = pages_to_read(self._merged, self._groups_to_keep())
        changed = [page for page in self._merged if not isinstance(page, int)]
        self._entries = [entry for page in changed for entry in page]
        self.tree = _tree_of(self._entries)
        self._columns = EntryColumns(len(self._entries))
        self._columns.sizes[:] = self.tree.sizes
        self._columns.modes[:] = self.tree.modes

    def take_over(self, stored: StoredTree) -> None:
        """Say where entries of the base lie that stand in new pages."""
        by_page: dict[int, tuple[Page, list[int], list[int]]] = {}
        for row, entry in enumerate(self._entries):
            if isinstance(entry.origin, BaseRow):
                page = entry.origin.page
                _, page_rows, rows = by_page.setdefault(id(page), (page, [], []))
                page_rows.append(entry.origin.row)
                rows.append(row)
        for page, page_rows, rows in by_page.values():
            blob_rows = page_blob_rows(page, stored.blobs, self._facts.stamp)
            of, to = np.array(page_rows, np.int64), np.array(rows, np.int64)
            self._columns.copy_rows(page, of, to, blob_rows)

    def upload(self, stored: StoredTree, options: PutOptions, open_things: ExitStack) -> None:
        """Store the content that is new."""
        entries, sizes = self._entries, self.tree.sizes
        rows = [row for row, one in enumerate(entries) if isinstance(one.origin, LocalEntry)]
        if not rows:
            return
        stored.reads_index = stored.is_worth_requests(int(sizes[rows].sum()))
        cancel = options.cancel or Cancel()
        upload = TreeUpload(self._parts, options, cancel, self._facts, stored, self._columns)
        open_things.enter_context(upload)
        if int(sizes[rows].max()) > INLINE_LIMIT:  # others stand in the pages themselves
            upload.load_known(self._found.base, _spans(entries, rows))
        upload.run(rows, None)

    def make_pages(self, stored: StoredTree) -> None:
        """Make the new pages, pass over the others, and tell what the version holds."""
        stored.read_kept = lambda pages: self._read_ahead(stored, pages)
        start = 0
        work: list[int | tuple[int, int]] = []
        for page in self._merged:
            if isinstance(page, int):
                work.append(page)
            else:
                work.append((start, start + len(page)))
                start += len(page)

        def make(part: int | tuple[int, int]) -> PassedPage:
            return self._kept(stored, part) if isinstance(part, int) else self._new(stored, *part)

        builder = GroupDigestBuilder()
        older = DigestBuilder() if self._base is not None and self._groups is None else None
        for passed in map_ahead(make, work, is_local=self._is_local):
            stored.pages.append(passed.page)
            passed.add_to(builder)
            if older is not None and passed.part is not None:
                older.add_part(passed.part)
        stored.stated = builder.stated()
        stored.older = None if older is None else older.stated()
        come = EntryCounts()
        come.add(self.tree.kinds, self._columns.sizes)
        before = stored.totals if self._base is None else self._base.root.totals
        stored.totals = come.after(before, self._gone)

    def _note_gone(self, page: Page) -> None:
        self._gone.add(page.kinds, page.sizes)

    def _groups_to_keep(self) -> PageGroups | None:
        """Return the groups of the base; None if all its pages are to be read, because it has none,
        or because it must be known what each page needs.
        """
        found = self._found
        if found.bad_blobs or found.damage.blobs or found.log.open_runs:
            return None
        return self._groups

    def _new(self, stored: StoredTree, start: int, stop: int) -> PassedPage:
        page = self._columns.page(start, stop, self.tree.paths, self.tree.kinds, stored.blobs)
        self._check_usable(page)
        rows = self._columns.blob_rows(start, stop).tolist()
        stamp = min((stored.blobs.ref(row).stamp for row in rows), default=self._facts.stamp)
        return _new_page(page, stamp)

    def _kept(self, stored: StoredTree, number: int) -> PassedPage:
        assert self._base is not None
        root, stamp, reading = self._base.root, self._facts.stamp, self._reading[number]
        page_id = root_page_location(root, number).page_id
        if reading is Reading.NOTHING:
            first, entries = root.first_paths[number], int(root.page_entries[number])
            kept = KeptPage(page_id, first, entries, number, None, stamp)
            return PassedPage(kept, None, self._known_groups(number))
        page = self._read(stored, number)
        self._check_usable(page)
        if page_id.raw not in self._usable:
            return _new_page(page, stamp)
        # Copied: a view would hold the whole page.
        blob_ids = page.blob_ids.copy()
        kept = KeptPage(page_id, page.paths[0], len(page.paths), number, blob_ids, stamp)
        known = self._known_groups(number) if reading is Reading.TAIL else None
        return PassedPage(kept, digest_part(page), known)

    def _known_groups(self, number: int) -> tuple[NDArray[np.uint8], bool]:
        assert self._groups is not None
        start, stop = self._group_starts[number : number + 2].tolist()
        return self._groups.digests[start:stop], self._groups.is_end(number)

    def _read(self, stored: StoredTree, number: int) -> Page:
        """Return just the page that is kept, and not what became of it if it was moved meanwhile: the
        blobs behind it are those that the new version needs.
        """
        assert self._base is not None
        assert self._base_pages is not None
        location = root_page_location(self._base.root, number)
        # What this machine put lies here already.
        here = None if stored.journal is None else stored.journal.find_page(location.page_id)
        if here is not None:
            return here
        try:
            return self._parts.pages.read_page(location)
        except CorruptionError as error:
            if error.code is not ErrorCode.MISSING_OBJECT:
                raise
            _ = self._base_pages.page(number)  # tells if the base is gone or damaged
            raise NotCommitted(frozenset({location.blob_id.raw})) from error

    def _read_ahead(self, stored: StoredTree, pages: Sequence[KeptPage]) -> Iterator[Page]:
        def read(page: KeptPage) -> Page:
            return self._read(stored, page.number)

        return map_ahead(read, pages, is_local=self._is_local)

    @property
    def _is_local(self) -> bool:
        return self._parts.backend.capabilities.local

    def _check_usable(self, page: Page) -> None:
        """Refuse what cannot be relied on: nobody here has the content, to store it again."""
        damage = self._found.damage.blobs
        extents = damaged_extents(page, damage) if damage else ()
        if len(extents):
            rows = damaged_entries(page, np.asarray(extents, np.int64)).tolist()
            paths = format_some([path_to_text(page.paths[row]) for row in rows])
            raise CorruptionError(
                f"the base of this draft is damaged at {paths}",
                code=ErrorCode.DIGEST_MISMATCH,
                hint="cas repair may heal it; or replace or remove these files in the draft",
            )
        ids = page.blob_ids
        bad = self._bad_blobs
        is_bad = bool(bad) and any(blob_id.tobytes() in bad for blob_id in ids)
        if is_bad or self._facts.is_condemned(ids).any():
            raise ConflictError(
                "a collection is deleting what this draft keeps of its base",
                code=ErrorCode.LOST_RACE,
                hint="see whether the base was deleted, and commit again when the collection is over",
            )


def _new_page(page: Page, stamp: int) -> PassedPage:
    content = encode_page(page)
    page_id = PageId(blake3(content).digest())
    return PassedPage(NewPage(page_id, content, page, stamp), digest_part(page))


def _pages_of(parts: StoreParts, base: BaseVersion) -> VersionPages:
    return VersionPages(parts, base.record, base.root_location)


def _tree_of(entries: Sequence[MergedEntry]) -> LocalTree:
    """Return the entries as a tree, so that those that are new can be read as any other's."""
    count = len(entries)
    kinds, modes = np.full(count, EntryKind.DIRECTORY, np.uint8), np.zeros(count, np.uint8)
    numbers = np.zeros((4, count), np.int64)
    linked: dict[bytes, bytes] = {}
    for row, entry in enumerate(entries):
        origin = entry.origin
        if isinstance(origin, BaseRow):
            kinds[row] = origin.page.kinds[origin.row]
            numbers[0, row] = entry.size
        elif isinstance(origin, LocalEntry):
            kinds[row] = origin.kind
            modes[row] = MODE_EXECUTABLE if origin.executable else 0
            numbers[:, row] = origin.stamp
            linked[entry.path] = origin.local
    return LocalTree(
        key=b"",  # the journal keeps nothing of it
        bases={},
        paths=[entry.path for entry in entries],
        kinds=kinds,
        modes=modes,
        sizes=numbers[0],
        mtimes=numbers[1],
        ctimes=numbers[2],
        inodes=numbers[3],
        linked=linked,
    )


def _spans(entries: Sequence[MergedEntry], rows: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """Return the spans of paths at which new content is, for what the base has there."""
    spans: list[tuple[int, int]] = []
    for row in rows:
        if spans and row - spans[-1][1] <= NEAR_FILES:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((row, row))
    return [(entries[first].path, entries[last].path) for first, last in spans]


def _deleted(record: VersionRecord) -> NotFoundError:
    ref = f"{record.artifact}:v{record.number}"
    return NotFoundError(
        f"{ref}, which this draft is based on, was deleted meanwhile",
        code=ErrorCode.VERSION_DELETED,
        hint=f"cas restore {ref} brings it back while it is in the trash",
    )
