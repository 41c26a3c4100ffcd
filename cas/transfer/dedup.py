"""Where chunks already lie: tables loaded so far, then the index, then nowhere.

Facts come with stamps (specs/protocol/put.md); blobs that an open collection condemns are not
shared in the first place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError
from cas.format.blob import BlobTable
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.blobs import TableReader
from cas.objects.chunk_map import ChunkMap
from cas.objects.index import MAXIMUM_COPIES, Index
from cas.transfer.plan import distinct

Ids = NDArray[np.uint8]
Int64s = NDArray[np.int64]

# Loaded up front of a part of a version that changed; what is beyond is found by the index.
PRELOADED_CHUNKS = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a put knows before it starts.

    Attributes:
        stamp: every collection up to it had a verdict when the put began to read.
        floor: facts with a lower stamp are stale.
        newest: the highest run or floor; a fact with a higher stamp comes from a store whose log
            was longer, so the store was rolled back and may lack what the fact speaks of.
        is_condemned: tells of blob ids, shape (n, 32), which an open collection condemns.
        bad_blobs: ids of blobs that the log check of an earlier try found bad, or that are damaged.
        bad_chunks: rows of damaged chunks of blobs that are whole otherwise.
    """

    stamp: int
    floor: int
    newest: int
    is_condemned: Callable[[Ids], NDArray[np.uint8]]
    bad_blobs: frozenset[bytes] = frozenset()
    bad_chunks: Mapping[bytes, Int64s] = field(default_factory=dict)

    def is_current(self, stamp: int) -> bool:
        """Tell whether facts with a stamp may be relied on."""
        return self.floor <= stamp <= self.newest


class Deduplicator:
    """Finds chunks in the store. Not thread-safe; loads tables in parallel on `pool`.

    `index` gives the index, which may still be on its way, when a chunk is in no table loaded so far.
    """

    def __init__(
        self,
        tables: TableReader,
        index: Callable[[], Index],
        blobs: BlobList,
        facts: Facts,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._tables = tables
        self._index = index
        self._blobs = blobs
        self._facts = facts
        self._pool = pool
        self._map = ChunkMap()
        self._seen: set[bytes] = set()
        self._raw_offsets: dict[int, Int64s] = {}

    def load(self, refs: Iterable[BlobRef], *, chunk_limit: int | None = None) -> int:
        """Load the tables of blobs not loaded before; return how many chunks they have.

        What is condemned, stale, missing or damaged is left out: its chunks are stored anew.
        """
        fresh = [
            ref
            for ref in {ref.blob_id: ref for ref in refs}.values()
            if ref.blob_id not in self._seen and self._facts.is_current(ref.stamp)
        ]
        fresh = self._without_condemned(fresh)
        loaded = 0
        for start in range(0, len(fresh), LOAD_BATCH):
            batch = fresh[start : start + LOAD_BATCH]
            for ref, table in zip(batch, self._pool.map(self._read, batch), strict=True):
                self._seen.add(ref.blob_id)
                if table is None:
                    continue
                row = self._blobs.row_of(ref)
                for first, stop in _sound_runs(table, self._facts.bad_chunks.get(ref.blob_id)):
                    self._map.add(table.chunk_ids[first:stop], row, first)
                self._raw_offsets[row] = _raw_offsets(table)
                loaded += len(table.chunk_ids)
            if chunk_limit is not None and loaded >= chunk_limit:
                break
        return loaded

    def find(self, ids: Ids, is_chunk: NDArray[np.bool_]) -> tuple[Int64s, Int64s]:
        """Return blob rows and chunk rows of `ids`, -1 where the store has no such chunk."""
        blobs, chunks = self._map.find(ids)
        blobs[~is_chunk] = -1
        unknown = np.flatnonzero((blobs < 0) & is_chunk)
        # A blob that is gone or condemned must not hide that the chunk was stored again since.
        for copy in range(MAXIMUM_COPIES):
            if len(unknown) == 0 or not (
                candidates := self._index().candidates(ids[unknown], copy)
            ):
                break
            if self.load(candidates):
                blobs[unknown], chunks[unknown] = self._map.find(ids[unknown])
                unknown = unknown[blobs[unknown] < 0]
        return blobs, chunks

    def note_new(self, ids: Ids, blob: int, first_chunk: int) -> None:
        """Note chunks that this put stores itself."""
        self._map.add(ids, blob, first_chunk)

    def raw_offsets(self, blobs: Int64s, chunks: Int64s) -> tuple[Int64s, Int64s]:
        """Return blob rows, -1 for blobs of this put, and the chunks' raw offsets in them."""
        outer = np.full(len(blobs), -1, np.int64)
        offsets = np.zeros(len(blobs), np.int64)
        for row in distinct(blobs[blobs >= 0]).tolist():
            table = self._raw_offsets.get(row)
            if table is not None:
                of_row = blobs == row
                outer[of_row] = row
                offsets[of_row] = table[chunks[of_row]]
        return outer, offsets

    def is_among(self, blobs: Int64s, blob_ids: frozenset[bytes]) -> NDArray[np.bool_]:
        """Tell which blob rows, -1 being none, are stored blobs of these ids."""
        if not blob_ids:
            return np.zeros(len(blobs), np.bool_)
        rows = [
            row
            for row in distinct(blobs[blobs >= 0]).tolist()
            if self._blobs.is_stored(row) and self._blobs.ref(row).blob_id in blob_ids
        ]
        return np.isin(blobs, rows)

    def _without_condemned(self, refs: Sequence[BlobRef]) -> list[BlobRef]:
        if not refs:
            return []
        ids = np.frombuffer(b"".join(ref.blob_id for ref in refs), np.uint8).reshape(-1, 32)
        condemned = self._facts.is_condemned(ids)
        return [
            ref
            for ref, is_bad in zip(refs, condemned.tolist(), strict=True)
            if not is_bad and ref.blob_id not in self._facts.bad_blobs
        ]

    def _read(self, ref: BlobRef) -> BlobTable | None:
        try:
            return self._tables.read(ref)
        except CorruptionError:
            return None


LOAD_BATCH = 16


def _sound_runs(table: BlobTable, damaged: Int64s | None) -> list[tuple[int, int]]:
    """Return runs of chunks, as first and stop, that leave out those known to be damaged."""
    count = len(table.chunk_lengths)
    if damaged is None:
        return [(0, count)]
    breaks = [row for row in damaged.tolist() if row < count]
    edges = zip([0, *(row + 1 for row in breaks)], [*breaks, count], strict=True)
    return [(first, stop) for first, stop in edges if first < stop]


def _raw_offsets(table: BlobTable) -> Int64s:
    lengths = table.chunk_lengths.astype(np.int64)
    return np.cumsum(lengths) - lengths
