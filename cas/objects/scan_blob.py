"""The table of a blob made anew from the clear heads of its frames, where its own cannot be read.

Where a head is damaged the next one that is plausible is looked for. How many chunks lie between
them follows from what pages say of the blob. Nothing found so is believed: a table counts if it
hashes to the blob's id, and else a file read by it does if it has its hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from blake3 import blake3

from cas.compression.codec import decode
from cas.errors import CorruptionError, UnsupportedError
from cas.format.blob import (
    CODEC_RAW,
    FRAME_HEAD_BYTES,
    FRAME_TAG,
    HEADER_BYTES,
    NONCE_BYTES,
    BlobHeader,
    BlobTable,
    FrameHead,
    decode_frame_head,
    decode_header,
    encode_table,
    frame_length,
    table_blob_id,
)
from cas.format.encoding import ID_BYTES, MAX_BLOB_CHUNKS, MAX_PAGE_BYTES, Buffer
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.objects.examine_blob import BlobTarget

# A row of chunks, how many, and how many bytes of a file they are: what a page says.
Extent = tuple[int, int, int]

MAX_GAPS = 64
MAX_TRIED_CHUNKS = 8 * MAX_BLOB_CHUNKS
WINDOW_BYTES = 1 << 20
COMPARED_EXTENTS = 64
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class _Run:
    """Frames one after another; `first` is the row of the first chunk, once that is known."""

    heads: list[FrameHead] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    first: int = 0

    @property
    def chunks(self) -> int:
        return sum(len(head.chunk_lengths) for head in self.heads)

    def add(self, offset: int, head: FrameHead) -> None:
        self.heads.append(head)
        self.offsets.append(offset)


def scan_blob(
    content: Buffer, target: BlobTarget, extents: Sequence[Extent] = ()
) -> BlobTable | None:
    """Return a table of the frames that can be found; None for none.

    Nothing vouches for it unless `is_table_of` says so. Chunks that no head tells of have ids of
    zeros, so that nothing passes for them.

    Args:
        content: the bytes of the blob, as far as they are there.
        extents: what pages say of it; without, nothing after a damaged head has a place.
    """
    view = memoryview(content)
    try:
        header = decode_header(view, what=target.key)
    except (CorruptionError, UnsupportedError):
        header = BlobHeader(target.kind, bytes(NONCE_BYTES), SessionId(bytes(SESSION_ID_BYTES)))
    runs = _Scan(view, target).runs()
    if sum(run.chunks for run in runs) > MAX_BLOB_CHUNKS:
        return None
    return _table_of(header, _placed(runs, sorted(set(extents))))


def is_table_of(table: BlobTable, target: BlobTarget) -> bool:
    """Tell whether a table is just the one that the blob's id vouches for."""
    return table_blob_id(encode_table(table)) == target.id


class _Scan:
    """Goes through the frames of one blob. The work is bounded, whatever the bytes."""

    def __init__(self, view: memoryview, target: BlobTarget) -> None:
        self._view = view
        self._what = target.key
        # Pages mostly say where the table begins.
        is_there = 0 < target.table_offset <= len(view)
        self._table = target.table_offset if is_there else None
        self._tried = 0

    def runs(self) -> list[_Run]:
        """Return the runs of frames that stand one after another, in order."""
        runs = [_Run()]
        at = HEADER_BYTES
        for _ in range(MAX_GAPS):
            at = self._follow(runs[-1], at)
            if self._is_end(at):
                break
            following = self._next_head(self._search_from(runs[-1], at)) or self._table
            if following is None or (runs[-1].heads and following <= runs[-1].offsets[-1]):
                break
            if not self._close(runs[-1], following):
                runs.append(_Run())
            at = following
        return [run for run in runs if run.heads]

    def _follow(self, run: _Run, at: int) -> int:
        """Take frames as long as there are any; return where the next one should begin."""
        while (head := self._head(at)) is not None:
            run.add(at, head)
            at += head.length
        return at

    def _head(self, at: int) -> FrameHead | None:
        try:
            return decode_frame_head(self._view[at:], what=self._what)
        except CorruptionError:
            return None

    def _is_end(self, at: int) -> bool:
        """Tell whether the table begins here, or the blob ends."""
        if self._table is not None:
            return at == self._table
        return at >= len(self._view) or self._view[at : at + 4] == ZSTD_MAGIC

    def _search_from(self, run: _Run, at: int) -> int:
        """Return from where on the next head may stand: a length before it may be what is wrong."""
        if not run.heads or self._is_whole(run.offsets[-1], run.heads[-1]):
            return at
        count = len(run.heads[-1].chunk_lengths)
        return run.offsets[-1] + frame_length(count, 1)

    def _close(self, run: _Run, following: int) -> bool:
        """Put the length of the last frame right, if then it is whole; else drop it if it is too
        long. Return whether the next frame follows it at once.
        """
        if not run.heads:
            return False
        head, offset = run.heads[-1], run.offsets[-1]
        if self._is_whole(offset, head):
            return offset + head.length == following
        stored = following - offset - frame_length(len(head.chunk_lengths), 0)
        right = replace(head, stored=stored, length=following - offset)
        if 0 < stored <= MAX_PAGE_BYTES and self._is_whole(offset, right):
            run.heads[-1] = right
            return True
        if offset + head.length > following:
            run.heads.pop()
            run.offsets.pop()
        return False

    def _is_whole(self, offset: int, head: FrameHead) -> bool:
        """Tell whether the payload of a frame decodes to its chunks."""
        payload = self._view[offset + head.length - head.stored : offset + head.length]
        if len(payload) != head.stored:
            return False
        try:
            raw = memoryview(decode(payload, head.codec, head.param, head.raw_length))
        except (CorruptionError, UnsupportedError):
            return False
        stops = np.cumsum(head.chunk_lengths, dtype=np.int64).tolist()
        starts = [0, *stops[:-1]]
        return all(
            blake3(raw[start:stop]).digest() == chunk_id.tobytes()
            for start, stop, chunk_id in zip(starts, stops, head.chunk_ids, strict=True)
        )

    def _next_head(self, start: int) -> int | None:
        """Return where the next plausible frame begins: it is followed by another, or the end."""
        for at in self._plausible(start):
            head = self._head(at)
            if head is None:
                continue
            stop = at + head.length
            if self._is_end(stop) or self._head(stop) is not None or self._is_whole(at, head):
                return at
        return None

    def _plausible(self, start: int) -> Iterator[int]:
        """Yield places that may be those of heads, by their fields of fixed size."""
        for begin in range(start, len(self._view) - FRAME_HEAD_BYTES, WINDOW_BYTES):
            stop = begin + WINDOW_BYTES + FRAME_HEAD_BYTES - 1
            window = np.frombuffer(self._view[begin:stop], np.uint8)
            places = np.flatnonzero(
                window[: max(0, len(window) - FRAME_HEAD_BYTES + 1)] == FRAME_TAG
            )
            stored, raw = _numbers(window, places + 4, 4), _numbers(window, places + 8, 4)
            counts = _numbers(window, places + 12, 2)
            fits = (counts > 0) & (counts <= MAX_BLOB_CHUNKS) & (raw >= counts) & (stored > 0)
            fits &= (raw <= MAX_PAGE_BYTES) & (stored <= MAX_PAGE_BYTES)
            fits &= (window[places + 1] != CODEC_RAW) | (raw == stored)
            for place, count in zip(places[fits].tolist(), counts[fits].tolist(), strict=True):
                self._tried += count + 1
                if self._tried > MAX_TRIED_CHUNKS:
                    return
                yield begin + place


