"""System calls that read and write whole ranges of files and make them survive a power cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from cas.backend.base import Buffer

# What one writev takes; POSIX promises only 16, Linux and macOS take 1024.
_PARTS_PER_CALL = 1024
# Above this a stated range is not believed without looking at the file: the buffer for it is
# allocated before the first byte is read.
_UNCHECKED_RANGE_BYTES = 64 << 20
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


def write_parts(descriptor: int, parts: Sequence[Buffer]) -> None:
    """Write every byte of the parts, in order, without joining them.

    Raises:
        OSError: as the system has it; a prefix may have been written.
    """
    # memoryview.cast refuses empty views, and an empty part is nothing to write anyway.
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    if not hasattr(os, "writev"):
        for view in views:
            _write_one(descriptor, view)
        return
    first = 0
    while first < len(views):
        count = len(views) - first
        written = os.writev(descriptor, views[first : first + min(count, _PARTS_PER_CALL)])
        while first < len(views) and written >= views[first].nbytes:
            written -= views[first].nbytes
            first += 1
        if written:
            views[first] = views[first][written:]


def _write_one(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def read_range(descriptor: int, start: int, stop: int | None) -> bytes:
    """Return bytes `start` to `stop` of an open file, or to its end; what there is, at most.

    Raises:
        OSError: as the system has it.
    """
    if stop is None or stop - start > _UNCHECKED_RANGE_BYTES:
        size = os.fstat(descriptor).st_size
        stop = size if stop is None else min(stop, size)
    content = _read_at(descriptor, max(0, stop - start), start)
    if start + len(content) == stop or not content:
        return content
    # One read may give less than is there: Linux stops at 2 GiB, signals and pipes earlier.
    pieces = [content]
    position = start + len(content)
    while position < stop:
        content = _read_at(descriptor, stop - position, position)
        if not content:
            break
        pieces.append(content)
        position += len(content)
    return b"".join(pieces)


def _read_at(descriptor: int, count: int, position: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, position)
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, count)


def sync_file(descriptor: int) -> None:
    """Return when the content of an open file would survive a power cut.

    Raises:
        OSError: it may not.
    """
    if sys.platform == "darwin":
        import fcntl  # only there

        # macOS leaves bytes in the drive's cache on a plain fsync.
        with suppress(OSError):  # not every file system knows it; then fsync is what there is
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Return when the names in a folder would survive a power cut.

    Raises:
        OSError: they may not.
    """
    if sys.platform == "win32":
        return  # folders cannot be synced there; NTFS writes names in order by itself
    descriptor = os.open(path, _FOLDER)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)
