"""Telling whoever watches that a storage does not answer, and is asked again.

For the whole process, as a terminal is: stores, sources and targets are asked from many threads and
through many layers, none of which has to know who watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from cas.environment import monotonic_seconds

# Nobody wonders earlier.
TOLD_AFTER_SECONDS = 2.0
# One failure is met by many requests at once, and by each again and again.
SILENCE_SECONDS = 30.0


class Waiting:
    """Passes on what is waited for, once in a while. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tell: Callable[[str], None] | None = None
        self._told: float | None = None

    def tell(self, tell: Callable[[str], None] | None) -> None:
        """Have `tell` called from now on, from any thread; None ends it."""
        with self._lock:
            self._tell, self._told = tell, None

    def note(self, text: str) -> None:
        """Tell what is waited for, unless something was told a short while ago."""
        now = monotonic_seconds()
        with self._lock:
            tell = self._tell
            if tell is None or (self._told is not None and now - self._told < SILENCE_SECONDS):
                return
            self._told = now
        tell(text)


WAITING = Waiting()
