"""Which bytes of two tensors are known to be equal because the chunks that hold them are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.objects.blobs import TableReader
from cas.tensors.range_reader import FilePart, TensorFiles
from cas.tensors.stored_tensor import StoredTensor
from cas.transfer.gathering import check_placements
from cas.transfer.plan import Placement
from cas.transfer.reading import FileContent

_ID_BYTES = 32
_HASHED_AT_ONCE = 8 << 20

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FileChunks:
    """The chunks of a file or of a part of it, in order: where each begins and ends, and its id.
    A run of zeros that is not stored has an id of zeros, which no chunk has.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    ids: NDArray[np.uint8]

    def within(self, start: int, stop: int) -> FileChunks:
        """Return the chunks that reach into a range, their places counted from its start: the
        first may begin before 0. Zeros are cut to the range.
        """
        first = int(np.searchsorted(self.stops, start, side="right"))
        last = int(np.searchsorted(self.starts, stop, side="left"))
        rows = slice(first, max(first, last))
        ids = self.ids[rows]
        starts, stops = self.starts[rows] - start, self.stops[rows] - start
        zeros = ~ids.any(axis=1)
        starts = np.where(zeros, np.maximum(starts, 0), starts)
        stops = np.where(zeros, np.minimum(stops, stop - start), stops)
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
    lengths: list[NDArray[np.int64]] = []
    ids: list[NDArray[np.uint8]] = []
    for ref, first, count, length in content.extents:
        if ref is None:
            lengths.append(np.array([length], np.int64))
            ids.append(np.zeros((1, _ID_BYTES), np.uint8))
            continue
        table = tables.read(ref)
        check_placements(ref, table, [Placement(0, 0, first, first + count, length)])
        lengths.append(table.chunk_lengths[first : first + count].astype(np.int64))
        ids.append(table.chunk_ids[first : first + count])
    stops = np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))
    starts = np.concatenate([np.zeros(1, np.int64), stops])[:-1]
    return FileChunks(starts, stops, np.concatenate([np.zeros((0, _ID_BYTES), np.uint8), *ids]))


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
