"""Tensors of two files beside each other: what can be equal only by its bytes is read, no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cas.tensors.chunk_spans import Span, hashed_spans, other_spans, shared_spans
from cas.tensors.differences import Difference, canonical
from cas.tensors.mapping import read_raw
from cas.tensors.range_reader import FilePart, TensorFiles
from cas.tensors.stored_tensor import StoredTensor
from cas.transfer.file_chunks import FileChunks

# Of each side; pieces of a batch are in flight together.
BATCH_BYTES = 32 << 20
_PIECE_BYTES = 4 << 20

Pair = tuple[StoredTensor, StoredTensor]


class ComparedFiles(TensorFiles, Protocol):
    """One side of a comparison."""

    def chunks(self, path: str, /) -> FileChunks | None:
        """Return the chunks of a file, or None if it has none.

        Raises:
            CasError: they cannot be read.
        """


class ReadMeter:
    """How many bytes of tensors were read for comparing, of both sides together."""

    def __init__(self) -> None:
        self.read_bytes = 0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of a pair of tensors, counted from their starts."""

    pair: int
    start: int
    stop: int


def compare_pairs(
    old: ComparedFiles, new: ComparedFiles, pairs: Sequence[Pair], meter: ReadMeter
) -> list[Difference]:
    """Return how the tensors of each pair differ, which are of one type and shape.

    Args:
        old: has the first of each pair in versions.
        new: has the second; where its files have no chunks, they are near, and hashed.
        pairs: what to compare.
        meter: is told what was read.

    Raises:
        CasError: something cannot be read.
    """
    differences = [Difference() for _ in pairs]
    pieces: list[_Piece] = []
    for number, pair in enumerate(pairs):
        spans = _unequal_spans(old, new, pair)
        if _are_alike(pair):
            pieces += _cut(number, spans, pair[0].element.block_bytes)
        elif spans:
            _compare_whole(old, new, pair, differences[number])
            meter.read_bytes += sum(one.stop - one.start for one in pair)
    with ThreadPoolExecutor(2, thread_name_prefix="cas-sides") as pool:
        for batch in _batches(pieces):
            sides = ((old, 0), (new, 1))
            answers = [
                pool.submit(_read, files, [pairs[one.pair][side] for one in batch], batch)
                for files, side in sides
            ]
            before, after = (answer.result() for answer in answers)
            for one, a, b in zip(batch, before, after, strict=True):
                differences[one.pair].add(pairs[one.pair][0].element, a, b)
                meter.read_bytes += 2 * (one.stop - one.start)
    return differences


def _are_alike(pair: Pair) -> bool:
    """Tell whether equal tensors would be equal bytes of the files."""
    old, new = pair
    return (
        old.deflated is None
        and new.deflated is None
        and old.fortran == new.fortran
        and old.element == new.element
    )


def _unequal_spans(old: ComparedFiles, new: ComparedFiles, pair: Pair) -> list[Span]:
    """Return the ranges of the stored bytes that no chunk says are equal."""
    length = pair[0].stop - pair[0].start
    whole = [(0, length)] if length else []
    is_same_form = _are_alike(pair) or (
        pair[0].deflated == pair[1].deflated and pair[0].fortran == pair[1].fortran
    )
    if not length or not is_same_form or length != pair[1].stop - pair[1].start:
        return whole
    before = old.chunks(pair[0].path)
    if before is None:
        return whole
    after = new.chunks(pair[1].path)
    if after is None:
        spans = hashed_spans(*pair, before, new)
    else:
        spans = shared_spans(*pair, before, after)
    return other_spans(spans, length, pair[0].element.block_bytes or 1)


def _cut(pair: int, spans: Sequence[Span], unit: int) -> Iterator[_Piece]:
    step = max(unit, _PIECE_BYTES - _PIECE_BYTES % max(1, unit))
    for start, stop in spans:
        for at in range(start, stop, step):
            yield _Piece(pair, at, min(stop, at + step))


def _batches(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    size = 0
    for one in pieces:
        if batch and size + one.stop - one.start > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.stop - one.start
    if batch:
        yield batch


def _read(
    files: TensorFiles, tensors: Sequence[StoredTensor], pieces: Sequence[_Piece]
) -> list[np.ndarray]:
    contents = [np.zeros(one.stop - one.start, np.uint8) for one in pieces]
    files.fill(
        [
            FilePart(tensor.path, tensor.start + one.start, tensor.start + one.stop, content.data)
            for tensor, one, content in zip(tensors, pieces, contents, strict=True)
        ]
    )
    return contents


def _compare_whole(
    old: ComparedFiles, new: ComparedFiles, pair: Pair, difference: Difference
) -> None:
    contents = [
        canonical(tensor, read_raw(files, [tensor])[0])
        for files, tensor in zip((old, new), pair, strict=True)
    ]
    difference.add(pair[0].element, *contents)
