"""Locks on open files and folders, by which processes of a machine know of each other.

The system drops a lock with the process that has it, however that ends. So whoever has one alone
knows that nobody else is at work there, and what is found there was left behind. A file system may
have none, and Windows has none of this kind: then nothing is locked, and nobody is told to be alone.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import fcntl


def lock_shared(descriptor: int) -> bool:
    """Lock an open file or folder together with others; tell whether that was done."""
    return sys.platform != "win32" and _lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def lock_alone(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder if nobody else has it; tell whether that was done.

    If not, a shared lock that this descriptor had may be lost.

    Args:
        wait: until others have given theirs up.
    """
    if sys.platform == "win32":
        return False
    return _lock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def unlock(descriptor: int) -> None:
    """Give up what this descriptor had."""
    if sys.platform != "win32":
        _lock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind)
    except OSError:  # another has it, or a file system without locks
        return False
    return True
