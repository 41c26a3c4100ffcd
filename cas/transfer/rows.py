"""What a put knows of each entry of a tree, in columns, until pages are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import HOLE, Page
from cas.objects.blob_list import BlobList, BlobRef
from cas.transfer.plan import distinct

HOLE_ROW = -1
FIRST_CAPACITY = 1024

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """Runs of consecutive chunks, one row each: blob row or `HOLE_ROW`, first chunk, number of
    chunks, bytes. All int64, shape (e,).
    """

    blobs: Int64s
    first: Int64s
    chunks: Int64s
    lengths: Int64s

    def __len__(self) -> int:
        return len(self.blobs)

    def __getitem__(self, part: slice) -> Extents:
        return Extents(self.blobs[part], self.first[part], self.chunks[part], self.lengths[part])


def merge_extents(extents: Extents, starts: Int64s) -> tuple[Extents, Int64s]:
    """Join rows that continue their predecessor, except the first row of each file.

    Args:
        extents: rows in file order.
        starts: the first row of each file, strictly increasing.

    Returns:
        The joined rows, and how many of them each file has.
    """
    count = len(extents)
    if count == 0:
        return extents, np.zeros(len(starts), np.int64)
    hole = extents.blobs[1:] == HOLE_ROW
    follows = extents.first[1:] == extents.first[:-1] + extents.chunks[:-1]
    joins = (extents.blobs[1:] == extents.blobs[:-1]) & (follows | hole)
    begins = np.ones(count, np.bool_)
    begins[1:] = ~joins
    begins[starts] = True
    at = np.flatnonzero(begins)
    joined = Extents(
        extents.blobs[at],
        extents.first[at],
        np.add.reduceat(extents.chunks, at),
        np.add.reduceat(extents.lengths, at),
    )
    per_file = np.diff(np.append(np.searchsorted(at, starts), len(at)))
    return joined, per_file


def ranges(starts: Int64s, counts: Int64s) -> Int64s:
    """Return the concatenation of `arange(start, start + count)` for each row."""
    total = int(counts.sum())
    if total == 0:
        return np.zeros(0, np.int64)
    ends = np.cumsum(counts)
    spread: Int64s = np.repeat(starts - (ends - counts), counts)
    spread += np.arange(total, dtype=np.int64)
    return spread


class EntryColumns:
    """Size, mode, hash, inlined bytes and extents of every entry, by row. Not thread-safe."""

    def __init__(self, count: int) -> None:
        self.sizes = np.zeros(count, np.int64)
        self.modes = np.zeros(count, np.uint8)
        self.hashes = np.zeros((count, 32), np.uint8)
        self.is_known = np.zeros(count, np.bool_)
        self._inline = bytearray()
        self._inline_starts = np.zeros(count, np.int64)
        self._inline_lengths = np.zeros(count, np.int64)
        self._extent_starts = np.zeros(count, np.int64)
        self._extent_counts = np.zeros(count, np.int64)
        self._extents = np.empty((4, FIRST_CAPACITY), np.int64)
        self._extent_total = 0

    def set_inline(self, row: int, content: bytes) -> None:
        """Say that the entry's bytes stand in the page itself."""
        self._inline_starts[row] = len(self._inline)
        self._inline_lengths[row] = len(content)
        self._inline += content

    def add_extents(self, rows: Int64s, counts: Int64s, extents: Extents) -> None:
        """Say where entries lie: `counts` consecutive rows of `extents` each."""
        start = self._extent_total
        stop = start + len(extents)
        if stop > self._extents.shape[1]:
            grown = np.empty((4, max(2 * self._extents.shape[1], stop)), np.int64)
            grown[:, :start] = self._extents[:, :start]
            self._extents = grown
        columns = (extents.blobs, extents.first, extents.chunks, extents.lengths)
        self._extents[:, start:stop] = columns
        self._extent_total = stop
        self._extent_counts[rows] = counts
        self._extent_starts[rows] = start + np.cumsum(counts) - counts

    def copy_rows(self, page: Page, page_rows: Int64s, rows: Int64s, blob_rows: Int64s) -> None:
        """Take entries over from a page whose blobs have the rows `blob_rows`."""
        self.sizes[rows] = page.sizes[page_rows]
        self.modes[rows] = page.modes[page_rows]
        self.hashes[rows] = page.hashes[page_rows]
        self.is_known[rows] = True
        inline_ends = np.cumsum(page.inline_lengths, dtype=np.int64)
        for row, source in zip(rows.tolist(), page_rows.tolist(), strict=True):
            if length := int(page.inline_lengths[source]):
                end = int(inline_ends[source])
                self.set_inline(row, page.inline[end - length : end])
        counts = page.extent_counts.astype(np.int64)
        starts = np.cumsum(counts) - counts
        picked = ranges(starts[page_rows], counts[page_rows])
        blobs = page.extent_blobs[picked]
        table = np.append(blob_rows, HOLE_ROW)
        is_hole = blobs == HOLE
        extents = Extents(
            table[np.where(is_hole, len(table) - 1, blobs)],
            page.extent_first[picked].astype(np.int64),
            page.extent_chunks[picked].astype(np.int64),
            page.extent_lengths[picked].astype(np.int64),
        )
        self.add_extents(rows, counts[page_rows], extents)

    def extent_counts(self) -> Int64s:
        """Return how many extents each entry has."""
        return self._extent_counts

    def blob_rows(self, start: int, stop: int) -> Int64s:
        """Return the rows of the blobs that entries `start` to `stop` lie in, sorted."""
        picked = ranges(self._extent_starts[start:stop], self._extent_counts[start:stop])
        used = distinct(self._extents[0, picked])
        real: Int64s = used[used != HOLE_ROW]
        return real

    def extents_of(self, row: int) -> Extents:
        """Return the extents of one entry."""
        start = int(self._extent_starts[row])
        part = self._extents[:, start : start + int(self._extent_counts[row])]
        return Extents(part[0], part[1], part[2], part[3])

    def page(
        self, start: int, stop: int, paths: list[bytes], kinds: NDArray[np.uint8], blobs: BlobList
    ) -> Page:
        """Make the page of entries `start` to `stop`; all their blobs must be stored."""
        picked = ranges(self._extent_starts[start:stop], self._extent_counts[start:stop])
        columns = self._extents[:, picked]
        used, inverse = np.unique(columns[0], return_inverse=True)
        refs, table = page_blobs(used, blobs)
        inline = b"".join(
            self._inline[s : s + n]
            for s, n in zip(
                self._inline_starts[start:stop].tolist(),
                self._inline_lengths[start:stop].tolist(),
                strict=True,
            )
            if n
        )
        return Page(
            paths=paths[start:stop],
            kinds=kinds[start:stop],
            modes=self.modes[start:stop],
            sizes=self.sizes[start:stop].astype(np.uint64),
            hashes=self.hashes[start:stop],
            inline_lengths=self._inline_lengths[start:stop].astype(np.uint32),
            inline=inline,
            extent_counts=self._extent_counts[start:stop].astype(np.uint32),
            extent_blobs=table[inverse].astype(np.uint32),
            extent_first=np.where(columns[0] == HOLE_ROW, 0, columns[1]).astype(np.uint32),
            extent_chunks=np.where(columns[0] == HOLE_ROW, 0, columns[2]).astype(np.uint32),
            extent_lengths=columns[3].astype(np.uint64),
            **blob_table(refs),
        )


def blob_table(refs: Sequence[BlobRef]) -> dict[str, Any]:
    """Return the columns of a page that name its blobs."""
    ids = b"".join(ref.blob_id for ref in refs)
    return {
        "blob_ids": np.frombuffer(ids, np.uint8).reshape(-1, 32),
        "blob_sizes": np.array([ref.size for ref in refs], np.uint32),
        "table_offsets": np.array([ref.table_offset for ref in refs], np.uint32),
    }


def page_blobs(rows: Int64s, blobs: BlobList) -> tuple[list[BlobRef], Int64s]:
    """Return the blobs of a page, and for each of the sorted `rows` which of them it is.

    They are in the order of their ids, not in that in which this put met them: so entries that did
    not change make the page that the store has.
    """
    holes = int(len(rows) > 0 and rows[0] == HOLE_ROW)
    refs = [blobs.ref(row) for row in rows[holes:].tolist()]
    order = sorted(range(len(refs)), key=lambda at: refs[at].blob_id)
    table = np.full(len(rows), HOLE, np.int64)
    table[holes + np.array(order, np.int64)] = np.arange(len(refs))
    return [refs[at] for at in order], table
