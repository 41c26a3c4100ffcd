"""Carrying files between stores: chunks are looked up in the target, and what it does not have is
read from the source in ranges, verified, and packed.

One thread drives it: it looks batches up, hands reading and verifying to the pool, and packs the
results in path order. Memory in flight is bounded by one budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.errors import CorruptionError
from cas.format import keys
from cas.format.blob import BlobTable, frame_length
from cas.model.progress import Cancel
from cas.objects.blobs import EncodedFrame, TableReader, decode_data_frame, read_checked
from cas.transfer.budget import MemoryBudget
from cas.transfer.carry_batches import Batch, CarriedFile, iter_batches, name_file
from cas.transfer.dedup import Deduplicator
from cas.transfer.fragmentation import FragmentationGuard
from cas.transfer.packing import BlobWriter
from cas.transfer.placing import UploadCounts
from cas.transfer.plan import Placement, Read, plan_reads

BATCH_BYTES = 8 << 20
WAIT_SECONDS = 0.2

Int64s = NDArray[np.int64]


class TargetLookup:
    """Tells which chunks of batches the target lacks, batch by batch. Not thread-safe.

    Args:
        resumed_ids: ids of blobs that interrupted writers stored.
    """

    def __init__(self, dedup: Deduplicator, resumed_ids: frozenset[bytes] = frozenset()) -> None:
        self._dedup = dedup
        self._guard = FragmentationGuard()
        # Chunks that were found missing and are on their way: nobody else need read them.
        self._coming: set[bytes] = set()
        self._resumed_ids = resumed_ids
        self.resumed_bytes = 0

    @property
    def refused_bytes(self) -> int:
        """Bytes to store again though the target has them, to keep the version in few places."""
        return self._guard.refused_bytes

    def look_up(self, batch: Batch) -> Found:
        """Find the chunks of the next batch."""
        is_chunk, lengths, owners = batch.is_chunk, batch.lengths, batch.owners
        blobs, chunks = self._dedup.find(batch.ids, is_chunk)
        resumed = self._dedup.is_among(blobs, self._resumed_ids)
        self.resumed_bytes += int(lengths[resumed].sum())
        # A small file that is here as a whole is one read, wherever it lies.
        lacking = owners[is_chunk & (blobs < 0)]
        exempt = resumed | (batch.are_small & ~np.isin(owners, lacking))
        outer, offsets = self._dedup.raw_offsets(blobs, chunks)
        blobs[self._guard.refuse(outer, offsets, lengths, exempt)] = -1
        missing = []
        for row in np.flatnonzero(is_chunk & (blobs < 0)).tolist():
            chunk_id = batch.ids[row].tobytes()
            if chunk_id not in self._coming:
                self._coming.add(chunk_id)
                missing.append(row)
        return Found(batch, blobs, chunks, np.array(missing, np.int64))

    def note_new(self, batch: Batch, rows: Int64s, blob: int, first_chunk: int) -> None:
        """Note that chunks of a batch are chunks `first_chunk`, … of a blob of the target now."""
        self._dedup.note_new(batch.ids[rows], blob, first_chunk)

    def settle(self, found: Found) -> None:
        """Fill in where the rest lies: chunks that came with this batch or an earlier one."""
        self._coming.difference_update(found.batch.ids[row].tobytes() for row in found.missing)
        rest = np.flatnonzero(found.batch.is_chunk & (found.blobs < 0))
        if len(rest):
            is_chunk = np.ones(len(rest), np.bool_)
            found.blobs[rest], found.chunks[rest] = self._dedup.find(
                found.batch.ids[rest], is_chunk
            )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Where the chunks of a batch lie in the target, as rows of blobs and chunks, blobs -1 where
    that is not known yet; and which rows have to be read from the source, each chunk once.
    """

    batch: Batch
    blobs: Int64s
    chunks: Int64s
    missing: Int64s


@dataclass(slots=True, eq=False)
class _Frame:
    """What is wanted of a frame of the source, and once it was read its raw bytes, or, if all of it
    goes as it is, its payload; and then where that lies in the target.
    """

    chunks: Int64s
    is_whole: bool
    row: int
    content: bytes = b""
    place: tuple[int, int] | None = None


@dataclass(slots=True, eq=False)
class _Task:
    """A batch on its way, the reads for it, and the bytes that they hold at most."""

    found: Found
    frames: dict[tuple[int, int], _Frame] = field(default_factory=dict)
    reads: list[tuple[int, Read]] = field(default_factory=list)
    size: int = 0


