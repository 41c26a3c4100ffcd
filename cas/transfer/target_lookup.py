"""Which chunks of a version another store lacks, and where those lie that it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.transfer.carry_batches import Batch
from cas.transfer.dedup import Deduplicator
from cas.transfer.fragmentation import FragmentationGuard

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where the chunks of a batch lie in the target, as rows of blobs and chunks, blobs -1 where
    that is not known yet; and which rows have to be read from the source, each chunk once.
    """

    batch: Batch
    blobs: Int64s
    chunks: Int64s
    missing: Int64s


class TargetLookup:
    """Tells which chunks of batches the target lacks, batch by batch. Not thread-safe.

    Args:
        resumed_ids: ids of blobs that interrupted writers stored.
    """

    def __init__(self, dedup: Deduplicator, resumed_ids: frozenset[bytes] = frozenset()) -> None:
        self._dedup = dedup
        self._guard = FragmentationGuard()
        # Chunks that were found missing and are on their way: nobody else need read them.
        self._coming: set[bytes] = set()
        self._resumed_ids = resumed_ids
        self.resumed_bytes = 0

    @property
    def refused_bytes(self) -> int:
        """Bytes to store again though the target has them, to keep the version in few places."""
        return self._guard.refused_bytes

    def look_up(self, batch: Batch) -> Found:
        """Find the chunks of the next batch."""
        is_chunk, lengths, owners = batch.is_chunk, batch.lengths, batch.owners
        blobs, chunks = self._dedup.find(batch.ids, is_chunk)
        resumed = self._dedup.is_among(blobs, self._resumed_ids)
        self.resumed_bytes += int(lengths[resumed].sum())
        # A small file that is here as a whole is one read, wherever it lies.
        lacking = owners[is_chunk & (blobs < 0)]
        exempt = resumed | (batch.are_small & ~np.isin(owners, lacking))
        outer, offsets = self._dedup.raw_offsets(blobs, chunks)
        blobs[self._guard.refuse(outer, offsets, lengths, exempt)] = -1
        missing = []
        for row in np.flatnonzero(is_chunk & (blobs < 0)).tolist():
            chunk_id = batch.ids[row].tobytes()
            if chunk_id not in self._coming:
                self._coming.add(chunk_id)
                missing.append(row)
        return Found(batch, blobs, chunks, np.array(missing, np.int64))

    def note_new(self, batch: Batch, rows: Int64s, blob: int, first_chunk: int) -> None:
        """Note that chunks of a batch are chunks `first_chunk`, … of a blob of the target now."""
        self._dedup.note_new(batch.ids[rows], blob, first_chunk)

    def settle(self, found: Found) -> None:
        """Fill in where the rest lies: chunks that came with this batch or an earlier one."""
        self._coming.difference_update(found.batch.ids[row].tobytes() for row in found.missing)
        rest = np.flatnonzero(found.batch.is_chunk & (found.blobs < 0))
        if len(rest):
            is_chunk = np.ones(len(rest), np.bool_)
            found.blobs[rest], found.chunks[rest] = self._dedup.find(
                found.batch.ids[rest], is_chunk
            )


def count_missing(batches: Iterator[Batch], lookup: TargetLookup, blob: int) -> tuple[int, int]:
    """Return raw bytes that the target lacks and about what they take there, reading none of them.

    Args:
        blob: a row of the target's list of blobs that stands for what would be sent.
    """
    raw = 0
    stored = 0.0
    for batch in batches:
        found = lookup.look_up(batch)
        rows = found.missing
        raw += int(batch.lengths[rows].sum())
        for number, table in enumerate(batch.tables):
            of_blob = rows[batch.blobs[rows] == number]
            frames = table.chunk_frames[batch.chunks[of_blob]]
            shares = batch.lengths[of_blob] / table.frame_raw[frames]
            stored += float((shares * table.frame_stored[frames]).sum())
        if len(rows):
            lookup.note_new(batch, rows, blob, 0)
        lookup.settle(found)
    return raw, round(stored)
