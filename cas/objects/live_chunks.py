"""Which chunks of which data blobs are named by pages, for as many pages as a store has.

Extents are kept as intervals of chunks and joined as they pile up. Blobs are written in the order of
paths, so what lives of one is a few intervals, and a million blobs take some ten MiB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.format.encoding import sortable_ids
from cas.format.manifest import HOLE, Page
from cas.objects.id_sets import Ids, no_ids

# Rows of pages' tables and extents that may wait until they are joined with the rest.
_WAITING_ROWS = 1 << 20
_ROW_SHIFT, _FIRST_SHIFT = np.uint64(32), np.uint64(16)
_SIXTEEN_BITS = np.uint64(0xFFFF)

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class LiveBlobs:
    """Data blobs that pages name, n of them in the order of their ids.

    Attributes:
        ids: uint8[n, 32].
        sizes: int64[n], bytes of the whole blob.
        table_offsets: int64[n].
        chunks: int64[n], how many of its chunks are named.
    """

    ids: Ids
    sizes: Int64s
    table_offsets: Int64s
    chunks: Int64s
    _intervals: UInt64s

    def chunks_of(self, row: int) -> Int64s:
        """Return which chunks of a blob are named, sorted."""
        edges = np.array([row, row + 1], np.uint64) << _ROW_SHIFT
        low, high = np.searchsorted(self._intervals, edges)
        runs = (
            np.arange(packed >> 16 & 0xFFFF, packed & 0xFFFF, dtype=np.int64)
            for packed in self._intervals[low:high].tolist()
        )
        return np.concatenate([np.zeros(0, np.int64), *runs])


class LiveChunks:
    """Adds up what pages name. Not thread-safe."""

    def __init__(self) -> None:
        self._ids: list[Ids] = []
        self._sizes: list[Int64s] = []
        self._offsets: list[Int64s] = []
        # row << 32 | first chunk << 16 | the chunk after the last
        self._intervals: list[UInt64s] = []
        self._rows = 0
        self._waiting = 0

    def add(self, page: Page) -> None:
        """Add what a page names; it may be there already."""
        real = page.extent_blobs != HOLE
        rows = page.extent_blobs[real].astype(np.uint64) + np.uint64(self._rows)
        first = page.extent_first[real].astype(np.uint64)
        stop = first + page.extent_chunks[real]
        self._intervals.append(rows << _ROW_SHIFT | first << _FIRST_SHIFT | stop)
        # A copy: a view would keep the whole page in memory.
        self._ids.append(page.blob_ids.copy())
        self._sizes.append(page.blob_sizes.astype(np.int64))
        self._offsets.append(page.table_offsets.astype(np.int64))
        self._rows += len(page.blob_ids)
        self._waiting += len(page.blob_ids) + len(rows)
        if self._waiting > _WAITING_ROWS:
            self._join()

    def blobs(self) -> LiveBlobs:
        """Return what was added so far."""
        self._join()
        intervals = self._intervals[0]
        rows = (intervals >> _ROW_SHIFT).astype(np.int64)
        lengths = (intervals & _SIXTEEN_BITS) - (intervals >> _FIRST_SHIFT & _SIXTEEN_BITS)
        chunks = np.bincount(rows, lengths.astype(np.int64), self._rows).astype(np.int64)
        return LiveBlobs(self._ids[0], self._sizes[0], self._offsets[0], chunks, intervals)

    def _join(self) -> None:
        """Leave each blob and each run of chunks once, in order."""
        ids = np.concatenate([no_ids(), *self._ids])
        unique, at, inverse = np.unique(sortable_ids(ids), return_index=True, return_inverse=True)
        packed = np.concatenate([np.zeros(0, np.uint64), *self._intervals])
        rows = inverse.astype(np.uint64)[(packed >> _ROW_SHIFT).astype(np.int64)]
        low = packed & np.uint64(0xFFFFFFFF)
        self._intervals = [_united(rows << _ROW_SHIFT | low)]
        self._ids = [unique.view(np.uint8).reshape(-1, ids.shape[1])]
        self._sizes = [np.concatenate([np.zeros(0, np.int64), *self._sizes])[at]]
        self._offsets = [np.concatenate([np.zeros(0, np.int64), *self._offsets])[at]]
        self._rows = len(unique)
        self._waiting = 0


def _united(packed: UInt64s) -> UInt64s:
    """Return intervals sorted, those that touch or overlap joined."""
    if len(packed) == 0:
        return packed
    packed = np.sort(packed)
    rows = packed >> _ROW_SHIFT
    first = packed >> _FIRST_SHIFT & _SIXTEEN_BITS
    # How far the intervals of the same blob reach that come no later.
    reach = np.maximum.accumulate(rows << _FIRST_SHIFT | packed & _SIXTEEN_BITS)
    begins = np.ones(len(packed), np.bool_)
    begins[1:] = (rows[1:] != rows[:-1]) | (first[1:] > (reach[:-1] & _SIXTEEN_BITS))
    at = np.flatnonzero(begins)
    stops = reach[np.append(at[1:], len(packed)) - 1] & _SIXTEEN_BITS
    united: UInt64s = rows[at] << _ROW_SHIFT | first[at] << _FIRST_SHIFT | stops
    return united