class _FrameCheck:
    """Verifies the frames of one read, and gives them to their task.

    Attributes:
        at: row of the chunk list at which it is, for whoever tells what is wrong.
        fetched: bytes that came.
    """

    def __init__(self, task: _Task, blob: int, read: Read) -> None:
        batch = task.found.batch
        self._ref, self._table = batch.refs[blob], batch.tables[blob]
        self._start = read.start
        self._frames = [
            (number, frame)
            for number in range(read.first_frame, read.stop_frame)
            if (frame := task.frames.get((blob, number))) is not None
        ]
        self.at = self._frames[0][1].row
        self.fetched = 0

    def __call__(self, content: bytes) -> None:
        view, table = memoryview(content), self._table
        self.fetched += len(content)
        for number, frame in self._frames:
            self.at = frame.row
            start = int(table.frame_offsets[number]) - self._start
            stored = int(table.frame_stored[number])
            stop = start + frame_length(int(table.frame_chunks[number]), stored)
            raw = decode_data_frame(
                self._ref.blob_id, table, number, view[start:stop], frame.chunks
            )
            # A copy, lest a part of a frame keeps all that was read in memory.
            frame.content = bytes(view[stop - stored : stop] if frame.is_whole else raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarryTools:
    """What a carrier works with: `pool` has `jobs` threads; `budget` bounds bytes in flight.

    `frame_bytes` is how long frames of the target are: those of the source that are about as long
    go as they are, without being compressed again.
    """

    lookup: TargetLookup
    writer: BlobWriter
    pool: ThreadPoolExecutor
    budget: MemoryBudget
    jobs: int
    frame_bytes: int


class Carrier:
    """Brings the content of files into the target. Used once.

    Every chunk that is read is verified against the table of its blob before it is passed on.

    Args:
        place: is told, batch by batch, where the chunks lie in the target.
    """

    def __init__(
        self,
        backend: Backend,
        tables: TableReader,
        place: Callable[[Found], None],
        tools: CarryTools,
        *,
        cancel: Cancel,
        report: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._tables = tables
        self._place = place
        self._lookup = tools.lookup
        self._writer = tools.writer
        self._pool = tools.pool
        self._budget = tools.budget
        self._window = 2 * tools.jobs + 2
        self._frame_bytes = tools.frame_bytes
        self._cancel = cancel
        self._report = report
        self.counts = UploadCounts()

    def run(self, files: Iterable[CarriedFile]) -> None:
        """Carry files, which come in path order.

        Raises:
            CorruptionError: the source has other bytes than it must, or none; it names the file.
            BackendError: one of the two storages failed.
        """
        limit = min(BATCH_BYTES, max(1, self._budget.limit_bytes // 8))
        batches = iter_batches(files, self._tables, self._pool, limit_bytes=limit)
        tasks = (self._plan(self._lookup.look_up(batch)) for batch in batches)
        window: deque[tuple[_Task, Future[int] | None]] = deque()
        waiting = next(tasks, None)
        try:
            while waiting is not None or window:
                self._cancel.check()
                while (
                    waiting is not None
                    and len(window) < self._window
                    and self._budget.try_acquire(waiting.size)
                ):
                    reading = self._pool.submit(self._fetch, waiting) if waiting.reads else None
                    window.append((waiting, reading))
                    waiting = next(tasks, None)
                if window:
                    self._take(*window.popleft())
                elif waiting is not None:
                    self._make_room()
        finally:
            for _, future in window:
                if future is not None:
                    future.cancel()

    def _make_room(self) -> None:
        """Nothing is being read and the budget is used up: wait for blobs to be sent."""
        self._writer.make_room()
        self._budget.wait_for_release(WAIT_SECONDS)
        self._report()

    # -- reading

    def _plan(self, found: Found) -> _Task:
        """Decide which ranges of which blobs bring what is missing."""
        task = _Task(found)
        batch = found.batch
        blobs, chunks = batch.blobs[found.missing], batch.chunks[found.missing]
        for blob in np.unique(blobs).tolist():
            table = batch.tables[blob]
            rows = found.missing[blobs == blob]
            wanted = chunks[blobs == blob]
            order = np.argsort(wanted)
            rows, wanted = rows[order], wanted[order]
            reads = plan_reads(table, runs_of(wanted))
            task.reads += [(blob, read) for read in reads]
            task.size += sum(read.stop - read.start for read in reads)
            frames = table.chunk_frames[wanted]
            starts = np.flatnonzero(np.diff(frames, prepend=-1))
            for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
                frame = int(frames[start])
                task.size += int(table.frame_raw[frame])
                task.frames[blob, frame] = _Frame(
                    chunks=wanted[start:stop],
                    is_whole=self._goes_whole(table, frame, stop - start),
                    row=int(rows[start]),
                )
        return task

    def _goes_whole(self, table: BlobTable, frame: int, wanted: int) -> bool:
        """Tell whether a frame is copied as it is: all of it is missing, and its length is one that
        this store would make.
        """
        raw = int(table.frame_raw[frame])
        if wanted != int(table.frame_chunks[frame]):
            return False
        return self._frame_bytes // 2 <= raw <= self._frame_bytes or (
            wanted == 1 and raw > self._frame_bytes
        )

    def _fetch(self, task: _Task) -> int:
        """Read and verify what a batch lacks; return how many bytes were read."""
        batch = task.found.batch
        fetched = 0
        for blob, read in task.reads:
            if self._cancel.is_set():
                break
            ref = batch.refs[blob]
            check = _FrameCheck(task, blob, read)
            try:
                read_checked(self._backend, keys.blob_key(ref.id), read.start, read.stop, check)
            except CorruptionError as error:
                raise name_file(error, batch.path_of(check.at)) from error
            fetched += check.fetched
        return fetched

    # -- packing

    def _take(self, task: _Task, reading: Future[int] | None) -> None:
        if reading is not None:
            while not reading.done():
                self._cancel.check()
                wait([reading], timeout=WAIT_SECONDS)
            self.counts.read_bytes += reading.result()
            self._cancel.check()
        found = task.found
        held = self._pack(task)
        # What is kept stays in flight until its blob is sent; the writer gives it back.
        self._budget.release(task.size - held)
        self._lookup.settle(found)
        self._place(found)
        self.counts.passed_bytes += int(found.batch.lengths.sum())
        self.counts.resumed_bytes = self._lookup.resumed_bytes
        self._writer.raise_failure()
        self._report()

    def _pack(self, task: _Task) -> int:
        """Hand what was read to the writer, in path order; return the bytes that are kept."""
        found, batch = task.found, task.found.batch
        held = 0
        singles: list[tuple[int, int, int]] = []
        for row in found.missing.tolist():
            blob, chunk = int(batch.blobs[row]), int(batch.chunks[row])
            table = batch.tables[blob]
            number = int(table.chunk_frames[chunk])
            frame = task.frames[blob, number]
            length = int(batch.lengths[row])
            if frame.is_whole:
                if frame.place is None:
                    frame.place = self._writer.add_frame(_encoded(table, number, frame.content))
                    held += len(frame.content)
                first = int(table.first_chunks[number])
                at = frame.place[0], frame.place[1] + chunk - first
            else:
                start = int(table.chunk_starts[chunk])
                span = (frame.content, start, start + length)
                at = self._writer.add(batch.ids[row].tobytes(), span)
                held += length
            singles.append((row, *at))
            self.counts.new_bytes += length
        self._note_new(batch, singles)
        for row, to_blob, to_chunk in singles:
            found.blobs[row], found.chunks[row] = to_blob, to_chunk
        return held

    def _note_new(self, batch: Batch, places: list[tuple[int, int, int]]) -> None:
        if not places:
            return
        rows, blobs, chunks = np.array(places, np.int64).T
        order = np.lexsort((chunks, blobs))
        rows, blobs, chunks = rows[order], blobs[order], chunks[order]
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = (np.diff(blobs) != 0) | (np.diff(chunks) != 1)
        for run in np.split(np.arange(len(rows)), np.flatnonzero(begins)[1:]):
            self._lookup.note_new(batch, rows[run], int(blobs[run[0]]), int(chunks[run[0]]))


def count_missing(batches: Iterator[Batch], lookup: TargetLookup, blob: int) -> tuple[int, int]:
    """Return raw bytes that the target lacks and about what they take there, reading none of them.

    Args:
        blob: a row of the target's list of blobs that stands for what would be sent.
    """
    raw = 0
    stored = 0.0
    for batch in batches:
        found = lookup.look_up(batch)
        rows = found.missing
        raw += int(batch.lengths[rows].sum())
        for number, table in enumerate(batch.tables):
            of_blob = rows[batch.blobs[rows] == number]
            frames = table.chunk_frames[batch.chunks[of_blob]]
            shares = batch.lengths[of_blob] / table.frame_raw[frames]
            stored += float((shares * table.frame_stored[frames]).sum())
        if len(rows):
            lookup.note_new(batch, rows, blob, 0)
        lookup.settle(found)
    return raw, round(stored)


def _encoded(table: BlobTable, number: int, payload: bytes) -> EncodedFrame:
    first, stop = table.first_chunks[number : number + 2].tolist()
    return EncodedFrame(
        codec=int(table.frame_codecs[number]),
        param=int(table.frame_params[number]),
        payload=payload,
        raw_length=int(table.frame_raw[number]),
        chunk_ids=table.chunk_ids[first:stop].tobytes(),
        chunk_lengths=table.chunk_lengths[first:stop].tolist(),
    )


def runs_of(chunks: Int64s) -> list[Placement]:
    """Return sorted chunks of a blob as runs of consecutive ones, which is what a plan takes."""
    begins = np.flatnonzero(np.diff(chunks, prepend=-2) != 1)
    stops = [*begins[1:].tolist(), len(chunks)]
    return [
        Placement(0, 0, int(chunks[begin]), int(chunks[stop - 1]) + 1, 0)
        for begin, stop in zip(begins.tolist(), stops, strict=True)
    ]
