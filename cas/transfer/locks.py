"""Locks that tell a file of a living process from one that was left behind.

The system drops a lock with the process that holds it, however that ends. Where locks do not work
no file is ever taken for left behind.
"""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import fcntl


def is_held_by_us(descriptor: int) -> bool:
    """Lock a file that was just made; tell whether it still has a name.

    Somebody who looked for left files may have come in between, and removed it.
    """
    if sys.platform == "win32":
        return True  # an open file cannot be removed there
    _lock(descriptor, wait=True)
    return os.fstat(descriptor).st_nlink > 0


def is_left_behind(descriptor: int) -> bool:
    """Lock a file unless its maker holds it; tell whether that was done."""
    return sys.platform != "win32" and _lock(descriptor, wait=False)


def _lock(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held by its maker, or a file system without locks
        return False
    return True
