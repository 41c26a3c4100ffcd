"""The pages of a version that is to be copied, matched with those that the target has already.

Entries that the target's newest version holds at the same path lie there already; a page that holds
just the same entries is shared as it is. Only the rest has to be carried.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import CasError, CorruptionError, ErrorCode
from cas.format.manifest import DigestCheck, Page, StatedDigest, has_same_entries
from cas.format.version import VersionRecord
from cas.model.entry import EntryKind, Totals, path_to_text
from cas.model.ids import PageId
from cas.objects.base_version import Surroundings
from cas.objects.blob_list import BlobList
from cas.objects.parts import StoreParts
from cas.operations.damaged_extents import damaged_extents
from cas.operations.version_pages import PageContents, VersionPages
from cas.transfer.carry_batches import CarriedFile
from cas.transfer.dedup import Facts
from cas.transfer.reuse import page_blob_rows
from cas.transfer.rows import EntryColumns

PAGES_AHEAD = 32

Int64s = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class CopiedPage:
    """A page of the source; its entries are rows `start` and following of the version.

    Attributes:
        to_carry: rows of the page whose content has to be carried.
        shared: the page of the target that holds just the same, if there is one.
    """

    page: Page
    start: int
    to_carry: list[int] = field(default_factory=list)
    shared: tuple[PageId, Page] | None = None

    @property
    def stop(self) -> int:
        """Where the entries of the next page begin."""
        return self.start + len(self.page.paths)


class BasePages:
    """The pages of the target's newest version, as far as they may be relied on. Thread-safe."""

    def __init__(self, parts: StoreParts, found: Surroundings, facts: Facts) -> None:
        self._pages = parts.pages
        self._found = found
        self._facts = facts
        self._usable = found.usable_pages

    def covering(self, page: Page) -> list[tuple[PageId, Page]]:
        """Return the pages that hold paths between the first and the last of `page`."""
        base = self._found.base
        if base is None:
            return []
        found = []
        for location in base.pages_between([(page.paths[0], page.paths[-1])]):
            if location.page_id.raw not in self._usable:
                continue
            try:
                candidate = self._pages.read_page(location)
            except CasError:
                continue  # damaged: what it holds is carried anew
            if self._is_usable(candidate):
                found.append((location.page_id, candidate))
        return found

    def _is_usable(self, page: Page) -> bool:
        """Tell whether no blob of a page is condemned or was found bad."""
        ids = page.blob_ids
        if len(ids) == 0:
            return True
        bad = self._facts.bad_blobs
        if bad and any(blob_id.tobytes() in bad for blob_id in ids):
            return False
        damage = self._found.damage.blobs
        if damage and len(damaged_extents(page, damage)):
            return False
        return not self._facts.is_condemned(ids).any()


def match_pages(
    source: tuple[VersionRecord, VersionPages],
    base: BasePages,
    columns: EntryColumns,
    blobs: BlobList,
    facts: Facts,
    pool: ThreadPoolExecutor,
) -> tuple[list[CopiedPage], StatedDigest]:
    """Read the pages of a version, check that they are its own, and fill the columns of all entries
    but those that have to be carried. Return the pages, and what a root says of their digest.

    Raises:
        CorruptionError: the pages are not what the version's digest says.
    """
    record, pages = source
    matched: list[CopiedPage] = []
    stated = pages.root.stated
    check = DigestCheck(stated)
    counts = np.zeros(4, np.int64)
    size = start = 0
    for page, candidates in _read_ahead(pages, base, pool):
        one = CopiedPage(page, start)
        if one.stop > record.totals.entries:
            raise _wrong_pages(record)
        check.add(page)
        counts += np.bincount(page.kinds, minlength=4)
        size += int(page.sizes[page.kinds == EntryKind.FILE].sum())
        _match(one, candidates, columns, blobs, facts.stamp)
        matched.append(one)
        start = one.stop
    files, symlinks, directories, externals = map(int, counts)
    held = Totals(
        files=files, symlinks=symlinks, directories=directories, externals=externals, size=size
    )
    if not check.fits() or held != record.totals:
        raise _wrong_pages(record)
    return matched, stated


