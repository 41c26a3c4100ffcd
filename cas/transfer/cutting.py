"""Reading files, cutting them into chunks and hashing those: the work of the pool's threads.

Small files go in batches, big files in segments that are cut independently and joined later, so
one huge file keeps all cores as busy as a million small ones. Spec: specs/format/04-chunking.md
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.chunking.cutter import Cutter
from cas.chunking.parallel import join_segments
from cas.chunking.zeros import SHORTEST_ZERO_BYTES, ZERO_BLOCK_BYTES, Run, split_zeros
from cas.format.manifest import INLINE_LIMIT
from cas.transfer.stamp import FileStamp

SEGMENT_BYTES = 8 << 20
SMALL_FILE_BYTES = 1 << 20
READ_ATTEMPTS = 3

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    # A file that became a pipe since the scan must not stop the put.
    | getattr(os, "O_NONBLOCK", 0)
)

_SEEKING = threading.Lock()

Span = tuple[bytes, int, int]
# What a file that is not as the scan saw it looks like, and whether its owner may execute it.
Changed = tuple[FileStamp, bool]


@dataclass(slots=True)
class Items:
    """Consecutive chunks and runs of zeros, in file order.

    Attributes:
        ids: chunk ids; zero bytes for a run of zeros.
        lengths: bytes of each.
        spans: where a chunk's bytes are (buffer, start, stop); None for a run of zeros.
    """

    ids: list[bytes] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    spans: list[Span | None] = field(default_factory=list)

    def add_chunk(self, buffer: bytes, start: int, stop: int) -> bytes:
        """Hash a chunk, add it, and return its id."""
        is_whole = stop - start == len(buffer)
        digest: bytes = blake3(buffer if is_whole else memoryview(buffer)[start:stop]).digest()
        self.ids.append(digest)
        self.lengths.append(stop - start)
        self.spans.append((buffer, start, stop))
        return digest

    def add_zeros(self, length: int) -> None:
        """Add a run of zeros."""
        self.ids.append(_NO_ID)
        self.lengths.append(length)
        self.spans.append(None)

    def extend(self, other: Items, first: int = 0) -> None:
        """Add the items of another run, from its item `first` on."""
        self.ids += other.ids[first:]
        self.lengths += other.lengths[first:]
        self.spans += other.spans[first:]


_NO_ID = bytes(32)


class SmallFile(NamedTuple):
    """A small file to read: its row, where it is, and what the scan saw of it."""

    row: int
    path: bytes
    stamp: FileStamp


@dataclass(slots=True)
class CutBatch:
    """Small files in path order, one entry each in the lists, and their items one after another.

    Attributes:
        rows: the files that were read.
        hashes: BLAKE3 of each.
        item_counts: how many of the items are its; 0 for an inlined file.
        sizes: bytes of each.
        inlined: (row, content) of each tiny file that is not empty.
        changed: (row, stamp, is executable) of each file that is not as the scan saw it.
        grown: rows of files that became big since the scan, and were not read.
        problems: (row, reason) of each file that could not be read.
    """

    rows: list[int] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    item_counts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    items: Items = field(default_factory=Items)
    inlined: list[tuple[int, bytes]] = field(default_factory=list)
    changed: list[tuple[int, FileStamp, bool]] = field(default_factory=list)
    grown: list[int] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def cut_small_files(
    cutter: Cutter,
    files: Sequence[SmallFile],
    read: Callable[[SmallFile], tuple[bytes | None, Changed | None]] | None = None,
) -> CutBatch:
    """Read, cut and hash small files; one whose reading raises an OSError is a problem.

    Args:
        read: gives a file's bytes, as `read_small_file` does and no other unless given.
    """
    read = read or read_small_file
    batch = CutBatch()
    items = batch.items
    for file in files:
        row = file.row
        try:
            content, changed = read(file)
        except OSError as error:
            batch.problems.append((row, error.strerror or str(error)))
            continue
        if content is None:
            batch.grown.append(row)
            continue
        if changed is not None:
            batch.changed.append((row, *changed))
        size = len(content)
        before = len(items.ids)
        if size <= INLINE_LIMIT:
            digest = blake3(content).digest()
            if size:
                batch.inlined.append((row, content))
        elif size < SHORTEST_ZERO_BYTES:
            # Too short to be cut or to be a run of zeros: the chunk is the file.
            digest = items.add_chunk(content, 0, size)
        else:
            cut_content(cutter, content, items)
            is_one = len(items.ids) == before + 1 and items.spans[before] is not None
            digest = items.ids[before] if is_one else blake3(content).digest()
        batch.rows.append(row)
        batch.hashes.append(digest)
        batch.item_counts.append(len(items.ids) - before)
        batch.sizes.append(size)
    return batch


def cut_content(cutter: Cutter, content: bytes, items: Items) -> None:
    """Cut and hash the whole content of a file."""
    for run in split_zeros(content):
        if run.zero:
            items.add_zeros(run.stop - run.start)
            continue
        start = run.start
        for end in _cut_run(cutter, content, run):
            items.add_chunk(content, start, end)
            start = end


def _cut_run(cutter: Cutter, content: bytes, run: Run) -> list[int]:
    if run.stop - run.start <= cutter.profile.minimum:
        return [run.stop]
    ends: list[int] = (cutter.cut(memoryview(content)[run.start : run.stop]) + run.start).tolist()
    return ends


def read_small_file(file: SmallFile) -> tuple[bytes | None, Changed | None]:
    """Return a local file's bytes, and what it looks like if that is not what the scan saw.

    None for the bytes of a file that is big now: it may not even fit into memory. The bytes are
    good when the stat after reading is the one from before: usually the scan's.
    """
    descriptor = os.open(file.path, _OPEN_FLAGS)
    try:
        stamp = file.stamp
        changed: Changed | None = None
        for _ in range(READ_ATTEMPTS):
            # One byte more than there should be, so that one call shows a file that grew. A read
            # that gives less than there is counts as a change and is done again.
            content = _pread(descriptor, stamp.size + 1, 0)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "is no longer a regular file")
            if stamp.fits(status) and len(content) == stamp.size:
                return content, changed
            stamp = FileStamp.of(status)
            changed = stamp, bool(status.st_mode & stat.S_IXUSR)
            if stamp.size > SMALL_FILE_BYTES:
                return None, changed
    finally:
        os.close(descriptor)
    raise OSError(0, "kept changing while it was read")


def open_source(path: bytes) -> int:
    """Open a local file for reading without following a link; return its descriptor."""
    return os.open(path, _OPEN_FLAGS)


def read_fully(descriptor: int, offset: int, length: int) -> bytes:
    """Return `length` bytes at `offset`, fewer only at the end of the file."""
    content = _pread(descriptor, length, offset)
    if len(content) == length or not content:
        return content
    parts = [content]
    have = len(content)
    while have < length and (more := _pread(descriptor, length - have, offset + have)):
        parts.append(more)
        have += len(more)
    return b"".join(parts)


def read_stream(stream: BinaryIO, length: int) -> bytes:
    """Return the next `length` bytes of a stream, fewer only at its end."""
    parts = []
    while length and (part := stream.read(length)):
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    # Windows: threads that read segments of one file share its position.
    with _SEEKING:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)


@dataclass(slots=True)
class DataRun:
    """Bytes between runs of zeros, cut as if they were a file: `ends` are right from some on."""

    start: int
    stop: int
    ends: NDArray[np.int64]
    items: Items


@dataclass(slots=True)
class CutSegment:
    """One segment of a big file. `content` is None where all its `length` bytes are zero."""

    length: int
    content: bytes | None
    runs: list[DataRun | int]


def cut_segment(cutter: Cutter, descriptor: int, offset: int, length: int) -> CutSegment:
    """Read and cut a segment that begins at a multiple of the zero block size."""
    content = read_fully(descriptor, offset, length)
    return cut_segment_content(cutter, content)


def cut_segment_content(cutter: Cutter, content: bytes) -> CutSegment:
    """Cut a segment's content, each run of data for itself."""
    runs: list[DataRun | int] = []
    for run in split_zeros(content):
        if run.zero:
            runs.append(run.stop - run.start)
            continue
        ends = cutter.cut(memoryview(content)[run.start : run.stop])
        items = Items()
        start = run.start
        for end in (ends + run.start).tolist():
            items.add_chunk(content, start, end)
            start = end
        runs.append(DataRun(run.start, run.stop, ends, items))
    if all(isinstance(run, int) for run in runs):
        return CutSegment(len(content), None, runs)
    return CutSegment(len(content), content, runs)


