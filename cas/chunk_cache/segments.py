"""The bytes of the chunks, one after another in files that are only appended to, and go as wholes.

Spec: specs/cache.md
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cas.chunk_cache.index import Slot

SUFFIX = ".chunks"
_BLOCK_BYTES = 4096
_DIGITS = 10


class Segments:
    """The segments of a folder. Reading is safe for many threads and processes; the rest is for
    whoever has the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{folder}{os.sep}"
        self._folder = folder

    def read(self, slot: Slot) -> bytes:
        """Return the bytes that a slot speaks of, or fewer.

        Raises:
            OSError: the segment is not there any more, or cannot be read.
        """
        # Not kept open: a segment that was evicted would take its space until it is closed.
        descriptor = os.open(self._path(slot.segment), os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return os.pread(descriptor, slot.length, slot.offset)
        finally:
            os.close(descriptor)

    def try_read(self, slot: Slot) -> bytes:
        """Return the bytes that a slot speaks of, fewer, or none if they cannot be read."""
        try:
            return self.read(slot)
        except OSError:
            return b""

    def append(self, number: int) -> Appender:
        """Open a segment to be appended to; made if it is not there.

        Raises:
            OSError: it cannot be written.
        """
        return Appender(self._path(number))

    def sizes(self) -> dict[int, int]:
        """Return what each segment takes on disk, by number, the oldest first."""
        found = {}
        for name, size in _files(self._folder):
            if (number := _number_of(name)) is not None:
                found[number] = size
        return dict(sorted(found.items()))

    def drop(self, number: int) -> None:
        """Remove a segment. Its space is free at once, whoever reads it."""
        path = self._path(number)
        with suppress(OSError):
            os.truncate(path, 0)
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - the same

    def _path(self, number: int) -> str:
        return f"{self._prefix}{number:0{_DIGITS}}{SUFFIX}"


class Appender:
    """A segment that is open for appending, by whoever has the lock."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self.size = os.fstat(self._descriptor).st_size

    def append(self, content: bytes | memoryview) -> int:
        """Write bytes at the end; return where they begin.

        Raises:
            OSError: they cannot be written; nothing is left of them.
        """
        start = self.size
        try:
            written = os.pwrite(self._descriptor, content, start)
            if written != len(content):
                raise OSError(f"{written} of {len(content)} bytes could be written")
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise
        self.size = start + written
        return start

    def close(self) -> None:
        """Close it. Twice is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def used_bytes(folder: Path) -> int:
    """Return what the files of a folder take on disk, holes included."""
    return sum(size for _, size in _files(folder))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        with suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                yield entry.name, -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def _number_of(name: str) -> int | None:
    digits = name.removesuffix(SUFFIX)
    is_ours = name.endswith(SUFFIX) and len(digits) == _DIGITS and digits.isascii()
    return int(digits) if is_ours and digits.isdigit() else None
