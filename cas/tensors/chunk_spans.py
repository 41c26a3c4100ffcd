"""Which bytes of two tensors are known to be equal because the chunks that hold them are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from blake3 import blake3

from cas.tensors.range_reader import FilePart, TensorFiles
from cas.tensors.stored_tensor import StoredTensor
from cas.transfer.file_chunks import FileChunks

_HASHED_AT_ONCE = 8 << 20

Span = tuple[int, int]


def shared_spans(
    old: StoredTensor, new: StoredTensor, old_chunks: FileChunks, new_chunks: FileChunks
) -> list[Span]:
    """Return the ranges of two tensors of one size that the same chunks hold, in order."""
    before = old_chunks.within(old.start, old.stop)
    after = new_chunks.within(new.start, new.stop)
    if not len(after.starts):
        return []
    length = old.stop - old.start
    rows = np.minimum(np.searchsorted(after.starts, before.starts), len(after.starts) - 1)
    same = (after.starts[rows] == before.starts) & (after.stops[rows] == before.stops)
    same &= (after.ids[rows] == before.ids).all(axis=1)
    same &= before.ids.any(axis=1)
    spans = _clipped(before, same.nonzero()[0].tolist(), length)
    return sorted(spans + _both_zero(before, after, length))


def hashed_spans(
    old: StoredTensor, new: StoredTensor, chunks: FileChunks, files: TensorFiles
) -> list[Span]:
    """Return the ranges of a stored tensor whose chunks a file nearby has, too, at their place in
    the tensor `new`: that file is read and hashed, and the store is not asked.
    """
    inside = chunks.within(old.start, old.stop)
    size = files.open(new.path).size
    same: list[int] = []
    places = list(
        zip((inside.starts + new.start).tolist(), (inside.stops + new.start).tolist(), strict=True)
    )
    for rows in _runs(places, size):
        begin, end = places[rows[0]][0], places[rows[-1]][1]
        buffer = memoryview(bytearray(end - begin))
        files.fill([FilePart(new.path, begin, end, buffer)])
        for row in rows:
            piece = buffer[places[row][0] - begin : places[row][1] - begin]
            chunk_id = inside.ids[row]
            is_same = (
                blake3(piece).digest() == chunk_id.tobytes()
                if chunk_id.any()
                else not np.frombuffer(piece, np.uint8).any()
            )
            if is_same:
                same.append(row)
    return _clipped(inside, same, old.stop - old.start)


def other_spans(spans: Iterable[Span], length: int, unit: int) -> list[Span]:
    """Return what is left of `length` bytes beside spans, widened to whole units and joined."""
    found: list[Span] = []
    at = 0
    for start, stop in [*spans, (length, length)]:
        if at < start:
            low = at - at % unit
            high = min(length, -(-start // unit) * unit)
            if found and found[-1][1] >= low:
                found[-1] = (found[-1][0], high)
            else:
                found.append((low, high))
        at = max(at, stop)
    return found


def _both_zero(old: FileChunks, new: FileChunks, length: int) -> list[Span]:
    """Return where both sides are zeros that are not stored, wherever those begin and end."""
    before, after = (
        _clipped(side, np.flatnonzero(~side.ids.any(axis=1)).tolist(), length)
        for side in (old, new)
    )
    found: list[Span] = []
    while before and after:
        start, stop = max(before[-1][0], after[-1][0]), min(before[-1][1], after[-1][1])
        if start < stop:
            found.append((start, stop))
        (before if before[-1][0] > after[-1][0] else after).pop()
    return found


def _runs(places: Sequence[Span], size: int) -> list[list[int]]:
    """Group neighbours that lie inside of the file to be read at once."""
    runs: list[list[int]] = []
    for row, (start, stop) in enumerate(places):
        if start < 0 or stop > size:
            continue
        if runs and runs[-1][-1] == row - 1 and stop - places[runs[-1][0]][0] <= _HASHED_AT_ONCE:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _clipped(chunks: FileChunks, rows: Sequence[int], length: int) -> list[Span]:
    return [(max(0, int(chunks.starts[row])), min(length, int(chunks.stops[row]))) for row in rows]
