"""Where carried files lie, from batches of chunks: the columns of the version that is made of them."""

from __future__ import annotations

import numpy as np

from cas.transfer.rows import HOLE_ROW, EntryColumns, Extents, merge_extents
from cas.transfer.target_lookup import Found


class EntryPlacer:
    """Fills the columns of files, which come in batches and in path order. Not thread-safe."""

    def __init__(self, columns: EntryColumns) -> None:
        self._columns = columns
        self._open_parts: list[Extents] = []

    def place(self, found: Found) -> None:
        """Say in the columns where the files of a batch lie, but for one that goes on."""
        batch = found.batch
        is_chunk = batch.is_chunk
        blobs = np.where(is_chunk, found.blobs, HOLE_ROW)
        chunks = np.where(is_chunk, found.chunks, 0)
        extents = Extents(blobs, chunks, is_chunk.astype(np.int64), batch.lengths)
        starts = np.flatnonzero(np.diff(batch.owners, prepend=-1))
        rows = batch.owners[starts]
        merged, counts = merge_extents(extents, starts)
        ends = np.cumsum(counts)
        first, last = 0, len(rows)
        if batch.continues:
            self._open_parts.append(merged[: int(ends[0])])
            first = 1
            if last > 1 or not batch.is_open:
                self._close_file(int(rows[0]))
        if batch.is_open and last > first:
            last -= 1
            self._open_parts = [merged[int(ends[last] - counts[last]) :]]
        if last > first:
            begin = int(ends[first] - counts[first])
            self._columns.add_extents(
                rows[first:last], counts[first:last], merged[begin : int(ends[last - 1])]
            )
            self._columns.is_known[rows[first:last]] = True

    def _close_file(self, row: int) -> None:
        parts, self._open_parts = self._open_parts, []
        whole = Extents(
            np.concatenate([part.blobs for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.chunks for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )
        merged, counts = merge_extents(whole, np.zeros(1, np.int64))
        self._columns.add_extents(np.array([row]), counts, merged)
        self._columns.is_known[row] = True
