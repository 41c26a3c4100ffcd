"""Ranges of one stored file: only what is read is fetched, and all of it verified."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, takewhile

import numpy as np

from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader, decode_data_frame
from cas.transfer.kept_chunks import find_run, keep_frames
from cas.transfer.pieces import PIECE_BYTES, iter_pieces
from cas.transfer.plan import LOCAL_READS, distinct

CACHED_FRAMES = 32
BUFFER_BYTES = 256 << 10
# Often in one chunk, which is found in half the time that a plan for several takes.
SMALL_BYTES = 16 << 10
NO_ROWS = np.zeros(0, np.int64)
# Half of what is kept, in frames of 256 KiB, so that nothing is dropped before it is used.
MAXIMUM_AHEAD_BYTES = 4 << 20


@dataclass(frozen=True)
class FileContent:
    """Where a file's bytes are: inlined, or extents as (blob or None, first chunk, chunks, bytes);
    None is a run of zeros.
    """

    size: int
    inline: bytes | None
    extents: Sequence[tuple[BlobRef | None, int, int, int]]

    @cached_property
    def starts(self) -> list[int]:
        """Where each extent begins in the file."""
        lengths = [extent[3] for extent in self.extents]
        return list(accumulate(lengths[:-1], initial=0))


class ContentReader:
    """Reads ranges of one file. Thread-safe; keeps the frames read last."""

    def __init__(
        self,
        tables: TableReader,
        content: FileContent,
        moved: Callable[[CorruptionError], FileContent] | None = None,
        *,
        in_flight: int = 1,
        keeps: bool = False,
    ) -> None:
        """Read `content`.

        Args:
            moved: asked when a blob is missing: returns where the same file lies now, or raises.
            in_flight: how many pieces of a long read are fetched at once.
            keeps: put what is fetched into the cache of chunks, if there is one.
        """
        self._keeps = keeps
        self._in_flight = in_flight
        self._tables = tables
        self._content = content
        self._moved = moved
        self._moving = threading.Lock()
        self._lock = threading.Lock()
        self._frames: OrderedDict[tuple[bytes, int], memoryview] = OrderedDict()
        self._next = 0  # where a read begins that goes on after the last one
        self._ahead = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._content.size

    @property
    def content(self) -> FileContent:
        """Where the bytes lie, as far as is known."""
        return self._content

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`, clipped to the file; every one of them verified.

        Raises:
            CorruptionError: the store has other bytes than it must, or none.
            NotFoundError: the version was deleted for good meanwhile.
            BackendError: the storage failed.
        """
        start, stop = max(0, start), min(stop, self.size)
        if stop - start <= SMALL_BYTES:
            kept = self.read_kept(start, stop)
            if kept is not None and len(kept) == stop - start:
                return bytes(kept)
        if stop - start > 2 * PIECE_BYTES:
            return b"".join(self.pieces(start, stop, at_first=self._in_flight))
        return self._read_following(start, stop, self._bytes_ahead(start, stop))

    def pieces(self, start: int, stop: int, *, at_first: int = 2) -> Generator[bytes]:
        """Yield the same in pieces, the next ones of which are under way; raises the same.

        See `iter_pieces`.
        """
        return iter_pieces(
            self._read_following,
            self._piece_end,
            max(0, start),
            min(stop, self.size),
            in_flight=self._in_flight,
            at_first=at_first,
        )

    def _read_following(self, start: int, stop: int, ahead: int = 0) -> bytes:
        while True:
            content = self._content
            try:
                return self._read(content, start, stop, ahead)
            except CorruptionError as error:
                if error.code is not ErrorCode.MISSING_OBJECT or self._moved is None:
                    raise
                with self._moving:
                    if self._content is content:  # no other thread was here first
                        self._content = self._moved(error)

    def _read(self, content: FileContent, start: int, stop: int, ahead: int) -> bytes:
        if start >= stop:
            return b""
        if content.inline is not None:
            return content.inline[start:stop]
        parts: list[bytes | memoryview] = []
        at = bisect_right(content.starts, start) - 1
        while start < stop:
            extent = content.extents[at]
            low = start - content.starts[at]
            high = min(extent[3], stop - content.starts[at])
            if extent[0] is None:
                parts.append(bytes(high - low))
            else:
                parts += self._read_extent(extent[0], extent[1:], low, high, ahead)
            start += high - low
            at += 1
        return b"".join(parts)

    def _piece_end(self, start: int, stop: int) -> int:
        """Where a piece ends: at the edge of an extent or frame, or two pieces would both fetch it.

        Makes no request, since the next pieces wait for it.
        """
        content = self._content
        wanted = start + PIECE_BYTES
        if wanted >= stop:
            return stop
        at = bisect_right(content.starts, wanted) - 1
        if content.starts[at] > start + PIECE_BYTES // 2:
            return content.starts[at]
        ref, first, chunks, _ = content.extents[at]
        table = None if ref is None else self._tables.known(ref)
        if table is None:
            return wanted
        ends = np.cumsum(table.chunk_lengths[first : first + chunks].astype(np.int64))
        row = int(np.searchsorted(ends, wanted - content.starts[at], side="right"))
        if row >= chunks:
            return wanted
        frame_start = max(first, int(table.first_chunks[table.chunk_frames[first + row]])) - first
        edge = content.starts[at] + (int(ends[frame_start - 1]) if frame_start else 0)
        return edge if edge > start else wanted

    def _bytes_ahead(self, start: int, stop: int) -> int:
        """How much to fetch beyond a read: the more, the longer reads went on one after another."""
        if self._tables.is_local:
            return 0
        with self._lock:
            if start == 0 or start != self._next:
                self._ahead = 0
            else:
                self._ahead = min(MAXIMUM_AHEAD_BYTES, max(BUFFER_BYTES, 2 * self._ahead))
            self._next = stop
            return self._ahead

    def _read_extent(
        self, ref: BlobRef, span: tuple[int, int, int], low: int, high: int, ahead: int
    ) -> list[memoryview]:
        """Return bytes `low` to `high` of an extent, of first chunk, chunks and bytes `span`."""
        first, chunks, length = span
        table = self._tables.open(ref)
        lengths = table.chunk_lengths[first : first + chunks].astype(np.int64)
        ends = np.cumsum(lengths)
        if len(lengths) != chunks or int(ends[-1]) != length:
            raise CorruptionError(
                f"a page and blob {ref.blob_id.hex()[:12]} disagree",
                code=ErrorCode.MALFORMED_OBJECT,
            )
        one = int(np.searchsorted(ends, low, side="right"))
        last = int(np.searchsorted(ends, high, side="left"))
        rows = np.arange(first + one, first + last + 1, dtype=np.int64)
        frames = table.chunk_frames[rows]
        parts: list[memoryview] = []
        start = int(ends[one]) - int(lengths[one])
        beyond = int(np.searchsorted(ends, min(length, high + ahead), side="left"))
        last_frame = int(table.chunk_frames[first + beyond])
        for run in self._runs_of(ref, rows, frames, last_frame):
            a, b = max(low, start) - start, min(high, start + len(run)) - start
            parts.append(run[a:b])
            start += len(run)
        return parts

    def read_kept(self, start: int, stop: int) -> memoryview | None:
        """Return bytes from `start` on, up to `stop` or the end of a chunk, if the chunk is cached
        on this machine. Makes no request.
        """
        content, chunks = self._content, self._tables.chunks
        if chunks is None or content.inline is not None or not 0 <= start < self.size:
            return None
        at = bisect_right(content.starts, start) - 1
        ref, first, count, _ = content.extents[at]
        table = None if ref is None else self._tables.known(ref)
        if ref is None or table is None:
            return None
        ends = np.cumsum(table.chunk_lengths[first : first + count], dtype=np.int64)
        low = start - content.starts[at]
        row = int(np.searchsorted(ends, low, side="right"))
        if row >= len(ends):
            return None  # the page and the blob disagree, of which others will tell
        if (ref.blob_id, int(table.chunk_frames[first + row])) in self._frames:
            return None  # in memory, and verified already
        length = int(table.chunk_lengths[first + row])
        begin = int(ends[row]) - length
        chunk_id = table.chunk_ids[first + row].tobytes()
        found = chunks.find(chunk_id, length) if chunks.has(chunk_id, length) else None
        return (
            None if found is None else memoryview(found)[low - begin : stop - start + low - begin]
        )

    def _runs_of(
        self, ref: BlobRef, rows: np.ndarray, frames: np.ndarray, last_frame: int
    ) -> list[memoryview]:
        """Return the bytes of the rows wanted of each frame, fetching what is missing; if anything
        is, then up to `last_frame`.
        """
        table = self._tables.read(ref)
        wanted = {frame: rows[frames == frame] for frame in distinct(frames).tolist()}
        found = self._cached(ref, list(wanted))
        runs: dict[int, memoryview] = {}
        if (chunks := self._tables.chunks) is not None:
            for frame in wanted.keys() - found.keys():
                if (run := find_run(chunks, table, wanted[frame])) is not None:
                    runs[frame] = run
        missing = [frame for frame in wanted if frame not in found and frame not in runs]
        if missing:
            found |= self._fetch(ref, table, wanted, missing, last_frame)
        for frame, of_frame in wanted.items():
            if frame not in runs:
                begin = int(table.chunk_starts[of_frame[0]])
                size = int(table.chunk_lengths[of_frame].sum())
                runs[frame] = found[frame][begin : begin + size]
        return [runs[frame] for frame in wanted]

    def _fetch(
        self,
        ref: BlobRef,
        table: BlobTable,
        wanted: Mapping[int, np.ndarray],
        missing: list[int],
        last_frame: int,
    ) -> dict[int, memoryview]:
        """Return the raw bytes of frames that are missing, and keep them, up to `last_frame`."""
        final = max(wanted)
        last_frame = min(last_frame, final + CACHED_FRAMES // 2)
        missing = [
            *missing,
            *takewhile(partial(self._is_missing, table), range(final + 1, last_frame + 1)),
        ]
        fetched: dict[int, memoryview] = {}
        partly: dict[int, memoryview] = {}
        while missing:
            group = [missing.pop(0)]
            begin = int(table.frame_offsets[group[0]])
            while (
                missing
                and missing[0] == group[-1] + 1
                and table.frame_stop(missing[0]) - begin <= LOCAL_READS.read_bytes
            ):
                group.append(missing.pop(0))
            stop = table.frame_stop(group[-1])
            try:
                fetched |= self._tables.read_checked(
                    ref, begin, stop, partial(_decode_group, ref, table, group)
                )
            except CorruptionError as error:
                if error.code is ErrorCode.MISSING_OBJECT:
                    raise
                content = self._tables.read_range(ref, begin, stop)
                of_group = {frame: wanted.get(frame, NO_ROWS) for frame in group}
                whole, part = _decode_wanted(ref, table, of_group, content)
                fetched |= whole
                partly |= part
        for frame, raw in fetched.items():
            self._keep(ref, frame, raw)
        if self._keeps and (chunks := self._tables.chunks) is not None:
            keep_frames(chunks, table, fetched)
        return fetched | partly

    def _is_missing(self, table: BlobTable, frame: int) -> bool:
        """Tell whether a frame would have to be fetched, going by its first chunk."""
        chunks, row = self._tables.chunks, int(table.first_chunks[frame])
        length = int(table.chunk_lengths[row])
        return chunks is None or not chunks.has(table.chunk_ids[row].tobytes(), length)

    def _cached(self, ref: BlobRef, frames: list[int]) -> dict[int, memoryview]:
        """Those of the frames that are kept, all taken at once: others may drop them next."""
        found: dict[int, memoryview] = {}
        with self._lock:
            for frame in frames:
                raw = self._frames.get((ref.blob_id, frame))
                if raw is not None:
                    self._frames.move_to_end((ref.blob_id, frame))
                    found[frame] = raw
        return found

    def _keep(self, ref: BlobRef, frame: int, raw: memoryview) -> None:
        with self._lock:
            self._frames[ref.blob_id, frame] = raw
            while len(self._frames) > CACHED_FRAMES:
                self._frames.popitem(last=False)


def _decode_group(
    ref: BlobRef, table: BlobTable, group: Sequence[int], content: bytes
) -> dict[int, memoryview]:
    """Return the raw bytes of consecutive frames, verified."""
    begin, view = int(table.frame_offsets[group[0]]), memoryview(content)
    raws: dict[int, memoryview] = {}
    for frame in group:
        a, b = int(table.frame_offsets[frame]) - begin, table.frame_stop(frame) - begin
        every = np.arange(table.first_chunks[frame], table.first_chunks[frame + 1])
        raws[frame] = memoryview(decode_data_frame(ref.blob_id, table, frame, view[a:b], every))
    return raws


def _decode_wanted(
    ref: BlobRef, table: BlobTable, wanted: Mapping[int, np.ndarray], content: bytes
) -> tuple[dict[int, memoryview], dict[int, memoryview]]:
    """Return the raw bytes of consecutive frames that are whole, and of those of which only the
    wanted rows are: damage of a neighbour, or of what nobody asked for yet, is no reason to fail.
    """
    begin, view = int(table.frame_offsets[min(wanted)]), memoryview(content)
    whole: dict[int, memoryview] = {}
    partly: dict[int, memoryview] = {}
    for frame, rows in wanted.items():
        a, b = int(table.frame_offsets[frame]) - begin, table.frame_stop(frame) - begin
        every = np.arange(table.first_chunks[frame], table.first_chunks[frame + 1])
        try:
            raw = decode_data_frame(ref.blob_id, table, frame, view[a:b], every)
            whole[frame] = memoryview(raw)
        except CorruptionError:
            if len(rows):
                raw = decode_data_frame(ref.blob_id, table, frame, view[a:b], rows)
                partly[frame] = memoryview(raw)
    return whole, partly