def files_to_carry(pages: list[CopiedPage]) -> Iterator[CarriedFile]:
    """Yield the files that have to be carried, in path order."""
    for one in pages:
        if not one.to_carry:
            continue
        page = one.page
        contents = PageContents(page)
        sizes = page.sizes.tolist()
        for row in one.to_carry:
            yield CarriedFile(
                one.start + row,
                page.paths[row],
                sizes[row],
                page.hashes[row].tobytes(),
                contents.extents(row),
            )


def _read_ahead(
    pages: VersionPages, base: BasePages, pool: ThreadPoolExecutor
) -> Iterator[tuple[Page, list[tuple[PageId, Page]]]]:
    def read(number: int) -> tuple[Page, list[tuple[PageId, Page]]]:
        page = pages.page(number)
        return page, base.covering(page)

    count = len(pages)
    for start in range(0, count, PAGES_AHEAD):
        yield from pool.map(read, range(start, min(start + PAGES_AHEAD, count)))


def _match(
    one: CopiedPage,
    candidates: list[tuple[PageId, Page]],
    columns: EntryColumns,
    blobs: BlobList,
    stamp: int,
) -> None:
    page = one.page
    for page_id, candidate in candidates:
        if has_same_entries(page, candidate):
            # Its blobs are named here so that their stamps count.
            page_blob_rows(candidate, blobs, stamp)
            one.shared = page_id, candidate
            columns.is_known[one.start : one.stop] = True
            return
    known = page.extent_counts == 0
    for _, candidate in candidates:
        _copy_known(one, candidate, columns, blobs, known, stamp)
    whole = slice(one.start, one.stop)
    columns.sizes[whole] = page.sizes
    columns.modes[whole] = page.modes
    columns.hashes[whole] = page.hashes
    for row in np.flatnonzero(page.extent_counts == 0).tolist():
        _set_inline(one, row, columns)
    one.to_carry = np.flatnonzero(~known).tolist()


def _copy_known(
    one: CopiedPage,
    candidate: Page,
    columns: EntryColumns,
    blobs: BlobList,
    known: NDArray[np.bool_],
    stamp: int,
) -> None:
    """Take over where files lie that another page has at the same path; note them in `known`."""
    page = one.page
    row_of = {path: row for row, path in enumerate(candidate.paths)}
    pairs = [
        (row, other)
        for row in np.flatnonzero(~known).tolist()
        if (other := row_of.get(page.paths[row])) is not None
    ]
    if not pairs:
        return
    rows, others = np.array(pairs, np.int64).T
    same = (
        (candidate.kinds[others] == page.kinds[rows])
        & (candidate.sizes[others] == page.sizes[rows])
        & (candidate.hashes[others] == page.hashes[rows]).all(axis=1)
        & (candidate.extent_counts[others] > 0)
    )
    rows, others = rows[same], others[same]
    if len(rows) == 0:
        return
    blob_rows = page_blob_rows(candidate, blobs, stamp)
    columns.copy_rows(candidate, others, rows + one.start, blob_rows)
    known[rows] = True


def _set_inline(one: CopiedPage, row: int, columns: EntryColumns) -> None:
    """Take over the inlined bytes of an entry, if they are what its hash says."""
    page = one.page
    start, stop = page.inline_starts[row : row + 2].tolist()
    content = page.inline[start:stop]
    has_hash = page.kinds[row] in (EntryKind.FILE, EntryKind.SYMLINK)
    if has_hash and blake3(content).digest() != page.hashes[row].tobytes():
        raise CorruptionError(
            f"{path_to_text(page.paths[row])}: its page holds other bytes than its hash says",
            code=ErrorCode.DIGEST_MISMATCH,
        )
    if content:
        columns.set_inline(one.start + row, content)
    columns.is_known[one.start + row] = True


def _wrong_pages(record: VersionRecord) -> CorruptionError:
    return CorruptionError(
        f"{record.artifact}:v{record.number} does not hold what its digest says",
        code=ErrorCode.DIGEST_MISMATCH,
    )
