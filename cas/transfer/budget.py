"""One memory budget for everything in flight."""

from __future__ import annotations

import threading


class MemoryBudget:
    """Counts bytes in flight against a limit. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._used = 0
        self._changed = threading.Condition()

    def try_acquire(self, size: int) -> bool:
        """Take `size` bytes if they fit, or if nothing at all is in flight."""
        with self._changed:
            if self._used and self._used + size > self.limit_bytes:
                return False
            self._used += size
            return True

    def release(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def wait_for_release(self, timeout_seconds: float) -> None:
        """Wait until something is given back, or the time is over."""
        with self._changed:
            self._changed.wait(timeout_seconds)
