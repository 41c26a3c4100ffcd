"""Which chunk lies where, exactly, for millions of chunks, without a Python object for each.

Entries stand in growing columns; sorted runs of 64-bit id heads lead to them and are merged as
they pile up (a log-structured merge in memory). Full 32-byte ids decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.format.segment import chunk_keys

FIRST_CAPACITY = 4096


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    keys: NDArray[np.uint64]
    rows: NDArray[np.uint32]


class ChunkMap:
    """Maps chunk ids to (blob row, chunk row). The first entry of an id stays. Not thread-safe."""

    def __init__(self) -> None:
        self._count = 0
        self._ids = np.empty((FIRST_CAPACITY, 32), np.uint8)
        self._blobs = np.empty(FIRST_CAPACITY, np.uint32)
        self._chunks = np.empty(FIRST_CAPACITY, np.uint32)
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return self._count

    def add(self, ids: NDArray[np.uint8], blob: int, first_chunk: int = 0) -> None:
        """Note that chunks `ids` (shape (n, 32)) are chunks `first_chunk`, … of blob row `blob`."""
        count = len(ids)
        if count == 0:
            return
        self._reserve(count)
        start, stop = self._count, self._count + count
        self._ids[start:stop] = ids
        self._blobs[start:stop] = blob
        self._chunks[start:stop] = np.arange(first_chunk, first_chunk + count, dtype=np.uint32)
        self._count = stop
        keys = chunk_keys(ids)
        order = np.argsort(keys, kind="stable")
        self._runs.append(_Run(keys[order], (order + start).astype(np.uint32)))
        self._merge_runs()

    def find(self, ids: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return blob rows and chunk rows of `ids`, shape (n,) each; -1 where unknown."""
        blobs = np.full(len(ids), -1, np.int64)
        chunks = np.full(len(ids), -1, np.int64)
        keys = chunk_keys(ids)
        for run in self._runs:
            at = np.searchsorted(run.keys, keys)
            at[at == len(run.keys)] = 0
            hits = np.flatnonzero((run.keys[at] == keys) & (blobs < 0))
            for _ in range(_MAXIMUM_COLLISIONS):
                if len(hits) == 0:
                    break
                rows = run.rows[at[hits]]
                same = (self._ids[rows] == ids[hits]).all(axis=1)
                found = hits[same]
                blobs[found] = self._blobs[rows[same]]
                chunks[found] = self._chunks[rows[same]]
                # Other ids may share the 64-bit head: look at the neighbour too.
                hits = hits[~same]
                at[hits] += 1
                hits = hits[at[hits] < len(run.keys)]
                hits = hits[run.keys[at[hits]] == keys[hits]]
        return blobs, chunks

    def _reserve(self, count: int) -> None:
        capacity = len(self._blobs)
        if self._count + count <= capacity:
            return
        capacity = max(capacity * 2, self._count + count)
        for name in ("_ids", "_blobs", "_chunks"):
            old = getattr(self, name)
            new = np.empty((capacity, *old.shape[1:]), old.dtype)
            new[: self._count] = old[: self._count]
            setattr(self, name, new)

    def _merge_runs(self) -> None:
        while len(self._runs) > 1 and len(self._runs[-1].keys) * 2 > len(self._runs[-2].keys):
            newer, older = self._runs.pop(), self._runs.pop()
            keys = np.concatenate([older.keys, newer.keys])
            order = np.argsort(keys, kind="stable")
            rows = np.concatenate([older.rows, newer.rows])
            self._runs.append(_Run(keys[order], rows[order]))


# More ids than this with one 64-bit head are no accident; missing one only costs space.
_MAXIMUM_COLLISIONS = 8
