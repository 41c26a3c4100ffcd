"""Files that are being written: under names of their own, where no listing looks.

A writer holds a lock on its file for as long as it needs it, and the system drops the lock with the
writer, however that ends. So what can be locked was left behind, and anyone may remove it. Where
locks do not work nothing is removed, or at worst a live file is, and its writer is told so.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self

from cas.backend.durable import sync_file
from cas.environment import random_bytes
from cas.locks import lock_alone

_FLAGS = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class StagedFile:
    """A new file in a folder, gone when the block ends, unless it was moved by then.

    Attributes:
        path: where it is.
        descriptor: open for writing until `seal`.
    """

    def __init__(self, folder: str) -> None:
        """Make the file.

        Raises:
            OSError: as the system has it; FileNotFoundError if there is no such folder.
        """
        while True:
            self.path = f"{folder}/{random_bytes(12).hex()}"
            self.descriptor = os.open(self.path, os.O_WRONLY | _FLAGS, 0o666)
            lock_alone(self.descriptor, wait=True)
            # A sweeper that came between `open` and the lock took it for left behind.
            if os.fstat(self.descriptor).st_nlink:
                return
            os.close(self.descriptor)

    def seal(self) -> None:
        """Make the content durable; only moving or linking the file may follow.

        Raises:
            OSError: it may not be durable.
        """
        sync_file(self.descriptor)
        if sys.platform == "win32":  # an open file cannot be moved there
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # moved away, or else it waits for a sweep
            os.unlink(self.path)  # noqa: PTH108 - paths are strings here, for speed
        self._close()

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def sweep_staged(folder: str) -> int:
    """Remove the files in `folder` whose writers are gone; return how many. Never raises OSError."""
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # somebody else removed it, or may not
                removed += _remove_if_left(entry.path)
    return removed


def _remove_if_left(path: str) -> bool:
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not lock_alone(descriptor):
            return False
        os.unlink(path)  # noqa: PTH108 - the same
        return True
    finally:
        os.close(descriptor)
