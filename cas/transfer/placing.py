"""Deciding which chunks are new: looked up in the store, packed if it does not have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.transfer.cutting import Items
from cas.transfer.dedup import Deduplicator
from cas.transfer.fragmentation import FragmentationGuard
from cas.transfer.packing import BlobWriter
from cas.transfer.plan import distinct
from cas.transfer.rows import HOLE_ROW, Extents

Int64s = NDArray[np.int64]


@dataclass(slots=True)
class UploadCounts:
    """What an upload did so far; sizes in bytes. `passed_bytes` also counts holes."""

    read_files: int = 0
    read_bytes: int = 0
    passed_bytes: int = 0
    new_bytes: int = 0
    resumed_bytes: int = 0


class Placer:
    """Gives every chunk its place. Not thread-safe.

    Attributes:
        resumed_ids: ids of blobs that interrupted puts stored.
        new_bytes_by_row: new bytes of each file of the tree, int64, shape (n,).
    """

    def __init__(
        self, dedup: Deduplicator, writer: BlobWriter, counts: UploadCounts, files: int
    ) -> None:
        self._dedup = dedup
        self._writer = writer
        self._counts = counts
        self._guard = FragmentationGuard()
        self.resumed_ids: frozenset[bytes] = frozenset()
        self.new_bytes_by_row = np.zeros(files, np.int64)

    @property
    def refused_bytes(self) -> int:
        """Bytes stored again though the store had them, to keep the version in few places."""
        return self._guard.refused_bytes

    def place(self, items: Items, owners: Int64s, *, are_small: bool) -> Extents:
        """Say where each item lies, storing what the store does not have.

        Args:
            owners: the row of the file of each item.
            are_small: each file is here as a whole and under 1 MiB.
        """
        ids = np.frombuffer(b"".join(items.ids), np.uint8).reshape(-1, 32)
        lengths = np.array(items.lengths, np.int64)
        is_chunk = np.array([span is not None for span in items.spans], np.bool_)
        blobs, chunks = self._dedup.find(ids, is_chunk)
        resumed = self._dedup.is_among(blobs, self.resumed_ids)
        self._counts.resumed_bytes += int(lengths[resumed].sum())
        exempt = resumed
        if are_small:
            exempt = resumed | ~np.isin(owners, owners[blobs < 0])
        outer, offsets = self._dedup.raw_offsets(blobs, chunks)
        blobs[self._guard.refuse(outer, offsets, lengths, exempt)] = -1
        self._store_new(items, ids, owners, blobs, chunks, is_chunk)
        blobs[~is_chunk] = HOLE_ROW
        chunks[~is_chunk] = 0
        return Extents(blobs, chunks, is_chunk.astype(np.int64), lengths)

    def _store_new(
        self,
        items: Items,
        ids: NDArray[np.uint8],
        owners: Int64s,
        blobs: Int64s,
        chunks: Int64s,
        is_chunk: NDArray[np.bool_],
    ) -> None:
        new = np.flatnonzero((blobs < 0) & is_chunk)
        if len(new) == 0:
            return
        placed: dict[bytes, tuple[int, int]] = {}
        stored: list[int] = []
        for item in new.tolist():
            chunk_id = items.ids[item]
            at = placed.get(chunk_id)
            if at is None:
                span = items.spans[item]
                assert span is not None
                at = placed[chunk_id] = self._writer.add(chunk_id, span)
                stored.append(item)
                self._counts.new_bytes += items.lengths[item]
                self.new_bytes_by_row[owners[item]] += items.lengths[item]
            blobs[item], chunks[item] = at
        picked = np.array(stored, np.int64)
        rows = blobs[picked]
        for row in distinct(rows).tolist():
            of_row = picked[rows == row]
            self._dedup.note_new(ids[of_row], row, int(chunks[of_row[0]]))
