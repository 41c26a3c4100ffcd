"""Fetching files: plan reads, get ranges in parallel, verify every chunk, write in place."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
from blake3 import blake3

from cas.backend.base import Backend
from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.model.entry import path_to_text
from cas.model.progress import Cancel
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader, decode_data_frame, read_range
from cas.transfer.budget import MemoryBudget
from cas.transfer.plan import Placement, Read, plan_reads
from cas.transfer.target import PendingFile, TargetTree

TABLES_AHEAD = 8
INLINE_BATCH = 256
FEW_PLACEMENTS = 16


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


@dataclass(slots=True)
class DownloadCounts:
    """What a download did so far; sizes in bytes."""

    done_files: int = 0
    written_bytes: int = 0
    fetched_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTools:
    """How a download works: `budget` bounds the bytes in flight, `jobs` is the number of threads,
    and `finished` lets each file appear once all of it is written.
    """

    budget: MemoryBudget
    jobs: int
    cancel: Cancel
    report: Callable[[], None]
    finished: Callable[[WantedFile, PendingFile], None]


class Download:
    """Fetches files into a target. Used once.

    Every chunk is verified against the blob's table, which its id vouches for; a file of one
    chunk also against its own hash, which is the same thing.
    """

    def __init__(
        self, backend: Backend, tables: TableReader, target: TargetTree, tools: DownloadTools
    ) -> None:
        self._backend = backend
        self._tables = tables
        self._target = target
        self._budget = tools.budget
        self._jobs = tools.jobs
        self._cancel = tools.cancel
        self._report = tools.report
        self._finished = tools.finished
        self._lock = threading.Lock()
        # Threads that make short system calls hand the GIL to and fro: one at a time writes small
        # files, while the others fetch, decode and verify.
        self._placing = threading.Lock()
        self.counts = DownloadCounts()

    def run(self, files: Sequence[WantedFile]) -> None:
        """Fetch the files; those that were begun and not finished are removed on failure.

        Raises:
            CorruptionError: the store has other bytes than it must, or none.
            BackendError: the storage failed.
            OSError: a local file cannot be written.
        """
        progressing = [
            _Progressing(file, sum(e[2] for e in file.extents if e[0] is not None))
            for file in files
        ]
        pool = ThreadPoolExecutor(self._jobs, thread_name_prefix="cas-get")
        try:
            small = [one for one in progressing if one.chunks_left == 0]
            for start in range(0, len(small), INLINE_BATCH):
                self._cancel.check()
                batch = small[start : start + INLINE_BATCH]
                for one in batch:
                    self._complete(one)
                self._report()
            self._run_reads(pool, progressing)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            for one in progressing:
                if one.pending is not None:
                    one.pending.discard()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_reads(self, pool: ThreadPoolExecutor, files: list[_Progressing]) -> None:
        window: deque[tuple[int, Future[None]]] = deque()
        try:
            for size, work in self._reads(pool, files):
                self._cancel.check()
                while len(window) > 4 * self._jobs or not self._budget.try_acquire(size):
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

    def _reads(
        self, pool: ThreadPoolExecutor, files: list[_Progressing]
    ) -> Iterator[tuple[int, Callable[[], None]]]:
        """Yield the bytes each read holds in memory, and what does it, in the order of blobs."""
        placements: dict[bytes, list[Placement]] = {}
        refs: dict[bytes, BlobRef] = {}
        for number, one in enumerate(files):
            offset = 0
            for ref, first, chunks, length in one.wanted.extents:
                if ref is not None:
                    refs[ref.blob_id] = ref
                    placements.setdefault(ref.blob_id, []).append(
                        Placement(number, offset, first, first + chunks, length)
                    )
                offset += length
        order = list(placements)
        ahead: deque[Future[BlobTable]] = deque()
        for at, blob_id in enumerate(order):
            while len(ahead) < min(TABLES_AHEAD, len(order) - at):
                ahead.append(pool.submit(self._tables.read, refs[order[at + len(ahead)]]))
            table = ahead.popleft().result()
            _check_placements(blob_id, table, placements[blob_id], files)
            for read in plan_reads(table, placements.pop(blob_id)):
                yield (
                    read.stop - read.start + int(table.frame_raw.max()),
                    lambda r=read, t=table, b=refs[blob_id]: self._fetch(b, t, r, files),  # type: ignore[misc]
                )

    def _fetch(self, ref: BlobRef, table: BlobTable, read: Read, files: list[_Progressing]) -> None:
        if self._cancel.is_set():
            return
        content = memoryview(read_range(self._backend, ref.id, read.start, read.stop))
        chunks = _chunks_of(read)
        frames = table.chunk_frames[chunks]
        raws: dict[int, memoryview] = {}
        for frame in np.unique(frames).tolist():
            start = int(table.frame_offsets[frame]) - read.start
            stop = (
                int(table.frame_offsets[frame + 1]) - read.start
                if frame + 1 < read.stop_frame
                else len(content)
            )
            raw = decode_data_frame(
                ref.blob_id, table, frame, content[start:stop], chunks[frames == frame]
            )
            raws[frame] = memoryview(raw)
        with self._placing if len(read.placements) > FEW_PLACEMENTS else nullcontext():
            for placement in read.placements:
                self._place(files[placement.file], placement, table, raws)
        with self._lock:
            self.counts.fetched_bytes += len(content)

    def _place(
        self,
        one: _Progressing,
        placement: Placement,
        table: BlobTable,
        raws: dict[int, memoryview],
    ) -> None:
        """Write the chunks of a placement; finish the file if they were the last ones."""
        wanted = one.wanted
        if len(wanted.extents) == 1 and wanted.extents[0][2] == 1:
            _check_single(wanted, table, placement.first)
        pending = self._begin(one)
        # The kernel lets one thread at a time write to a file; others would spin meanwhile.
        with one.writing:
            offset = self._write(pending, placement, table, raws)
        with one.lock:
            one.chunks_left -= placement.stop - placement.first
            is_complete = one.chunks_left == 0
        with self._lock:
            self.counts.written_bytes += offset - placement.offset
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
        self._finished(wanted, pending)
        one.pending = None
        with self._lock:
            self.counts.done_files += 1


def _chunks_of(read: Read) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    spans = {(placement.first, placement.stop) for placement in read.placements}
    return np.unique(np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans]))


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


def _check_single(wanted: WantedFile, table: BlobTable, row: int) -> None:
    if table.chunk_ids[row].tobytes() != wanted.hash:
        raise CorruptionError(
            f"{path_to_text(wanted.path)}: the store has another file there",
            code=ErrorCode.DIGEST_MISMATCH,
        )
