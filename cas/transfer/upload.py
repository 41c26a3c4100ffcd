"""The pipeline of a put: read, cut, hash, look up, pack, compress and send, all overlapped.

One thread drives it: it hands reading and cutting to the pool, takes the results in path order,
decides what is new, and packs that. Memory in flight is bounded by one budget.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.chunking.cutter import Cutter
from cas.format.manifest import INLINE_LIMIT
from cas.model.entry import EntryKind, path_to_text
from cas.model.progress import Cancel
from cas.transfer.budget import MemoryBudget
from cas.transfer.cutting import (
    READ_ATTEMPTS,
    SEGMENT_BYTES,
    SMALL_FILE_BYTES,
    CutBatch,
    CutSegment,
    FileStamp,
    Items,
    SegmentJoiner,
    cut_segment,
    cut_segment_content,
    cut_small_files,
    hole_segments,
    open_source,
    read_stream,
)
from cas.transfer.dedup import Deduplicator
from cas.transfer.fragmentation import FragmentationGuard
from cas.transfer.packing import BlobWriter
from cas.transfer.rows import HOLE_ROW, EntryColumns, Extents, merge_extents
from cas.transfer.tree import LocalTree

BATCH_BYTES = 4 << 20
BATCH_FILES = 512
ZEROS = bytes(16 << 20)

Int64s = NDArray[np.int64]


@dataclass(slots=True)
class UploadCounts:
    """What an upload did so far; sizes in bytes."""

    read_files: int = 0
    read_bytes: int = 0
    passed_bytes: int = 0
    new_bytes: int = 0
    resumed_bytes: int = 0


@dataclass(slots=True)
class _BigFile:
    """A big file on its way: its segments come one after another."""

    row: int
    joiner: SegmentJoiner
    descriptor: int = -1
    stamp: FileStamp = FileStamp(0, 0, 0, 0)
    executable: bool = False
    attempt: int = 1
    hasher: blake3 = field(default_factory=lambda: blake3(max_threads=blake3.AUTO))
    parts: list[Extents] = field(default_factory=list)
    is_all_hole: bool = True


@dataclass(slots=True)
class _Task:
    """Work for the pool: how many bytes it will hold, and what to do with its result."""

    size: int
    run: Callable[[], CutBatch | CutSegment | None]
    take: Callable[[CutBatch | CutSegment | None], None]


class Upload:
    """Stores the content of chosen entries of a tree and fills their columns.

    Not thread-safe. After `run`, entries that could not be read stand in `problems`, and every
    other chosen one is known in `columns`.
    """

    def __init__(
        self,
        tree: LocalTree,
        columns: EntryColumns,
        cutter: Cutter,
        dedup: Deduplicator,
        writer: BlobWriter,
        pool: ThreadPoolExecutor,
        budget: MemoryBudget,
        *,
        jobs: int,
        cancel: Cancel,
        report: Callable[[], None],
    ) -> None:
        self._tree = tree
        self._columns = columns
        self._cutter = cutter
        self._dedup = dedup
        self._writer = writer
        self._pool = pool
        self._budget = budget
        self._window = 2 * jobs + 2
        self._cancel = cancel
        self._report = report
        self._guard = FragmentationGuard()
        self._retries: deque[tuple[int, int]] = deque()
        self._hole_hashes: dict[int, bytes] = {}
        self.resumed_rows: frozenset[int] = frozenset()
        self.counts = UploadCounts()
        self.new_bytes_by_row = np.zeros(len(tree), np.int64)
        self.problems: list[str] = []

    @property
    def refused_bytes(self) -> int:
        """Bytes stored again though the store had them, to keep the version in few places."""
        return self._guard.refused_bytes

    def run(self, rows: Sequence[int]) -> None:
        """Store the regular files and links of `rows`, given in path order."""
        self._run_tasks(self._tasks(rows))
        while self._retries:
            row, attempt = self._retries.popleft()
            self._run_tasks(self._big_file_tasks(row, attempt))

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
                    and len(window) < self._window
                    and self._budget.try_acquire(waiting.size)
                ):
                    window.append((waiting, self._pool.submit(waiting.run)))
                    waiting = next(tasks, None)
                if window:
                    self._take(*window.popleft())
                elif waiting is not None:
                    self._make_room()
        finally:
            for _, future in window:
                future.cancel()

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
        self._writer.flush()
        self._writer.raise_failure()
        self._budget.wait_for_release(0.2)

    def _tasks(self, rows: Sequence[int]) -> Iterator[_Task]:
        kinds, sizes = self._tree.kinds, self._tree.sizes
        batch: list[tuple[int, bytes]] = []
        batch_bytes = 0
        for row in rows:
            if kinds[row] == EntryKind.SYMLINK:
                self._store_link(row)
                continue
            if kinds[row] != EntryKind.FILE:
                self._columns.is_known[row] = True
                continue
            size = int(sizes[row])
            if size > SMALL_FILE_BYTES:
                if batch:
                    yield self._batch_task(batch, batch_bytes)
                    batch, batch_bytes = [], 0
                yield from self._big_file_tasks(row, 1)
                continue
            batch.append((row, self._tree.local_path(row)))
            batch_bytes += size
            if batch_bytes >= BATCH_BYTES or len(batch) >= BATCH_FILES:
                yield self._batch_task(batch, batch_bytes)
                batch, batch_bytes = [], 0
        if batch:
            yield self._batch_task(batch, batch_bytes)

    def _batch_task(self, files: list[tuple[int, bytes]], size: int) -> _Task:
        cutter = self._cutter

        def take(result: CutBatch | CutSegment | None) -> None:
            assert isinstance(result, CutBatch)
            self._take_batch(result)

        return _Task(size, lambda: cut_small_files(cutter, files), take)

    def _big_file_tasks(self, row: int, attempt: int) -> Iterator[_Task]:
        file = self._open_big_file(row, attempt)
        if file is None:
            return
        try:
            segments = hole_segments(file.descriptor, file.stamp.size)
        except OSError as error:
            os.close(file.descriptor)
            self._note_problem(row, error)
            return
        for number, (offset, length, is_hole) in enumerate(segments):
            yield self._segment_task(
                file, offset, length, is_hole=is_hole, is_last=number == len(segments) - 1
            )

    def _stream_tasks(self, row: int, stream: BinaryIO) -> Iterator[_Task]:
        """Segments of a stream: read here, in order; cut by the pool."""
        cutter = self._cutter
        file = _BigFile(row=row, joiner=SegmentJoiner(cutter))
        content = read_stream(stream, SEGMENT_BYTES)
        if len(content) <= INLINE_LIMIT:
            self._store_inline(row, content)
            return
        while content:
            following = read_stream(stream, SEGMENT_BYTES)
            yield self._content_task(file, content, is_last=not following)
            content = following

    def _content_task(self, file: _BigFile, content: bytes, *, is_last: bool) -> _Task:
        cutter = self._cutter

        def take(result: CutBatch | CutSegment | None) -> None:
            assert isinstance(result, CutSegment)
            self._take_segment(file, result)
            if is_last:
                self._finish_stream(file)

        return _Task(len(content), lambda: cut_segment_content(cutter, content), take)

    def _segment_task(
        self, file: _BigFile, offset: int, length: int, *, is_hole: bool, is_last: bool
    ) -> _Task:
        cutter = self._cutter

        def run() -> CutBatch | CutSegment | None:
            if is_hole:
                return CutSegment(length, None, [length])
            try:
                return cut_segment(cutter, file.descriptor, offset, length)
            except OSError:
                return None  # told by the stat at the end, or by the next attempt

        def take(result: CutBatch | CutSegment | None) -> None:
            assert not isinstance(result, CutBatch)
            if result is not None:
                self._take_segment(file, result)
            if is_last:
                self._finish_big_file(file)

        return _Task(0 if is_hole else length, run, take)

    # -- links and small files

    def _store_inline(self, row: int, content: bytes) -> None:
        columns = self._columns
        columns.sizes[row] = len(content)
        columns.hashes[row] = np.frombuffer(blake3(content).digest(), np.uint8)
        columns.set_inline(row, content)
        columns.is_known[row] = True

    def _store_link(self, row: int) -> None:
        try:
            target = os.readlink(self._tree.local_path(row))
        except OSError as error:
            self._note_problem(row, error)
            return
        self._store_inline(row, target)

    def _take_batch(self, batch: CutBatch) -> None:
        for row, reason in batch.problems:
            self.problems.append(f"{path_to_text(self._tree.paths[row])}: {reason}")
        files, columns = batch.files, self._columns
        if not files:
            return
        rows = np.array([file.row for file in files], np.int64)
        sizes = np.array([file.stamp.size for file in files], np.int64)
        counts = np.array([file.item_count for file in files], np.int64)
        columns.sizes[rows] = sizes
        columns.modes[rows] = np.array([file.executable for file in files], np.uint8)
        hashes = b"".join(file.hash for file in files)
        columns.hashes[rows] = np.frombuffer(hashes, np.uint8).reshape(-1, 32)
        for file in files:
            self._restamp(file.row, file.stamp)
            if file.inline:
                columns.set_inline(file.row, file.inline)
        self.counts.read_files += len(files)
        self.counts.read_bytes += int(sizes.sum())
        self.counts.passed_bytes += int(sizes.sum())
        with_items = counts > 0
        if with_items.any():
            owners = np.repeat(rows, counts)
            extents = self._place(batch.items, owners, np.repeat(True, len(owners)))
            starts = (np.cumsum(counts) - counts)[with_items]
            merged, per_file = merge_extents(extents, starts)
            columns.add_extents(rows[with_items], per_file, merged)
        columns.is_known[rows] = True

    def _restamp(self, row: int, stamp: FileStamp) -> None:
        """Remember the stat that belongs to the bytes that were read."""
        tree = self._tree
        tree.sizes[row] = stamp.size
        tree.mtimes[row] = stamp.mtime
        tree.ctimes[row] = stamp.ctime
        tree.inodes[row] = stamp.inode

    # -- big files

    def _open_big_file(self, row: int, attempt: int) -> _BigFile | None:
        path = self._tree.local_path(row)
        try:
            descriptor = open_source(path)
        except OSError as error:
            self._note_problem(row, error)
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            self._note_problem(row, OSError(0, "is no longer a regular file"))
            return None
        return _BigFile(
            row=row,
            descriptor=descriptor,
            stamp=FileStamp.of(status),
            executable=bool(status.st_mode & stat.S_IXUSR),
            joiner=SegmentJoiner(self._cutter),
            attempt=attempt,
        )

    def _take_segment(self, file: _BigFile, segment: CutSegment) -> None:
        if segment.content is None:
            if not file.is_all_hole:
                hash_zeros(file.hasher, segment.length)
        else:
            if file.is_all_hole and file.parts:
                for part in file.parts:
                    hash_zeros(file.hasher, int(part.lengths.sum()))
            file.is_all_hole = False
            file.hasher.update(segment.content)
            self.counts.read_bytes += segment.length
        self.counts.passed_bytes += segment.length
        self._add_big_items(file, file.joiner.add(segment))

    def _add_big_items(self, file: _BigFile, items: Items) -> None:
        if items.ids:
            owners = np.repeat(np.int64(file.row), len(items.ids))
            file.parts.append(self._place(items, owners, np.repeat(False, len(owners))))

    def _finish_big_file(self, file: _BigFile) -> None:
        self._add_big_items(file, file.joiner.finish())
        after = FileStamp.of(os.fstat(file.descriptor))
        os.close(file.descriptor)
        stored = sum(int(part.lengths.sum()) for part in file.parts)
        if after != file.stamp or stored != file.stamp.size:
            if file.attempt < READ_ATTEMPTS:
                self._retries.append((file.row, file.attempt + 1))
            else:
                self._note_problem(file.row, OSError(0, "kept changing while it was read"))
            return
        self._columns.modes[file.row] = file.executable
        self._restamp(file.row, file.stamp)
        self._note_big_file(file, file.stamp.size)

    def _finish_stream(self, file: _BigFile) -> None:
        self._add_big_items(file, file.joiner.finish())
        size = sum(int(part.lengths.sum()) for part in file.parts)
        self._tree.sizes[file.row] = size
        self._note_big_file(file, size)

    def _note_big_file(self, file: _BigFile, size: int) -> None:
        columns, row, parts = self._columns, file.row, file.parts
        columns.sizes[row] = size
        columns.hashes[row] = np.frombuffer(self._big_hash(file, size), np.uint8)
        extents = Extents(
            np.concatenate([part.blobs for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.chunks for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )
        merged, per_file = merge_extents(extents, np.zeros(1, np.int64))
        columns.add_extents(np.array([row]), per_file, merged)
        columns.is_known[row] = True
        self.counts.read_files += 1

    def _big_hash(self, file: _BigFile, size: int) -> bytes:
        if not file.is_all_hole:
            return file.hasher.digest()
        if size not in self._hole_hashes:
            hash_zeros(file.hasher, size)
            self._hole_hashes[size] = file.hasher.digest()
        return self._hole_hashes[size]

    # -- placing chunks

    def _place(self, items: Items, owners: Int64s, is_small: NDArray[np.bool_]) -> Extents:
        """Say where each item lies, storing what the store does not have."""
        ids = np.frombuffer(b"".join(items.ids), np.uint8).reshape(-1, 32)
        lengths = np.array(items.lengths, np.int64)
        is_chunk = np.array([span is not None for span in items.spans], np.bool_)
        blobs, chunks = self._dedup.find(ids, is_chunk)
        self._refuse_scattered(blobs, chunks, lengths, owners, is_small)
        if self.resumed_rows:
            resumed = np.isin(blobs, list(self.resumed_rows))
            self.counts.resumed_bytes += int(lengths[resumed].sum())
        self._store_new(items, ids, owners, blobs, chunks, is_chunk)
        blobs[~is_chunk] = HOLE_ROW
        chunks[~is_chunk] = 0
        return Extents(blobs, chunks, is_chunk.astype(np.int64), lengths)

    def _refuse_scattered(
        self,
        blobs: Int64s,
        chunks: Int64s,
        lengths: Int64s,
        owners: Int64s,
        is_small: NDArray[np.bool_],
    ) -> None:
        outer, offsets = self._dedup.raw_offsets(blobs, chunks)
        exempt = is_small
        if is_small.any():
            missed = np.unique(owners[blobs < 0])
            exempt = is_small & ~np.isin(owners, missed)
        refused = self._guard.refuse(outer, offsets, lengths, exempt)
        blobs[refused] = -1

    def _store_new(
        self,
        items: Items,
        ids: NDArray[np.uint8],
        owners: Int64s,
        blobs: Int64s,
        chunks: Int64s,
        is_chunk: NDArray[np.bool_],
    ) -> None:
        new = np.flatnonzero((blobs < 0) & is_chunk)
        if len(new) == 0:
            return
        placed: dict[bytes, tuple[int, int]] = {}
        stored: list[int] = []
        for item in new.tolist():
            chunk_id = items.ids[item]
            at = placed.get(chunk_id)
            if at is None:
                span = items.spans[item]
                assert span is not None
                at = placed[chunk_id] = self._writer.add(chunk_id, span)
                stored.append(item)
                self.counts.new_bytes += items.lengths[item]
                self.new_bytes_by_row[owners[item]] += items.lengths[item]
            blobs[item], chunks[item] = at
        picked = np.array(stored, np.int64)
        rows = blobs[picked]
        for row in np.unique(rows).tolist():
            of_row = picked[rows == row]
            self._dedup.note_new(ids[of_row], row, int(chunks[of_row[0]]))

    def _note_problem(self, row: int, error: OSError) -> None:
        reason = error.strerror or str(error)
        self.problems.append(f"{path_to_text(self._tree.paths[row])}: {reason}")


def hash_zeros(hasher: blake3, length: int) -> None:
    """Feed `length` zero bytes to a hash."""
    whole, rest = divmod(length, len(ZEROS))
    for _ in range(whole):
        hasher.update(ZEROS)
    hasher.update(memoryview(ZEROS)[:rest])
