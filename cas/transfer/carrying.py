"""Carrying files between stores: chunks are looked up in the target, and what it does not have is
read from the source in ranges, verified, and packed.

One thread drives it: it looks batches up, hands reading and verifying to the pool, and packs the
results in path order. Memory in flight is bounded by one budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from cas.backend.base import Backend
from cas.errors import CorruptionError
from cas.format import keys
from cas.model.progress import WAIT_SECONDS, Cancel
from cas.objects.blobs import TableReader, read_checked
from cas.transfer.budget import MemoryBudget
from cas.transfer.carry_batches import BATCH_BYTES, Batch, CarriedFile, iter_batches, name_file
from cas.transfer.frame_reads import FrameCheck, FrameReads, encoded_frame, plan_frame_reads
from cas.transfer.packing import BlobWriter
from cas.transfer.placing import UploadCounts
from cas.transfer.target_lookup import Found, TargetLookup


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
        tasks = (
            plan_frame_reads(self._lookup.look_up(batch), self._frame_bytes) for batch in batches
        )
        window: deque[tuple[FrameReads, Future[int] | None]] = deque()
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

    def _fetch(self, task: FrameReads) -> int:
        """Read and verify what a batch lacks; return how many bytes were read."""
        batch = task.found.batch
        fetched = 0
        for blob, read in task.reads:
            if self._cancel.is_set():
                break
            ref = batch.refs[blob]
            check = FrameCheck(task, blob, read)
            try:
                read_checked(self._backend, keys.blob_key(ref.id), read.start, read.stop, check)
            except CorruptionError as error:
                raise name_file(error, batch.path_of(check.at)) from error
            fetched += check.fetched
        return fetched

    def _take(self, task: FrameReads, reading: Future[int] | None) -> None:
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

    def _pack(self, task: FrameReads) -> int:
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
                    frame.place = self._writer.add_frame(
                        encoded_frame(table, number, frame.content)
                    )
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
