"""Which pages and entries of a tree the journal already knows, so that their files are not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import Page, split_paths
from cas.model.entry import EntryKind
from cas.objects.blob_list import BlobList
from cas.transfer.journal import JournalPage, JournalView
from cas.transfer.rows import EntryColumns
from cas.transfer.tree import LocalTree

Int64s = NDArray[np.int64]

ENTRY_WEIGHT = 64
EXTENT_WEIGHT = 20
BYTES_PER_EXTENT = 2 << 20


@dataclass(slots=True, eq=False)
class PageGroup:
    """Entries `start` to `stop` of a tree, which make one page.

    `reused` is the journal's page when not one of them changed; else `to_read` has the rows of
    the entries whose content must be read.
    """

    start: int
    stop: int
    reused: JournalPage | None = None
    to_read: list[int] = field(default_factory=list)


def entry_weight(path: bytes, size: int) -> int:
    """Return how much an entry weighs when pages are cut, by its path and size alone."""
    return len(path) + ENTRY_WEIGHT + size // BYTES_PER_EXTENT * EXTENT_WEIGHT


def group_pages(tree: LocalTree) -> list[PageGroup]:
    """Split a tree into the groups that make its pages."""
    if not tree.paths:
        return []
    weights = np.fromiter(map(len, tree.paths), np.int64, len(tree.paths)) + ENTRY_WEIGHT
    weights += tree.sizes // BYTES_PER_EXTENT * EXTENT_WEIGHT
    ends = split_paths(tree.paths, weights)
    return [PageGroup(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def match_groups(
    tree: LocalTree,
    groups: list[PageGroup],
    journal: JournalView,
    columns: EntryColumns,
    blobs: BlobList,
    may_use: Callable[[JournalPage], bool],
) -> None:
    """Fill each group's `reused` or `to_read`; copy the entries that did not change.

    Args:
        may_use: whether what the journal knows of a page's blobs is still good.
    """
    for group in groups:
        page = _same_page(tree, group, journal)
        if page is not None and may_use(page):
            group.reused = page
            continue
        known = _copy_known(tree, group, journal, columns, blobs, may_use)
        to_read = np.flatnonzero(~known) + group.start
        group.to_read = to_read.tolist()


def _same_page(tree: LocalTree, group: PageGroup, journal: JournalView) -> JournalPage | None:
    candidate = journal.page_of(tree.paths[group.start])
    if candidate is None:
        return None
    count = group.stop - group.start
    if len(candidate.mtimes) != count:
        return None
    if candidate.page.paths != tree.paths[group.start : group.stop]:
        return None
    rows = np.arange(group.start, group.stop)
    return candidate if candidate.unchanged(tree, rows, np.arange(count)).all() else None


def _copy_known(
    tree: LocalTree,
    group: PageGroup,
    journal: JournalView,
    columns: EntryColumns,
    blobs: BlobList,
    may_use: Callable[[JournalPage], bool],
) -> NDArray[np.bool_]:
    """Copy unchanged entries of a group from the journal's pages; tell which were known."""
    found: dict[int, tuple[JournalPage, list[int], list[int]]] = {}
    rows_by_path: dict[int, dict[bytes, int]] = {}
    for row in range(group.start, group.stop):
        page = journal.page_of(tree.paths[row])
        if page is None:
            continue
        key = id(page)
        if key not in rows_by_path:
            usable = may_use(page)
            rows_by_path[key] = (
                {path: at for at, path in enumerate(page.page.paths)} if usable else {}
            )
            found[key] = (page, [], [])
        page_row = rows_by_path[key].get(tree.paths[row])
        if page_row is not None:
            found[key][1].append(page_row)
            found[key][2].append(row)
    known = np.zeros(group.stop - group.start, np.bool_)
    for page, page_rows, rows in found.values():
        at, of = np.array(page_rows, np.int64), np.array(rows, np.int64)
        if len(at) == 0:
            continue
        # Of a folder its times say nothing; what is one now may have been a file.
        is_folder = tree.kinds[of] == EntryKind.DIRECTORY
        same = page.unchanged(tree, of, at) | (is_folder & (page.page.kinds[at] == tree.kinds[of]))
        at, of = at[same], of[same]
        blob_rows = page_blob_rows(page.page, blobs, page.stamp)
        columns.copy_rows(page.page, at, of, blob_rows)
        known[of - group.start] = True
    return known


def page_blob_rows(page: Page, blobs: BlobList, stamp: int) -> Int64s:
    """Return the rows of a page's blobs, noting those not mentioned before."""
    return blobs.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, stamp)
