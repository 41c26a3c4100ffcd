"""Bytes from one open local file to another, inside the kernel where it can."""

from __future__ import annotations

import errno
import os

BLOCK_BYTES = 1 << 20
# Clones begin at such a boundary in both files; 4 KiB is the block of nearly all file systems.
ALIGNMENT = 4096
# The two are on different file systems, or one of these cannot do it.
_NOT_IN_KERNEL = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
)


def copy_range(source: int, start: int, target: int, offset: int, length: int) -> int:
    """Copy `length` bytes at `start` of one file to `offset` of another; return how many came.

    They are fewer only where the source ends early. File systems that can let both files share
    the blocks (btrfs, XFS), where the two positions allow it.

    Raises:
        OSError: the source cannot be read, or the target not written.
    """
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            for part in _parts(start, offset, length):
                stop = done + part
                while done < stop:
                    count = os.copy_file_range(
                        source, target, stop - done, start + done, offset + done
                    )
                    if count == 0:
                        return done
                    done += count
            return done
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
    while done < length:
        block = read_at(source, min(BLOCK_BYTES, length - done), start + done)
        if not block:
            break
        write_at(target, memoryview(block), offset + done)
        done += len(block)
    return done


def _parts(start: int, offset: int, length: int) -> list[int]:
    """Split a range so that what can be cloned begins at a boundary in both files."""
    if start % ALIGNMENT != offset % ALIGNMENT:
        return [length]
    head = min(-start % ALIGNMENT, length)
    return [head, length - head]


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Return up to `length` bytes at an offset."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows: the caller holds the file alone
    return os.read(descriptor, length)


def write_at(descriptor: int, content: memoryview, offset: int) -> None:
    """Write all of `content` at an offset."""
    while content:
        if hasattr(os, "pwrite"):
            written = os.pwrite(descriptor, content, offset)
        else:
            os.lseek(descriptor, offset, os.SEEK_SET)  # Windows, the same
            written = os.write(descriptor, content)
        content = content[written:]
        offset += written
