"""Fetching files: plan reads, get ranges in parallel, verify every chunk, write in place.

Chunks that a local file holds are copied instead, and verified where they arrived.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cas.backend.base import Backend
from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.model.entry import path_to_text
from cas.model.progress import WAIT_SECONDS, Cancel
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader
from cas.transfer.arriving import ArrivingFiles, DownloadCounts, Wanted, WantedFile
from cas.transfer.budget import MemoryBudget
from cas.transfer.decoding import decode_read, decode_whole_chunks, write_chunks
from cas.transfer.kept_chunks import KeptRows, batch_placements, split_kept
from cas.transfer.plan import Placement, Read, limits_of, plan_reads
from cas.transfer.seed_reader import SeedReader, batch_copies, wrong_chunks
from cas.transfer.seeds import LocalCopy, SeedIndex
from cas.transfer.target import PendingFile, TargetTree

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache

TABLES_AHEAD = 8
INLINE_BATCH = 256
FEW_PLACEMENTS = 16


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
        self._chunks = tables.chunks
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
        arriving = ArrivingFiles(files, self._target, self._finished, self.counts)
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="cas-get")
        try:
            small = arriving.without_chunks()
            for start in range(0, len(small), INLINE_BATCH):
                self._cancel.check()
                for one in small[start : start + INLINE_BATCH]:
                    arriving.complete(one)
                self._report()
            self._run_tasks(pool, self._tasks(pool, arriving.by_blob(), arriving))
            while self._failed:
                # Seeds that changed since they were cut, or what was evicted: the store has it.
                wanted, self._failed, self._seeds = _regroup(self._failed), [], None
                self._chunks = None
                self._run_tasks(pool, self._tasks(pool, wanted, arriving))
        except BaseException as error:
            pool.shutdown(wait=True, cancel_futures=True)
            arriving.abandon(error)
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
                wait([future], timeout=WAIT_SECONDS)
            future.result()
        finally:
            self._budget.release(size)
        self._report()

    def _tasks(
        self, pool: ThreadPoolExecutor, wanted: Wanted, files: ArrivingFiles
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
            if self._chunks is not None:
                kept, placements = split_kept(self._chunks, table, placements)
                for group in batch_placements(kept):
                    size = max(int(table.chunk_lengths[p.first : p.stop].max()) for p in group)
                    yield size, partial(self._take_kept, self._chunks, ref, table, group, files)
            for read in plan_reads(table, placements, self._limits):
                yield read.memory_bytes, partial(self._fetch, ref, table, read, files)

    def _fetch(self, ref: BlobRef, table: BlobTable, read: Read, files: ArrivingFiles) -> None:
        if self._cancel.is_set():
            return

        def check(content: bytes) -> dict[int, memoryview]:
            with self._lock:
                self.counts.fetched_bytes += len(content)
            with self._working:
                return decode_read(ref.blob_id, table, read, memoryview(content))

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
                one = files[placement.file]
                pending = files.begin(one)
                # The kernel lets one thread at a time write to a file; others would spin meanwhile.
                with one.writing:
                    size = write_chunks(pending, placement, table, raws)
                files.note_written(one, placement.stop - placement.first, size)

    def _fetch_whole_chunks(
        self, ref: BlobRef, table: BlobTable, read: Read, files: ArrivingFiles
    ) -> tuple[Read, dict[int, memoryview]]:
        """Return what is whole of a damaged range, and leave holes for the rest."""
        try:
            content = memoryview(self._tables.read_range(ref, read.start, read.stop))
        except CorruptionError:
            content = memoryview(b"")
        with self._working:
            read, lost, raws = decode_whole_chunks(table, read, content)
        self._leave_out(lost, files)
        return read, raws

    def _leave_out(self, placements: Sequence[Placement], files: ArrivingFiles) -> None:
        """Leave holes where chunks are not to be had; raise the error in hand if none may be."""
        if self._holes is None:
            raise  # noqa: PLE0704 - called while an error is dealt with
        for placement in placements:
            start = placement.offset
            self._holes(files[placement.file].wanted.path, start, start + placement.length)
            files.leave_hole(placement)

    def _copy(
        self,
        seeds: SeedIndex,
        ref: BlobRef,
        table: BlobTable,
        copies: Sequence[LocalCopy],
        files: ArrivingFiles,
    ) -> None:
        """Copy chunks out of seeds; those that turn out to be others are noted, to be fetched."""
        with self._working, SeedReader(seeds) as reader:
            for copy in copies:
                if self._cancel.is_set():
                    return
                one, placement = files[copy.placement.file], copy.placement
                pending = files.begin(one)
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
                files.note_written(one, placement.stop - placement.first - missing, size)

    def _take_kept(
        self,
        chunks: ChunkCache,
        ref: BlobRef,
        table: BlobTable,
        kept: Sequence[Placement],
        files: ArrivingFiles,
    ) -> None:
        """Write chunks out of the cache of this machine; what it has not is noted, to be fetched."""
        rows = KeptRows(chunks, table)
        for placement in kept:
            if self._cancel.is_set():
                return
            one = files[placement.file]
            pending = files.begin(one)
            with self._working, one.writing:
                missing = rows.write(placement, pending.write_at)
            size = placement.length - sum(part.length for part in missing)
            with self._lock:
                self._failed += [(ref, part) for part in missing]
            files.note_written(one, placement.stop - placement.first - len(missing), size)


def _regroup(failed: Sequence[tuple[BlobRef, Placement]]) -> Wanted:
    wanted: Wanted = {}
    for ref, placement in failed:
        wanted.setdefault(ref.blob_id, (ref, []))[1].append(placement)
    return wanted


def _check_placements(
    blob_id: bytes, table: BlobTable, placements: list[Placement], files: ArrivingFiles
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
