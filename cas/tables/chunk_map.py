"""Of which chunks a stored file is made, so that equal ranges are known without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import CorruptionError
from cas.objects.blobs import TableReader
from cas.transfer.reading import FileContent

_TABLES_AT_ONCE = 8


class ChunkMap:
    """The chunks of a file in order: ids, shape (n, 32), and bytes of each, shape (n,)."""

    def __init__(self, ids: NDArray[np.uint8], lengths: NDArray[np.int64]) -> None:
        self._ids = ids
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths

    def name_range(self, start: int, stop: int) -> bytes:
        """Return what only equal ranges of files share: the chunks that bytes `start` to `stop`
        touch, and where in the first of them they begin. The range must not be empty.
        """
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._starts, stop, side="left"))
        within = start - int(self._starts[first])
        hasher = blake3(f"{within} {stop - start} ".encode())
        return hasher.update(np.ascontiguousarray(self._ids[first:last]).data).digest()


def read_chunk_map(tables: TableReader, content: FileContent) -> ChunkMap | None:
    """Return the map of a file; None for one that is inlined or has holes, or of which a blob is
    not where it was: whoever reads the file then finds out why.
    """
    spans: Sequence[tuple[int, int]] = [(first, count) for _, first, count, _ in content.extents]
    refs = [blob for blob, *_ in content.extents if blob is not None]
    if not spans or len(refs) != len(spans):
        return None
    distinct = {ref.blob_id: ref for ref in refs}
    with ThreadPoolExecutor(_TABLES_AT_ONCE, thread_name_prefix="cas-tables") as pool:
        try:
            read = dict(zip(distinct, pool.map(tables.read, distinct.values()), strict=True))
        except CorruptionError:
            return None
    found = [read[ref.blob_id] for ref in refs]
    slices = [slice(first, first + count) for first, count in spans]
    pairs = list(zip(found, slices, strict=True))
    ids = np.concatenate([table.chunk_ids[rows] for table, rows in pairs])
    lengths = np.concatenate([table.chunk_lengths[rows] for table, rows in pairs])
    if len(ids) != sum(count for _, count in spans) or int(lengths.sum()) != content.size:
        return None
    return ChunkMap(ids, lengths.astype(np.int64))
