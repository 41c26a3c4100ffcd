"""The pipeline of a put: read, cut, hash, look up, pack, compress and send, all overlapped.

One thread drives it: it hands reading and cutting to the pool, takes the results in path order,
decides what is new, and packs that. Memory in flight is bounded by one budget.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import BinaryIO

from cas.chunking.cutter import Cutter
from cas.format.manifest import INLINE_LIMIT
from cas.model.entry import EntryKind
from cas.model.progress import WAIT_SECONDS, Cancel
from cas.transfer.big_file import BigFile
from cas.transfer.budget import MemoryBudget
from cas.transfer.content import Content, LocalContent, OpenedFile
from cas.transfer.cutting import (
    READ_ATTEMPTS,
    SEGMENT_BYTES,
    SMALL_FILE_BYTES,
    CutBatch,
    CutSegment,
    SmallFile,
    cut_segment_content,
    read_stream,
)
from cas.transfer.dedup import Deduplicator
from cas.transfer.packing import BlobWriter
from cas.transfer.placing import Placer, UploadCounts
from cas.transfer.recording import EntryRecorder
from cas.transfer.remote_content import RemoteContent
from cas.transfer.remote_tree import RemoteTree
from cas.transfer.rows import EntryColumns
from cas.transfer.small_readers import SmallReaders
from cas.transfer.stamp import FileStamp
from cas.transfer.tree import LocalTree

# Looking an enum's member up by name takes longer than all else that is done per file.
FILE, SYMLINK = int(EntryKind.FILE), int(EntryKind.SYMLINK)

BATCH_BYTES = 4 << 20
# Threads that wait for servers cost little; how many requests these bear is found out below them.
READS_IN_FLIGHT = 32


@dataclass(slots=True)
class _Task:
    """Work for a thread: how many bytes it will hold, and what to do with its result.

    `is_batch` tells tasks of many short system calls from those of a few long native ones.
    """

    size: int
    run: Callable[[], CutBatch | CutSegment | None]
    take: Callable[[CutBatch | CutSegment | None], None]
    is_batch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTools:
    """What an upload works with: `pool` has `jobs` threads; `budget` bounds bytes in flight."""

    cutter: Cutter
    dedup: Deduplicator
    writer: BlobWriter
    pool: ThreadPoolExecutor
    budget: MemoryBudget
    jobs: int


class Upload:
    """Stores the content of chosen entries of a tree and fills their columns.

    Not thread-safe. After `run`, entries that could not be read stand in `problems`, and every
    other chosen one is known in `columns`.
    """

    def __init__(
        self,
        tree: LocalTree,
        columns: EntryColumns,
        tools: UploadTools,
        *,
        cancel: Cancel,
        report: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._cutter = tools.cutter
        self._writer = tools.writer
        self._pool = tools.pool
        self._budget = tools.budget
        self._content: Content = (
            RemoteContent(tree) if isinstance(tree, RemoteTree) else LocalContent(tree)
        )
        self._window = 2 * (READS_IN_FLIGHT if self._content.waits else tools.jobs) + 2
        self._cancel = cancel
        self._report = report
        self._retries: deque[tuple[int, int]] = deque()
        self._opened: set[OpenedFile] = set()
        self.counts = UploadCounts()
        self._placer = Placer(tools.dedup, tools.writer, self.counts, len(tree))
        self._recorder = EntryRecorder(tree, columns, self._placer, self.counts)
        self._small = SmallReaders()
        self._waiting = ThreadPoolExecutor(READS_IN_FLIGHT, thread_name_prefix="cas-read")

    @property
    def placer(self) -> Placer:
        """What decides which chunks are new, and counts them."""
        return self._placer

    @property
    def problems(self) -> list[str]:
        """What could not be read, and why."""
        return self._recorder.problems

    def run(self, rows: Sequence[int]) -> None:
        """Store the regular files and links of `rows`, given in path order."""
        with self._small, self._waiting:
            self._run_tasks(self._tasks(rows))
            while self._retries:
                row, attempt = self._retries.popleft()
                self._run_tasks(self._big_file_tasks(row, attempt, again=True))

    def run_stream(self, row: int, stream: BinaryIO) -> None:
        """Store what a stream gives as the content of `row`."""
        self._run_tasks(self._stream_tasks(row, stream))

    # -- scheduling

    def _run_tasks(self, tasks: Iterator[_Task]) -> None:
        """Keep the pool busy as far as the budget allows; take results in order."""
        window: deque[tuple[_Task, Future[CutBatch | CutSegment | None]]] = deque()
        waiting: _Task | None = next(tasks, None)
        try:
            while waiting is not None or window:
                self._cancel.check()
                while (
                    waiting is not None
                    and len(window) < max(self._window, 2 * self._small.readers)
                    and self._budget.try_acquire(waiting.size)
                ):
                    window.append((waiting, self._submit(waiting)))
                    waiting = next(tasks, None)
                if window:
                    self._take(*window.popleft())
                elif waiting is not None:
                    self._make_room()
        finally:
            self._stop([future for _, future in window])

    def _stop(self, futures: list[Future[CutBatch | CutSegment | None]]) -> None:
        """Drop what has not begun, wait for the rest, and close what was being read."""
        # Closed before that, a descriptor might be read that stands for another file by then.
        wait([future for future in futures if not future.cancel()])
        while self._opened:
            self._opened.pop().close()

    def _submit(self, task: _Task) -> Future[CutBatch | CutSegment | None]:
        if self._content.waits:
            return self._waiting.submit(task.run)
        submit = self._small.submit if task.is_batch else self._pool.submit
        return submit(task.run)

    def _take(self, task: _Task, future: Future[CutBatch | CutSegment | None]) -> None:
        result = future.result()
        before = self.counts.new_bytes
        task.take(result)
        # New bytes stay in flight until their blob is sent; the writer gives them back.
        self._budget.release(task.size - (self.counts.new_bytes - before))
        self._writer.raise_failure()
        self._report()

    def _make_room(self) -> None:
        """Nothing is being read and the budget is used up: wait for blobs to be sent."""
        self._writer.make_room()
        self._budget.wait_for_release(WAIT_SECONDS)
        self._report()

    def _tasks(self, rows: Sequence[int]) -> Iterator[_Task]:
        tree = self._tree
        kinds = tree.kinds
        batch: list[SmallFile] = []
        batch_bytes = 0
        for row in rows:
            if kinds[row] == SYMLINK:
                self._recorder.store_link(row)
                continue
            if kinds[row] != FILE:
                self._recorder.store_nothing(row)
                continue
            stamp = tree.stamp(row)
            if stamp.size > SMALL_FILE_BYTES:
                if batch:
                    yield self._batch_task(batch, batch_bytes)
                    batch, batch_bytes = [], 0
                yield from self._big_file_tasks(row, 1, again=False)
                continue
            batch.append(SmallFile(row, self._content.locate(row), stamp))
            batch_bytes += stamp.size
            if batch_bytes >= BATCH_BYTES or len(batch) >= self._content.batch_files:
                yield self._batch_task(batch, batch_bytes)
                batch, batch_bytes = [], 0
        if batch:
            yield self._batch_task(batch, batch_bytes)

    def _batch_task(self, files: list[SmallFile], size: int) -> _Task:
        cutter = self._cutter

        def take(result: CutBatch | CutSegment | None) -> None:
            assert isinstance(result, CutBatch)
            self._retries += ((row, 1) for row in result.grown)
            self._recorder.store_batch(result)

        return _Task(size, lambda: self._content.cut_small(cutter, files), take, is_batch=True)

    def _big_file_tasks(self, row: int, attempt: int, *, again: bool) -> Iterator[_Task]:
        try:
            opened = self._content.open(row, again=again)
        except OSError as error:
            self._recorder.note_problem(row, error)
            return
        self._opened.add(opened)
        try:
            segments = opened.segments()
        except OSError as error:
            self._close(opened)
            self._recorder.note_problem(row, error)
            return
        if not segments:
            self._close(opened)
            self._recorder.store_emptied(row, opened.stamp, executable=opened.executable)
            return
        file = BigFile(row, self._cutter, self._placer, opened, attempt)
        for number, (offset, length, is_hole) in enumerate(segments):
            yield self._segment_task(
                file, offset, length, is_hole=is_hole, is_last=number == len(segments) - 1
            )

    def _stream_tasks(self, row: int, stream: BinaryIO) -> Iterator[_Task]:
        """Segments of a stream: read here, in order; cut by the pool."""
        file = BigFile(row, self._cutter, self._placer)
        content = read_stream(stream, SEGMENT_BYTES)
        if len(content) <= INLINE_LIMIT:
            self._recorder.store_inline(row, content)
            return
        while content:
            following = read_stream(stream, SEGMENT_BYTES)
            yield self._content_task(file, content, is_last=not following)
            content = following

    def _content_task(self, file: BigFile, content: bytes, *, is_last: bool) -> _Task:
        cutter = self._cutter

        def take(result: CutBatch | CutSegment | None) -> None:
            assert isinstance(result, CutSegment)
            self._take_segment(file, result)
            if is_last:
                file.finish()
                self._recorder.store_stream(file)

        return _Task(len(content), lambda: cut_segment_content(cutter, content), take)

    def _segment_task(
        self, file: BigFile, offset: int, length: int, *, is_hole: bool, is_last: bool
    ) -> _Task:
        cutter, opened = self._cutter, file.opened
        assert opened is not None

        def run() -> CutBatch | CutSegment | None:
            if is_hole:
                return CutSegment(length, None, [length])
            try:
                return cut_segment_content(cutter, opened.read(offset, length))
            except OSError as error:
                file.failure = error  # told when the file's turn is over, unless another try helps
                return None

        def take(result: CutBatch | CutSegment | None) -> None:
            assert not isinstance(result, CutBatch)
            if result is not None:
                self._take_segment(file, result)
            if is_last:
                self._finish_big_file(file)

        return _Task(0 if is_hole else length, run, take)

    # -- big files

    def _close(self, opened: OpenedFile) -> FileStamp:
        self._opened.discard(opened)
        return opened.close()

    def _take_segment(self, file: BigFile, segment: CutSegment) -> None:
        file.add(segment)
        if segment.content is not None:
            self.counts.read_bytes += segment.length
        self.counts.passed_bytes += segment.length

    def _finish_big_file(self, file: BigFile) -> None:
        file.finish()
        opened = file.opened
        assert opened is not None
        after = self._close(opened)
        if after != opened.stamp or file.size != opened.stamp.size:
            if file.attempt < READ_ATTEMPTS:
                self._retries.append((file.row, file.attempt + 1))
            else:
                changing = OSError(0, "kept changing while it was read")
                self._recorder.note_problem(file.row, file.failure or changing)
            return
        self._recorder.store_big_file(file, opened.stamp, executable=opened.executable)
