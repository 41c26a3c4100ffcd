"""Fetching files: plan reads, get ranges in parallel, verify every chunk, write in place.

Chunks that a local file holds are copied instead, and verified where they arrived.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from blake3 import blake3

from cas.backend.base import Backend
from cas.compression.codec import decode
from cas.errors import BackendError, CorruptionError, ErrorCode
from cas.format.blob import BlobTable, decode_frame
from cas.model.entry import path_to_text
from cas.model.progress import Cancel, Cancelled
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader, decode_data_frame
from cas.transfer.budget import MemoryBudget
from cas.transfer.plan import Placement, Read, distinct, limits_of, part_of, plan_reads
from cas.transfer.seed_reader import SeedReader, batch_copies, wrong_chunks
from cas.transfer.seeds import LocalCopy, SeedIndex
from cas.transfer.target import PendingFile, TargetTree

TABLES_AHEAD = 8
INLINE_BATCH = 256
FEW_PLACEMENTS = 16
# Less is fetched again faster than anybody minds.
KEPT_BYTES = 1 << 20

Wanted = dict[bytes, tuple[BlobRef, list[Placement]]]


@dataclass(slots=True, eq=False)
class WantedFile:
    """A file to fetch: its inlined bytes, or the extents it lies in: rows of (blob or None, first
    chunk, chunks, bytes), in file order; None is a run of zeros.
    """

    path: bytes
    size: int
    executable: bool
    hash: bytes
    inline: bytes | None
    extents: list[tuple[BlobRef | None, int, int, int]]


@dataclass(slots=True, eq=False)
class _Progressing:
    """A file while its parts arrive."""

    wanted: WantedFile
    chunks_left: int
    pending: PendingFile | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)
    has_holes: bool = False


@dataclass(slots=True)
class DownloadCounts:
    """What a download did so far; sizes in bytes.

    Attributes:
        done_bytes: of the files that are complete.
        written_bytes: written to files, wherever it came from.
        fetched_bytes: fetched from the store, as it is there.
        copied_bytes: written out of local files.
        resumed_bytes: written out of what an interrupted get left behind.
    """

    done_files: int = 0
    done_bytes: int = 0
    written_bytes: int = 0
    fetched_bytes: int = 0
    copied_bytes: int = 0
    resumed_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTools:
    """How a download works: `budget` bounds the bytes in flight, `jobs` is the number of threads
    that decode and write, `finished` lets each file appear once all of it is written, `seeds`
    are local files that may hold chunks, and `holes`, where they are allowed, is told by path, start
    and stop which bytes are not to be had; a file with any appears without `finished`.
    """

    budget: MemoryBudget
    jobs: int
    cancel: Cancel
    report: Callable[[], None]
    finished: Callable[[WantedFile, PendingFile], None]
    seeds: SeedIndex | None = None
    holes: Callable[[bytes, int, int], None] | None = None


class Download:
    """Fetches files into a target. Used once.

    Every chunk is verified against the blob's table, which its id vouches for; a file of one
    chunk also against its own hash, which is the same thing.
    """

    def __init__(
        self, backend: Backend, tables: TableReader, target: TargetTree, tools: DownloadTools
    ) -> None:
        self._tables = tables
        self._target = target
        self._budget = tools.budget
        self._seeds = tools.seeds
        self._limits = limits_of(backend.capabilities)
        self._threads = max(tools.jobs, self._limits.in_flight)
        # Threads wait for the backend in any number; at most `jobs` of them work at a time.
        self._working = threading.BoundedSemaphore(tools.jobs)
        self._cancel = tools.cancel
        self._report = tools.report
        self._finished = tools.finished
        self._holes = tools.holes
        self._lock = threading.Lock()
        # Threads that make short system calls hand the GIL to and fro: one at a time writes small
        # files, while the others fetch, decode and verify.
        self._placing = threading.Lock()
        self._failed: list[tuple[BlobRef, Placement]] = []
        self.counts = DownloadCounts()

    def run(self, files: Sequence[WantedFile]) -> None:
        """Fetch the files. On failure those that were begun are removed, but big ones are left
        under their temporary names if a second attempt may well succeed.

        Raises:
            CorruptionError: the store has other bytes than it must, or none.
            BackendError: the storage failed.
            OSError: a local file cannot be written.
        """
        progressing = [
            _Progressing(file, sum(e[2] for e in file.extents if e[0] is not None))
            for file in files
        ]
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="cas-get")
        try:
            small = [one for one in progressing if one.chunks_left == 0]
            for start in range(0, len(small), INLINE_BATCH):
                self._cancel.check()
                batch = small[start : start + INLINE_BATCH]
                for one in batch:
                    self._complete(one)
                self._report()
            self._run_tasks(pool, self._tasks(pool, _by_blob(progressing), progressing))
            while self._failed:
                # Seeds that changed since they were cut: the store has what they had.
                wanted, self._failed, self._seeds = _regroup(self._failed), [], None
                self._run_tasks(pool, self._tasks(pool, wanted, progressing))
        except BaseException as error:
            pool.shutdown(wait=True, cancel_futures=True)
            _abandon(progressing, error)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_tasks(
        self, pool: ThreadPoolExecutor, tasks: Iterator[tuple[int, Callable[[], None]]]
    ) -> None:
        window: deque[tuple[int, Future[None]]] = deque()
        try:
            for size, work in tasks:
                self._cancel.check()
                while len(window) > 4 * self._threads or not self._budget.try_acquire(size):
                    self._take(*window.popleft())
                window.append((size, pool.submit(work)))
            while window:
                self._take(*window.popleft())
        finally:
            for _, future in window:
                future.cancel()

    def _take(self, size: int, future: Future[None]) -> None:
        try:
            while not future.done():
                self._cancel.check()
                wait([future], timeout=0.2)
            future.result()
        finally:
            self._budget.release(size)
        self._report()

    def _tasks(
        self, pool: ThreadPoolExecutor, wanted: Wanted, files: list[_Progressing]
    ) -> Iterator[tuple[int, Callable[[], None]]]:
        """Yield the bytes each task holds in memory, and what does it, in the order of blobs."""
        order = list(wanted)
        tables_ahead = max(TABLES_AHEAD, self._limits.in_flight)
        ahead: deque[Future[BlobTable]] = deque()
        for at, blob_id in enumerate(order):
            while len(ahead) < min(tables_ahead, len(order) - at):
                ahead.append(pool.submit(self._tables.open, wanted[order[at + len(ahead)]][0]))
            waits = ahead.popleft()
            ref, placements = wanted.pop(blob_id)
            try:
                table = waits.result()
                _check_placements(blob_id, table, placements, files)
            except CorruptionError:
                self._leave_out(placements, files)
                continue
            if self._seeds is not None:
                copies, placements = self._seeds.split(table, placements)
                for batch in batch_copies(copies):
                    size = max(copy.placement.length for copy in batch)
                    yield size, partial(self._copy, self._seeds, ref, table, batch, files)
            for read in plan_reads(table, placements, self._limits):
                yield read.memory_bytes, partial(self._fetch, ref, table, read, files)

    def _fetch(self, ref: BlobRef, table: BlobTable, read: Read, files: list[_Progressing]) -> None:
        if self._cancel.is_set():
            return

        def check(content: bytes) -> dict[int, memoryview]:
            with self._lock:
                self.counts.fetched_bytes += len(content)
            with self._working:
                return _decode(ref.blob_id, table, read, memoryview(content))

        try:
            raws = self._tables.read_checked(ref, read.start, read.stop, check)
        except CorruptionError:
            if self._holes is None:
                raise
            read, raws = self._fetch_whole_chunks(ref, table, read, files)
        with (
            self._working,
            self._placing if len(read.placements) > FEW_PLACEMENTS else nullcontext(),
        ):
            for placement in read.placements:
                self._place(files[placement.file], placement, table, raws)

    def _fetch_whole_chunks(
        self, ref: BlobRef, table: BlobTable, read: Read, files: list[_Progressing]
    ) -> tuple[Read, dict[int, memoryview]]:
        """Return what is whole of a damaged range, and leave holes for the rest."""
        try:
            content = memoryview(self._tables.read_range(ref, read.start, read.stop))
        except CorruptionError:
            content = memoryview(b"")
        with self._working:
            read, lost, raws = _sort_out(table, read, content)
        self._leave_out(lost, files)
        return read, raws

    def _leave_out(self, placements: Sequence[Placement], files: list[_Progressing]) -> None:
        """Leave holes where chunks are not to be had; raise the error in hand if none may be."""
        if self._holes is None:
            raise  # noqa: PLE0704 - called while an error is dealt with
        for placement in placements:
            one = files[placement.file]
            self._begin(one).resize(one.wanted.size)
            one.has_holes = True
            start = placement.offset
            self._holes(one.wanted.path, start, start + placement.length)
            self._note_written(one, placement.stop - placement.first, 0)

    def _copy(
        self,
        seeds: SeedIndex,
        ref: BlobRef,
        table: BlobTable,
        copies: Sequence[LocalCopy],
        files: list[_Progressing],
    ) -> None:
        """Copy chunks out of seeds; those that turn out to be others are noted, to be fetched."""
        with self._working, SeedReader(seeds) as reader:
            for copy in copies:
                if self._cancel.is_set():
                    return
                one, placement = files[copy.placement.file], copy.placement
                pending = self._begin(one)
                with one.writing:
                    arrived = reader.copy(copy, pending)
                wrong = wrong_chunks(placement, pending, table) if arrived else [placement]
                size = placement.length - sum(part.length for part in wrong)
                with self._lock:
                    self._failed += [(ref, part) for part in wrong]
                    if seeds.seeds[copy.seed].is_leftover:
                        self.counts.resumed_bytes += size
                    else:
                        self.counts.copied_bytes += size
                missing = sum(part.stop - part.first for part in wrong)
                self._note_written(one, placement.stop - placement.first - missing, size)

    def _place(
        self,
        one: _Progressing,
        placement: Placement,
        table: BlobTable,
        raws: dict[int, memoryview],
    ) -> None:
        """Write the chunks of a placement; finish the file if they were the last ones."""
        pending = self._begin(one)
        # The kernel lets one thread at a time write to a file; others would spin meanwhile.
        with one.writing:
            offset = self._write(pending, placement, table, raws)
        self._note_written(one, placement.stop - placement.first, offset - placement.offset)

    def _note_written(self, one: _Progressing, chunks: int, size: int) -> None:
        with one.lock:
            one.chunks_left -= chunks
            is_complete = one.chunks_left == 0
        with self._lock:
            self.counts.written_bytes += size
        if is_complete:
            self._complete(one)

    @staticmethod
    def _write(
        pending: PendingFile,
        placement: Placement,
        table: BlobTable,
        raws: dict[int, memoryview],
    ) -> int:
        """Write the chunks of a placement, frame by frame; return where they end in the file."""
        offset = placement.offset
        row = placement.first
        while row < placement.stop:
            frame = int(table.chunk_frames[row])
            last = min(placement.stop, int(table.first_chunks[frame + 1])) - 1
            start = int(table.chunk_starts[row])
            stop = int(table.chunk_starts[last]) + int(table.chunk_lengths[last])
            pending.write_at(raws[frame][start:stop], offset)
            offset += stop - start
            row = last + 1
        return offset

    def _begin(self, one: _Progressing) -> PendingFile:
        wanted = one.wanted
        with one.lock:
            if one.pending is None:
                one.pending = self._target.create(wanted.path, executable=wanted.executable)
                if len(wanted.extents) > 1:
                    one.pending.resize(wanted.size)
            return one.pending

    def _complete(self, one: _Progressing) -> None:
        pending = self._begin(one)
        wanted = one.wanted
        if wanted.inline is not None:
            if blake3(wanted.inline).digest() != wanted.hash:
                raise CorruptionError(
                    f"{path_to_text(wanted.path)}: its page holds other bytes than its hash says",
                    code=ErrorCode.DIGEST_MISMATCH,
                )
            pending.write_at(memoryview(wanted.inline), 0)
        elif wanted.extents[0][0] is None:
            pending.resize(wanted.size)
        if one.has_holes:
            pending.commit()  # nothing vouches for it as a whole
        else:
            self._finished(wanted, pending)
        one.pending = None
        with self._lock:
            self.counts.done_files += 1
            self.counts.done_bytes += wanted.size


def _by_blob(files: Sequence[_Progressing]) -> Wanted:
    """Group what the files need by blob, in the order in which blobs are first needed."""
    wanted: Wanted = {}
    for number, one in enumerate(files):
        offset = 0
        for ref, first, chunks, length in one.wanted.extents:
            if ref is not None:
                placement = Placement(number, offset, first, first + chunks, length)
                found = wanted.get(ref.blob_id)
                if found is None:
                    wanted[ref.blob_id] = (ref, [placement])
                else:
                    found[1].append(placement)
            offset += length
    return wanted


def _regroup(failed: Sequence[tuple[BlobRef, Placement]]) -> Wanted:
    wanted: Wanted = {}
    for ref, placement in failed:
        wanted.setdefault(ref.blob_id, (ref, []))[1].append(placement)
    return wanted


def _abandon(files: Sequence[_Progressing], error: BaseException) -> None:
    """Remove files that are not complete, or leave them for the next get if one can be expected.

    A full disk or a damaged store is no reason to keep anything.
    """
    goes_on = isinstance(error, (BackendError, Cancelled, KeyboardInterrupt))
    for one in files:
        pending = one.pending
        if pending is not None:
            if goes_on and one.wanted.size >= KEPT_BYTES:
                pending.keep()
            else:
                pending.discard()


def _decode(
    blob_id: bytes, table: BlobTable, read: Read, content: memoryview
) -> dict[int, memoryview]:
    """Return the raw bytes of the frames of a read that hold wanted chunks, all verified."""
    chunks = _chunks_of(read)
    frames = table.chunk_frames[chunks]
    raws: dict[int, memoryview] = {}
    for frame in distinct(frames).tolist():
        start = int(table.frame_offsets[frame]) - read.start
        stop = (
            int(table.frame_offsets[frame + 1]) - read.start
            if frame + 1 < read.stop_frame
            else len(content)
        )
        raw = decode_data_frame(blob_id, table, frame, content[start:stop], chunks[frames == frame])
        raws[frame] = memoryview(raw)
    return raws


def _sort_out(
    table: BlobTable, read: Read, content: memoryview
) -> tuple[Read, list[Placement], dict[int, memoryview]]:
    """Tell the chunks of a read that are whole from those that are not, and decode the former."""
    from cas.objects.examine_blob import damaged_chunks, frame_stop  # 6 ms; only damage needs it

    raws: dict[int, memoryview] = {}
    damaged = np.zeros(len(table.chunk_lengths) + 1, np.bool_)
    for frame in range(read.first_frame, read.stop_frame):
        start = int(table.frame_offsets[frame]) - read.start
        piece = content[start : frame_stop(table, frame) - read.start]
        rows, _ = damaged_chunks(table, frame, piece)
        damaged[rows] = True
        if len(rows) < int(table.frame_chunks[frame]):
            head = decode_frame(piece, what=f"frame {frame}")
            raws[frame] = memoryview(decode(head.payload, head.codec, head.param, head.raw_length))
    starts = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.cumsum(table.chunk_lengths, out=starts[1:])
    whole: list[Placement] = []
    lost: list[Placement] = []
    for placement in read.placements:
        first = placement.first
        for row in range(placement.first + 1, placement.stop + 1):
            if row == placement.stop or damaged[row] != damaged[first]:
                part = part_of(placement, first, row, starts)
                (lost if damaged[first] else whole).append(part)
                first = row
    return replace(read, placements=tuple(whole)), lost, raws


def _chunks_of(read: Read) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    spans = {(placement.first, placement.stop) for placement in read.placements}
    return distinct(np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans]))


def _check_placements(
    blob_id: bytes, table: BlobTable, placements: list[Placement], files: list[_Progressing]
) -> None:
    """The manifest speaks of chunks that the blob must have, of the lengths it must have."""
    count = len(table.chunk_lengths)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(table.chunk_lengths, dtype=np.int64)])
    for placement in placements:
        if (
            placement.stop > count
            or starts[placement.stop] - starts[placement.first] != placement.length
        ):
            wanted = files[placement.file].wanted
            raise CorruptionError(
                f"{path_to_text(wanted.path)}: its page and blob {blob_id.hex()[:12]} disagree",
                code=ErrorCode.MALFORMED_OBJECT,
            )
        wanted = files[placement.file].wanted
        if len(wanted.extents) == 1 and wanted.extents[0][2] == 1:
            _check_single(wanted, table, placement.first)


def _check_single(wanted: WantedFile, table: BlobTable, row: int) -> None:
    if table.chunk_ids[row].tobytes() != wanted.hash:
        raise CorruptionError(
            f"{path_to_text(wanted.path)}: the store has another file there",
            code=ErrorCode.DIGEST_MISMATCH,
        )
