"""All blobs of a store as columns, listed piece by piece so that millions of them fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.format import keys
from cas.format.collection import listed_rows
from cas.format.encoding import ID_BYTES, sortable_ids
from cas.objects.id_sets import Ids, no_ids
from cas.objects.workers import Workers

UNKNOWN_TIME = -1
# A folder of blobs has 256 sub-folders, by the first byte of the ids, which are random. From this many
# blobs in one of them on they are listed one by one: a whole listing would take too much memory.
MANY_IN_ONE = 16

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class StoredBlobs:
    """Blobs as a listing shows them, sorted by id: n of them.

    Attributes:
        ids: uint8[n, 32], increasing; an id may be there twice, as data and as pages.
        sizes: int64[n], bytes.
        times: int64[n], when each was stored, in nanoseconds; `UNKNOWN_TIME` if nothing tells.
        are_meta: bool[n], whether it lies with the pages.
    """

    ids: Ids
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]
    are_meta: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def bytes(self) -> int:
        """Bytes of all together."""
        return int(self.sizes.sum())

    def rows(self, wanted: NDArray[np.bool_]) -> StoredBlobs:
        """Return some of them."""
        return StoredBlobs(
            self.ids[wanted], self.sizes[wanted], self.times[wanted], self.are_meta[wanted]
        )

    def among(self, ids: Ids) -> NDArray[np.bool_]:
        """Tell which of them are among `ids`."""
        return listed_rows(ids, self.ids)

    def keys(self) -> Iterator[str]:
        """Yield the key of each."""
        for raw, is_meta in zip(self.ids, self.are_meta.tolist(), strict=True):
            name = raw.tobytes().hex()
            yield f"{keys.META if is_meta else keys.BLOBS}/{name[:2]}/{name}"


def list_stored_blobs(backend: Backend, workers: Workers) -> StoredBlobs:
    """List the blobs of data and of pages. What is no blob is left out.

    Raises:
        BackendError: a listing failed.
    """
    prefixes = [one for folder in (keys.BLOBS, keys.META) for one in _pieces(backend, folder)]
    return _joined([*workers.map(lambda prefix: _list_piece(backend, prefix), prefixes)])


def _pieces(backend: Backend, folder: str) -> list[str]:
    if backend.capabilities.local:
        return [folder]
    count = sum(1 for _ in backend.list_objects(f"{folder}/00"))
    if count < MANY_IN_ONE:
        return [folder]
    return [f"{folder}/{byte:02x}" for byte in range(256)]


def _list_piece(backend: Backend, prefix: str) -> StoredBlobs:
    ids, sizes, times = [], [], []
    for stored in backend.list_objects(prefix):
        blob_id = keys.parse_blob_key(stored.key)
        if blob_id is not None:
            ids.append(blob_id.raw)
            sizes.append(stored.size)
            times.append(UNKNOWN_TIME if stored.modified_ns is None else stored.modified_ns)
    return StoredBlobs(
        np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES),
        np.array(sizes, np.int64),
        np.array(times, np.int64),
        np.full(len(ids), prefix.startswith(keys.META), np.bool_),
    )


def _joined(pieces: list[StoredBlobs]) -> StoredBlobs:
    """Return all pieces as one, in order; they are gone afterwards, column after column."""
    ids = [no_ids(), *(one.ids for one in pieces)]
    sizes = [np.zeros(0, np.int64), *(one.sizes for one in pieces)]
    times = [np.zeros(0, np.int64), *(one.times for one in pieces)]
    are_meta = [np.zeros(0, np.bool_), *(one.are_meta for one in pieces)]
    pieces.clear()
    joined = _emptied(ids)
    order = np.argsort(sortable_ids(joined), kind="stable")
    joined = joined[order]
    return StoredBlobs(
        joined, _emptied(sizes)[order], _emptied(times)[order], _emptied(are_meta)[order]
    )


def _emptied(columns: list[NDArray[_Value]]) -> NDArray[_Value]:
    joined = np.concatenate(columns)
    columns.clear()
    return joined
