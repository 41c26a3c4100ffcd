"""Locks on folders, by which a get tells files of living ones from those that were left behind.

Whoever writes in a folder shares its lock, and the system drops the lock with the process, however
that ends. So whoever has it alone knows that nobody else is at work there. Nobody ever waits: a lock
that another user holds, or that a file system does not have, costs only what it would have told.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import fcntl


def lock_shared(descriptor: int) -> bool:
    """Lock an open folder together with others; tell whether that was done."""
    return sys.platform != "win32" and _lock(descriptor, fcntl.LOCK_SH)


def lock_alone(descriptor: int) -> bool:
    """Lock an open folder if nobody else has it; tell whether that was done.

    If not, a shared lock that this descriptor had may be lost.
    """
    return sys.platform != "win32" and _lock(descriptor, fcntl.LOCK_EX)


def unlock(descriptor: int) -> None:
    """Give up what this descriptor had."""
    if sys.platform != "win32":
        _lock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