class SegmentJoiner:
    """Makes one file's chunks out of its segments, in order: the same as cutting it whole."""

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self._tail = b""

    def add(self, segment: CutSegment) -> Items:
        """Return the items that are certain now."""
        items = Items()
        for run in segment.runs:
            if isinstance(run, int):
                self._close_tail(items)
                items.add_zeros(run)
            else:
                assert segment.content is not None
                self._add_run(segment.content, run, items)
                if run.stop < segment.length:
                    self._close_tail(items)
        return items

    def finish(self) -> Items:
        """Return the last items of the file."""
        items = Items()
        self._close_tail(items)
        return items

    def _add_run(self, content: bytes, run: DataRun, items: Items) -> None:
        """Join the tail with a run; keep the run's own last chunk as the next tail."""
        resume = 0
        if self._tail:
            view = memoryview(content)[run.start : run.stop]
            joined = join_segments(self._cutter, self._tail, view, run.ends)
            ends = joined.ends.tolist()
            covered = ends[-1] if ends else 0
            joint = self._tail + content[run.start : run.start + max(0, covered - len(self._tail))]
            start = 0
            for end in ends:
                items.add_chunk(joint, start, end)
                start = end
            resume = joined.resume
            if resume >= len(run.ends):
                rest = content[run.start + max(0, covered - len(self._tail)) : run.stop]
                self._tail = (self._tail[covered:] if covered < len(self._tail) else b"") + rest
                return
        # The last cut of a run is where it happens to stop, not where a chunk ends.
        for row in range(resume, len(run.items.ids) - 1):
            items.ids.append(run.items.ids[row])
            items.lengths.append(run.items.lengths[row])
            items.spans.append(run.items.spans[row])
        last = run.items.spans[-1]
        assert last is not None
        self._tail = content[last[1] : last[2]]

    def _close_tail(self, items: Items) -> None:
        if not self._tail:
            return
        start = 0
        # The tail is shorter than the longest chunk unless segments never came into step.
        for end in self._cutter.cut(self._tail).tolist():
            items.add_chunk(self._tail, start, end)
            start = end
        self._tail = b""


def hole_segments(descriptor: int, size: int) -> list[tuple[int, int, bool]]:
    """Split a file into (offset, length, is hole), none longer than a segment unless a hole.

    Holes are widened inwards to whole zero blocks, so that a file is cut the same whether its
    zeros are stored or not.
    """
    segments: list[tuple[int, int, bool]] = []
    offset = 0
    while offset < size:
        hole_stop = _hole_stop(descriptor, offset, size)
        if hole_stop > offset:
            segments.append((offset, hole_stop - offset, True))
            offset = hole_stop
            continue
        length = min(SEGMENT_BYTES - offset % SEGMENT_BYTES, size - offset)
        segments.append((offset, length, False))
        offset += length
    return segments


def _hole_stop(descriptor: int, offset: int, size: int) -> int:
    """Where the hole at `offset` stops, rounded down to a zero block; `offset` if there is none."""
    if not hasattr(os, "SEEK_DATA"):
        return offset
    try:
        data = os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            return offset
        # Nothing but a hole up to the end. A rest too short to be a zero block is read as bytes.
        rest = size % ZERO_BLOCK_BYTES
        return max(offset, size - rest if rest < SHORTEST_ZERO_BYTES else size)
    return max(offset, data - data % ZERO_BLOCK_BYTES)
