"""What tells whether a file changed since it was looked at."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

# Inodes of some network file systems use all 64 bits; they are only ever compared. On Windows the
# listing of a folder tells none, where a stat of the file does: comparing them, all had changed.
INODE_MASK = 0 if sys.platform == "win32" else (1 << 63) - 1


class FileStamp(NamedTuple):
    """What tells whether a file changed: size, mtime and ctime in ns, inode.

    A tuple, because a put makes one for each file and a frozen dataclass takes four times as long.
    """

    size: int
    mtime: int
    ctime: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStamp:
        """Take the stamp from a stat."""
        inode = status.st_ino & INODE_MASK
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    def fits(self, status: os.stat_result) -> bool:
        """Tell whether a stat shows the same file, unchanged."""
        return (
            self.size == status.st_size
            and self.mtime == status.st_mtime_ns
            and self.ctime == status.st_ctime_ns
            and self.inode == status.st_ino & INODE_MASK
        )
