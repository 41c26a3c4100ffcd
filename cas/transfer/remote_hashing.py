"""Hashes of objects behind URLs: small ones many at once, big ones in pieces, many of those at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

from cas.transfer.pieces import PIECE_BYTES, iter_pieces, pieces_in_flight
from cas.transfer.remote_tree import RemoteTree


def hash_objects(tree: RemoteTree, rows: Sequence[int], *, memory_bytes: int) -> dict[int, bytes]:
    """Read objects of a tree and return their hashes, by row.

    Raises:
        NotFoundError: one was removed since it was listed.
        BackendError: one cannot be read.
    """
    in_flight = pieces_in_flight(memory_bytes)
    small = [row for row in rows if tree.sizes[row] <= PIECE_BYTES]
    with ThreadPoolExecutor(in_flight, thread_name_prefix="cas-hash") as pool:
        hashes = dict(zip(small, pool.map(lambda row: _hash(tree, row, 1), small), strict=True))
    big = (row for row in rows if tree.sizes[row] > PIECE_BYTES)
    return hashes | {row: _hash(tree, row, in_flight) for row in big}


def _hash(tree: RemoteTree, row: int, in_flight: int) -> bytes:
    hasher = blake3()
    for piece in _pieces(tree, row, in_flight):
        hasher.update(piece)
    return hasher.digest()


def _pieces(tree: RemoteTree, row: int, in_flight: int) -> Iterator[bytes]:
    place, path = tree.object_of(row)
    size = int(tree.sizes[row])
    if size <= PIECE_BYTES:
        return iter([place.read(path, 0, size)] if size else [])
    return iter_pieces(
        lambda start, stop: place.read(path, start, stop),
        lambda start, stop: min(start + PIECE_BYTES, stop),
        0,
        size,
        in_flight=in_flight,
        at_first=in_flight,
    )