def _numbers(window: np.ndarray, places: np.ndarray, width: int) -> np.ndarray:
    """Read little-endian numbers at some places."""
    found = np.zeros(len(places), np.int64)
    for byte in range(width):
        found |= window[places + byte].astype(np.int64) << (8 * byte)
    return found


def _placed(runs: list[_Run], extents: Sequence[Extent]) -> list[_Run]:
    """Return the runs whose rows are known, in order: the first, and those that pages speak of."""
    placed: list[_Run] = []
    stop = 0
    for run in runs:
        if not placed and run.offsets[0] == HEADER_BYTES:
            first: int | None = 0
        else:
            first = _row_of(run, stop, extents)
        if first is not None:
            run.first = first
            stop = first + run.chunks
            placed.append(run)
    return placed


def _row_of(run: _Run, after: int, extents: Sequence[Extent]) -> int | None:
    """Return the row of a run's first chunk: lengths must be those that pages give, wherever an
    extent lies within it.
    """
    count = run.chunks
    sums = np.zeros(count + 1, np.int64)
    np.cumsum(np.concatenate([head.chunk_lengths for head in run.heads]), out=sums[1:])
    # A damaged head lies between, which stands for a chunk at least.
    rows = np.arange(after + 1, MAX_BLOB_CHUNKS - count + 1, dtype=np.int64)
    fitting, wrong = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    relevant = [one for one in extents if one[0] >= after]
    some = relevant[:: len(relevant) // COMPARED_EXTENTS or 1]
    for first, chunks, length in [*relevant[:COMPARED_EXTENTS], *some]:
        begin = first - rows
        within = (begin >= 0) & (begin + chunks <= count)
        found = sums[np.clip(begin + chunks, 0, count)] - sums[np.clip(begin, 0, count)]
        fitting += within & (found == length)
        wrong |= within & (found != length)
    fitting[wrong] = 0
    return int(rows[fitting.argmax()]) if len(rows) and fitting.max() > 0 else None


def _table_of(header: BlobHeader, runs: list[_Run]) -> BlobTable | None:
    """Return a table of runs, with frames that nothing passes for in between."""
    heads: list[FrameHead] = []
    offsets: list[int] = []
    stop = 0
    for run in runs:
        if run.first > stop:
            heads.append(_nothing(run.first - stop))
            offsets.append(HEADER_BYTES)
        heads += run.heads
        offsets += run.offsets
        stop = run.first + run.chunks
    if not heads:
        return None
    return BlobTable(
        nonce=header.nonce,
        session=header.session,
        frame_offsets=np.array(offsets, np.uint32),
        frame_stored=np.array([head.stored for head in heads], np.uint32),
        frame_raw=np.array([head.raw_length for head in heads], np.uint32),
        frame_codecs=np.array([head.codec for head in heads], np.uint8),
        frame_params=np.array([head.param for head in heads], np.uint16),
        frame_chunks=np.array([len(head.chunk_lengths) for head in heads], np.uint16),
        chunk_ids=np.concatenate([head.chunk_ids for head in heads]),
        chunk_lengths=np.concatenate([head.chunk_lengths for head in heads]),
    )


def _nothing(count: int) -> FrameHead:
    """A frame of chunks of which nothing is known."""
    ids, lengths = np.zeros((count, ID_BYTES), np.uint8), np.ones(count, np.uint32)
    return FrameHead(CODEC_RAW, 0, count, count, ids, lengths, frame_length(count, count))
