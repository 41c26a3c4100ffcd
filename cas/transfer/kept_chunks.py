"""Chunks of a blob out of the cache of this machine, and into it.

Whoever reads a part of a file keeps what came for it. A get does not: what it brings is on this
machine then, and a hundred gigabytes of it would wash out what is read again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cas.format.blob import BlobTable
from cas.transfer.plan import Int64s, Placement, part_of

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache

# What is held to be written at once is a chunk; more in a task makes fewer of them.
BATCH_PLACEMENTS = 64
BATCH_BYTES = 4 << 20
ROWS_AT_HAND = 16


def find_run(chunks: ChunkCache, table: BlobTable, rows: Int64s) -> memoryview | None:
    """Return the bytes of consecutive chunks, verified, if all of them are here."""
    parts = []
    for row in rows.tolist():
        found = chunks.find(table.chunk_ids[row].tobytes(), int(table.chunk_lengths[row]))
        if found is None:
            return None
        parts.append(found)
    return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))


def keep_frames(chunks: ChunkCache, table: BlobTable, raws: Mapping[int, memoryview]) -> None:
    """Keep every chunk of frames, all of which are verified."""
    for frame, raw in raws.items():
        first, stop = int(table.first_chunks[frame]), int(table.first_chunks[frame + 1])
        keep_rows(chunks, table, {frame: raw}, np.arange(first, stop))


def keep_rows(
    chunks: ChunkCache, table: BlobTable, raws: Mapping[int, memoryview], rows: Int64s
) -> None:
    """Keep chunks, which are verified, out of the raw bytes of their frames."""
    kept = []
    for row in rows.tolist():
        start = int(table.chunk_starts[row])
        raw = raws[int(table.chunk_frames[row])]
        piece = raw[start : start + int(table.chunk_lengths[row])]
        kept.append((table.chunk_ids[row].tobytes(), piece))
    chunks.keep(kept)


def split_kept(
    chunks: ChunkCache, table: BlobTable, placements: Sequence[Placement]
) -> tuple[list[Placement], list[Placement]]:
    """Return the parts of placements that seem to be here, and those that are not."""
    starts = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.cumsum(table.chunk_lengths, out=starts[1:])
    split: tuple[list[Placement], list[Placement]] = [], []
    for placement in placements:
        rows = range(placement.first, placement.stop)
        here = [
            chunks.has(table.chunk_ids[row].tobytes(), int(table.chunk_lengths[row]))
            for row in rows
        ]
        chunks.count_misses(here.count(False))
        first = placement.first
        for row in range(placement.first + 1, placement.stop + 1):
            if (
                row == placement.stop
                or here[row - placement.first] != here[first - placement.first]
            ):
                missing = not here[first - placement.first]
                split[missing].append(part_of(placement, first, row, starts))
                first = row
    return split


class KeptRows:
    """The chunks of one blob that are here, those that were asked for last at hand: many small
    ranges may lie in one. For a single thread.
    """

    def __init__(self, chunks: ChunkCache, table: BlobTable) -> None:
        self._chunks = chunks
        self._table = table
        self._last: dict[int, memoryview] = {}

    def find(self, row: int) -> memoryview | None:
        """Return the bytes of a chunk, verified, if they are here."""
        if row in self._last:
            return self._last[row]
        length = int(self._table.chunk_lengths[row])
        found = self._chunks.find(self._table.chunk_ids[row].tobytes(), length)
        if found is None:
            return None
        if len(self._last) >= ROWS_AT_HAND:
            del self._last[next(iter(self._last))]
        self._last[row] = memoryview(found)
        return self._last[row]

    def write(
        self, placement: Placement, write: Callable[[memoryview, int], None]
    ) -> list[Placement]:
        """Hand over each chunk of a placement and where it goes; return those that are not here."""
        missing = []
        offset = placement.offset
        for row in range(placement.first, placement.stop):
            length = int(self._table.chunk_lengths[row])
            found = self.find(row)
            if found is None:
                missing.append(Placement(placement.file, offset, row, row + 1, length))
            else:
                write(found, offset)
            offset += length
        return missing


def batch_placements(placements: Sequence[Placement]) -> Iterator[list[Placement]]:
    """Yield placements in groups that are worth a task."""
    batch: list[Placement] = []
    size = 0
    for placement in placements:
        if batch and (len(batch) >= BATCH_PLACEMENTS or size + placement.length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(placement)
        size += placement.length
    if batch:
        yield batch
