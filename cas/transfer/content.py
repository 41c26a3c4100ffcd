"""Where an upload gets the bytes of a tree's files: what differs between disks and servers."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from cas.chunking.cutter import Cutter
from cas.transfer.cutting import (
    CutBatch,
    SmallFile,
    cut_small_files,
    hole_segments,
    open_source,
    read_fully,
)
from cas.transfer.stamp import FileStamp
from cas.transfer.tree import LocalTree

Segment = tuple[int, int, bool]


class OpenedFile(Protocol):
    """A big file while it is read. Reads may run in any threads; `close` comes after them.

    Attributes:
        stamp: what it looked like when it was opened.
        executable: whether its owner may execute it.
    """

    stamp: FileStamp
    executable: bool

    def segments(self) -> list[Segment]:
        """Return (offset, length, is hole) of the parts to read, in order.

        Raises:
            OSError: the file cannot be read.
        """
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return a segment's bytes; more or fewer show that the file changed.

        Raises:
            OSError: the file cannot be read.
        """
        ...

    def close(self) -> FileStamp:
        """Let go of the file, and return what it looks like now."""
        ...


class Content(Protocol):
    """Opens the files of one tree.

    Attributes:
        waits: reads wait for a server more than they work, so many run at once.
        batch_files: most small files that are read one after another.
    """

    waits: bool
    batch_files: int

    def locate(self, row: int) -> bytes:
        """Return what `cut_small` finds the file of a row by."""
        ...

    def cut_small(self, cutter: Cutter, files: Sequence[SmallFile]) -> CutBatch:
        """Read, cut and hash small files."""
        ...

    def open(self, row: int, *, again: bool) -> OpenedFile:
        """Open a big file; `again` if it is known to have changed since the tree was scanned.

        Raises:
            OSError: it cannot be read.
        """
        ...


class LocalContent:
    """Files of this machine. See `Content`."""

    waits = False
    batch_files = 512

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree

    def locate(self, row: int) -> bytes:
        """Return the file's local path."""
        return self._tree.local_path(row)

    def cut_small(self, cutter: Cutter, files: Sequence[SmallFile]) -> CutBatch:
        """Read, cut and hash small files."""
        return cut_small_files(cutter, files)

    def open(self, row: int, *, again: bool) -> LocalFile:  # noqa: ARG002 - a stat costs nothing
        """Open a file, and look at it anew in any case."""
        descriptor = open_source(self._tree.local_path(row))
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(0, "is no longer a regular file")
        return LocalFile(descriptor, status)


class LocalFile:
    """An open file of this machine. See `OpenedFile`."""

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self._descriptor = descriptor
        self.stamp = FileStamp.of(status)
        self.executable = bool(status.st_mode & stat.S_IXUSR)

    def segments(self) -> list[Segment]:
        """Return where data and holes are."""
        return hole_segments(self._descriptor, self.stamp.size)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file."""
        return read_fully(self._descriptor, offset, length)

    def close(self) -> FileStamp:
        """Close the file, and return its stat."""
        after = FileStamp.of(os.fstat(self._descriptor))
        os.close(self._descriptor)
        return after
