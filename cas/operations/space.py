"""Who needs which bytes of a store: chunks and whole blobs, counted for groups of versions.

Memory: some 20 bytes for each chunk that is measured and 100 for each blob, whatever the number of
versions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError
from cas.format.blob import CHUNK_BYTES, BlobTable
from cas.format.encoding import sortable_ids
from cas.format.manifest import HOLE, Page, Root
from cas.format.segment import chunk_keys
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.id_sets import Ids, unite
from cas.objects.parts import StoreParts
from cas.objects.stored_blobs import list_stored_blobs
from cas.objects.workers import Workers
from cas.operations.side_by_side import READERS, map_side_by_side
from cas.operations.version_pages import VersionPages

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Runs of chunks of pages that were read, so that versions that share one read it once: 64 MiB.
_KEPT_RUNS = 4 << 20
_PAGES_AT_ONCE = 64


class Owners:
    """Which rows one group alone needs. Groups are numbers from 0."""

    def __init__(self) -> None:
        self._owner = np.zeros(0, np.int32)
        self._groups = np.zeros(0, np.uint8)

    def add(self, group: int, rows: Rows) -> Rows:
        """Note that a group needs these rows, each at most once among them.

        Returns:
            Those that it did not need before; right as long as groups are added one after another.
        """
        self._grow(int(rows.max()) + 1 if len(rows) else 0)
        is_new = (self._groups[rows] == 0) | (self._owner[rows] != group)
        # Whether there are two is all that matters.
        self._groups[rows] = np.minimum(self._groups[rows] + is_new, 2)
        self._owner[rows] = group
        fresh: Rows = rows[is_new]
        return fresh

    def users(self, count: int) -> NDArray[np.uint8]:
        """Return for each of `count` rows how many groups need it: 0, 1, or 2 for more."""
        self._grow(count)
        return self._groups[:count]

    def sums(self, weights: Floats, groups: int, chosen: Flags | None = None) -> list[int]:
        """Return for each group the weight of the rows, of those chosen, that it alone needs."""
        is_alone = self.users(len(weights)) == 1
        rows = np.flatnonzero(is_alone if chosen is None else is_alone & chosen)
        summed = np.bincount(self._owner[rows], weights=weights[rows], minlength=groups)
        return [round(one) for one in summed.tolist()]

    def _grow(self, count: int) -> None:
        short = count - len(self._owner)
        if short > 0:
            room = max(short, len(self._owner) // 2)
            self._owner = np.concatenate([self._owner, np.zeros(room, np.int32)])
            self._groups = np.concatenate([self._groups, np.zeros(room, np.uint8)])


class ListedBlobs:
    """Every blob that lies in the store, of data and of pages, with its size."""

    def __init__(self, parts: StoreParts) -> None:
        threads = 1 if parts.backend.capabilities.local else READERS
        with Workers(threads, "cas-list") as workers:
            stored = list_stored_blobs(parts.backend, workers)
        self._ids = sortable_ids(stored.ids)
        self._heads = chunk_keys(stored.ids)
        self.sizes = stored.sizes.astype(np.float64)

    def __len__(self) -> int:
        return len(self.sizes)

    def rows_of(self, ids: Ids) -> Rows:
        """Return the rows of distinct blobs that lie there, -1 for one that does not."""
        if len(self) == 0:
            return np.full(len(ids), -1, np.int64)
        # By their first eight bytes, at a fifth of the time; the few that somebody made to begin as
        # others do are looked for by all.
        wanted, heads = sortable_ids(ids), chunk_keys(ids)
        at = np.searchsorted(self._heads, heads).astype(np.int64)
        at[at == len(self)] = 0
        others = np.flatnonzero((self._ids[at] != wanted) & (self._heads[at] == heads))
        if len(others):
            at[others] = np.searchsorted(self._ids, wanted[others])
            at[at == len(self)] = 0
        return np.where(self._ids[at] == wanted, at, -1)


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """What one version needs: rows of chunks and of listed blobs, each once."""

    chunks: Rows
    blobs: Rows


@dataclass(frozen=True, slots=True, eq=False)
class _PageNeeds:
    """Runs of chunks that a page speaks of, joined, and its data blobs."""

    starts: Rows
    stops: Rows
    blob_ids: Ids


class Space:
    """Numbers every chunk and blob that versions speak of, with raw and stored bytes.

    Reads each distinct page once, unless there are very many, and each blob's table once.
    """

    def __init__(self, parts: StoreParts, listed: ListedBlobs) -> None:
        self._parts = parts
        self._listed = listed
        self._blobs = BlobList()
        self._firsts: list[int] = []
        self._raw: list[Floats] = [np.zeros(0)]
        self._stored: list[Floats] = [np.zeros(0)]
        self._counts: list[int] = []
        self._unreadable: dict[int, CorruptionError] = {}
        self._pages: OrderedDict[bytes, _PageNeeds] = OrderedDict()
        self._kept_runs = 0
        self.chunk_count = 0

    @property
    def raw(self) -> Floats:
        """Bytes of each chunk before compression."""
        self._raw = [np.concatenate(self._raw)]
        return self._raw[0]

    @property
    def stored(self) -> Floats:
        """What each chunk takes: its part of its frame's payload, and its entry in the head."""
        self._stored = [np.concatenate(self._stored)]
        return self._stored[0]

    def blob_rows(self) -> Rows:
        """Return for each chunk the row of its blob among those listed, -1 if it does not lie there."""
        ids = b"".join(self._blobs.ref(row).blob_id for row in range(len(self._counts)))
        rows = self._listed.rows_of(np.frombuffer(ids, np.uint8).reshape(-1, 32))
        return np.repeat(rows, self._counts)

    def needs_of(self, pages: VersionPages, root_blob: bytes) -> Needs:
        """Return what a version needs, itself included: pages, root, data blobs, chunks.

        Raises:
            CorruptionError: a page, or the table of a blob, is missing or damaged. Other versions
                can be measured all the same.
        """
        root = pages.root
        found = [
            needs
            for start in range(0, len(root.page_ids), _PAGES_AT_ONCE)
            for needs in self._read_pages(pages, root, start)
        ]
        edges = np.zeros(self.chunk_count + 1, np.int32)
        for one in found:
            np.add.at(edges, one.starts, 1)
            np.add.at(edges, one.stops, -1)
        own = np.frombuffer(root_blob, np.uint8).reshape(1, 32)
        ids = unite(own, root.blob_ids, *(one.blob_ids for one in found))
        blobs = self._listed.rows_of(ids)
        return Needs(np.flatnonzero(np.cumsum(edges[:-1]) > 0), np.unique(blobs[blobs >= 0]))

    def _read_pages(self, pages: VersionPages, root: Root, start: int) -> list[_PageNeeds]:
        numbers = range(start, min(start + _PAGES_AT_ONCE, len(root.page_ids)))
        page_ids = {number: root.page_ids[number].tobytes() for number in numbers}
        unknown = [number for number in numbers if page_ids[number] not in self._pages]
        read = map_side_by_side(self._parts, pages.page, unknown)
        self._read_tables(read)
        fresh = {page_ids[n]: self._needs(page) for n, page in zip(unknown, read, strict=True)}
        found = [fresh.get(raw) or self._pages[raw] for raw in page_ids.values()]
        self._keep(fresh)
        return found

    def _read_tables(self, pages: Sequence[Page]) -> None:
        """Number the chunks of blobs that no page before these spoke of."""
        for page in pages:
            self._blobs.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, 0)
        unknown = range(len(self._counts), len(self._blobs))
        refs = [self._blobs.ref(row) for row in unknown]
        tables = map_side_by_side(self._parts, self._read_table, refs)
        for row, table in zip(unknown, tables, strict=True):
            if isinstance(table, CorruptionError):
                self._unreadable[row] = table
                self._number_chunks(np.zeros(0), np.zeros(0))
            else:
                self._number(table)

    def _read_table(self, ref: BlobRef) -> BlobTable | CorruptionError:
        try:
            return self._parts.tables.read(ref)
        except CorruptionError as error:
            return error

    def _number(self, table: BlobTable) -> None:
        raw = table.chunk_lengths.astype(np.float64)
        share = table.frame_stored / np.maximum(table.frame_raw, 1)
        self._number_chunks(raw, raw * share[table.chunk_frames] + CHUNK_BYTES)

    def _number_chunks(self, raw: Floats, stored: Floats) -> None:
        self._raw.append(raw)
        self._stored.append(stored)
        self._firsts.append(self.chunk_count)
        self._counts.append(len(raw))
        self.chunk_count += len(raw)

    def _needs(self, page: Page) -> _PageNeeds:
        rows = self._blobs.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, 0)
        for row in rows.tolist() if self._unreadable else ():
            if row in self._unreadable:
                raise self._unreadable[row]
        firsts = np.array([self._firsts[row] for row in rows.tolist()] or [0], np.int64)
        is_real = page.extent_blobs != HOLE
        starts = firsts[page.extent_blobs[is_real]] + page.extent_first[is_real]
        stops = starts + page.extent_chunks[is_real]
        starts, stops = _join(starts, stops)
        return _PageNeeds(starts, stops, unite(page.blob_ids))

    def _keep(self, fresh: dict[bytes, _PageNeeds]) -> None:
        for raw, needs in fresh.items():
            self._pages[raw] = needs
            self._kept_runs += len(needs.starts) + 2 * len(needs.blob_ids)
        while self._kept_runs > _KEPT_RUNS:
            _, oldest = self._pages.popitem(last=False)
            self._kept_runs -= len(oldest.starts) + 2 * len(oldest.blob_ids)


def _join(starts: Rows, stops: Rows) -> tuple[Rows, Rows]:
    """Return runs in order, those that touch or overlap as one."""
    if len(starts) == 0:
        return starts, stops
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(stops[order])
    is_first = np.concatenate([[True], starts[1:] > reach[:-1]])
    is_last = np.concatenate([is_first[1:], [True]])
    return starts[is_first], reach[is_last]
