"""Of which chunks a stored file is made, so that equal ranges are known without reading them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.objects.blobs import TableReader
from cas.transfer.gathering import check_placements
from cas.transfer.plan import Placement
from cas.transfer.reading import FileContent

_ID_BYTES = 32
_TABLES_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class FileChunks:
    """The chunks of a file or of a part of it, in order: where each begins and ends, and its id.
    A hole has an id of zeros, which no chunk has.

    Attributes:
        starts: int64[n].
        stops: int64[n].
        ids: uint8[n, 32].
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    ids: NDArray[np.uint8]

    @property
    def has_holes(self) -> bool:
        """Whether there are holes among them."""
        return not self.ids.any(axis=1).all()

    def within(self, start: int, stop: int) -> FileChunks:
        """Return the chunks that reach into a range, their places counted from its start: the
        first may begin before 0. Holes are cut to the range.
        """
        first = int(np.searchsorted(self.stops, start, side="right"))
        last = int(np.searchsorted(self.starts, stop, side="left"))
        rows = slice(first, max(first, last))
        ids = self.ids[rows]
        starts, stops = self.starts[rows] - start, self.stops[rows] - start
        holes = ~ids.any(axis=1)
        starts = np.where(holes, np.maximum(starts, 0), starts)
        stops = np.where(holes, np.minimum(stops, stop - start), stops)
        return FileChunks(starts, stops, ids)


def chunks_of(tables: TableReader, content: FileContent) -> FileChunks | None:
    """Return the chunks of a stored file; None of a tiny one that is stored in a page.

    Raises:
        CorruptionError: a blob's table is missing or damaged, or a page speaks of chunks that the
            blob does not have.
        BackendError: the storage failed.
    """
    if content.inline is not None:
        return None
    refs = {ref.blob_id: ref for ref, *_ in content.extents if ref is not None}
    with ThreadPoolExecutor(_TABLES_AT_ONCE, thread_name_prefix="cas-tables") as pool:
        read = dict(zip(refs, pool.map(tables.read, refs.values()), strict=True))
    lengths = [np.zeros(0, np.int64)]
    ids = [np.zeros((0, _ID_BYTES), np.uint8)]
    for ref, first, count, length in content.extents:
        if ref is None:
            lengths.append(np.array([length], np.int64))
            ids.append(np.zeros((1, _ID_BYTES), np.uint8))
            continue
        table = read[ref.blob_id]
        check_placements(ref, table, [Placement(0, 0, first, first + count, length)])
        lengths.append(table.chunk_lengths[first : first + count].astype(np.int64))
        ids.append(table.chunk_ids[first : first + count])
    every = np.concatenate(lengths)
    stops = np.cumsum(every)
    return FileChunks(stops - every, stops, np.concatenate(ids))
