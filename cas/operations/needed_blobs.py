"""The blobs that versions need, with what their pages say of them. Bounded memory for millions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.errors import NotFoundError
from cas.format.encoding import ID_BYTES
from cas.objects.examine_blob import BlobTarget
from cas.objects.id_sets import Ids
from cas.objects.stored_blobs import list_stored_blobs
from cas.objects.workers import Workers
from cas.operations.side_by_side import READERS

# Fewer are asked for one by one, where one version is looked at; more are listed.
PROBED_BLOBS = 64
PROBES = 16
_COMPACT_ROWS = 1 << 20
_ROW_BYTES = ID_BYTES + 4 + 4 + 1


class NeededBlobs:
    """Blobs as rows of id, size, where the table begins, and kind; each once. Not thread-safe."""

    def __init__(self) -> None:
        self._rows = np.zeros((0, _ROW_BYTES), np.uint8)
        self._parts: list[NDArray[np.uint8]] = []
        self._pending = 0

    def add(
        self,
        ids: NDArray[np.uint8],
        sizes: NDArray[np.uint32],
        table_offsets: NDArray[np.uint32],
        *,
        is_meta: bool,
    ) -> None:
        """Add blobs of a page's or root's table of blobs."""
        rows = np.empty((len(ids), _ROW_BYTES), np.uint8)
        rows[:, :ID_BYTES] = ids
        rows[:, ID_BYTES:-5] = np.ascontiguousarray(sizes, "<u4").view(np.uint8).reshape(-1, 4)
        rows[:, -5:-1] = np.ascontiguousarray(table_offsets, "<u4").view(np.uint8).reshape(-1, 4)
        rows[:, -1] = is_meta
        self._parts.append(rows)
        self._pending += len(rows)
        if self._pending > _COMPACT_ROWS:
            self._compact()

    def _compact(self) -> NDArray[np.uint8]:
        if self._parts:
            joined = np.concatenate([self._rows, *self._parts])
            # Rows have one length, so it makes no difference that zeros at the end do not count.
            values = np.unique(np.ascontiguousarray(joined).view(f"S{_ROW_BYTES}"))
            self._rows = values.view(np.uint8).reshape(-1, _ROW_BYTES)
            self._parts, self._pending = [], 0
        return self._rows

    def __len__(self) -> int:
        return len(self._compact())

    @property
    def ids(self) -> NDArray[np.uint8]:
        """Their ids, uint8[n, 32], in rising order."""
        return np.ascontiguousarray(self._compact()[:, :ID_BYTES])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes that each must have, int64[n]."""
        column = np.ascontiguousarray(self._compact()[:, ID_BYTES:-5])
        return column.view("<u4").reshape(-1).astype(np.int64)

    @property
    def are_meta(self) -> NDArray[np.uint8]:
        """Which are meta blobs: 1, others 0; uint8[n]."""
        column: NDArray[np.uint8] = self._compact()[:, -1]
        return column

    def target(self, row: int) -> BlobTarget:
        """Return one of them."""
        raw = self._compact()[row].tobytes()
        return BlobTarget(
            raw[:ID_BYTES],
            bool(raw[-1]),
            int.from_bytes(raw[ID_BYTES:-5], "little"),
            int.from_bytes(raw[-5:-1], "little"),
        )

    def targets(self, rows: Iterable[int]) -> Iterator[BlobTarget]:
        """Yield several of them."""
        return map(self.target, rows)


class ListedBlobs:
    """The blobs that a listing shows."""

    def __init__(self, backend: Backend) -> None:
        """List them all, many folders at once unless they are here."""
        with Workers(1 if backend.capabilities.local else READERS, "cas-list") as workers:
            stored = list_stored_blobs(backend, workers)
        values = _values_of(stored.ids, stored.are_meta)
        order = np.argsort(values)
        self._values = values[order]
        self._sizes = stored.sizes[order]

    def __len__(self) -> int:
        return len(self._values)

    def sizes_of(self, needed: NeededBlobs) -> NDArray[np.int64]:
        """Return the size of each blob, -1 for one that is not there."""
        wanted = _values_of(needed.ids, needed.are_meta)
        if len(self._values) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1, np.int64)
        at = np.minimum(np.searchsorted(self._values, wanted), len(self._values) - 1)
        return np.where(self._values[at] == wanted, self._sizes[at], -1)


def _values_of(ids: Ids, are_meta: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.bytes_]:
    """Return values that compare and differ as ids and kinds together do."""
    rows = np.empty((len(ids), ID_BYTES + 1), np.uint8)
    rows[:, :ID_BYTES] = ids
    # A byte that is not zero ends the value, so ids that end in zeros differ, too.
    rows[:, ID_BYTES] = 1 + are_meta
    return rows.view(f"S{ID_BYTES + 1}").reshape(-1)


def probe_sizes(backend: Backend, needed: NeededBlobs) -> NDArray[np.int64]:
    """Return the size that each of a few blobs has if it is the right one, else -1.

    One byte before the end and one behind it are asked for: a request each, where a listing of a
    large store takes many.
    """

    def probe(target: BlobTarget) -> int:
        try:
            found = backend.get(target.key, target.size - 1, target.size + 1)
        except NotFoundError:
            return -1
        return target.size if len(found) == 1 else -1

    with ThreadPoolExecutor(PROBES, thread_name_prefix="cas-probe") as pool:
        found = list(pool.map(probe, needed.targets(range(len(needed)))))
    return np.array(found, np.int64)
