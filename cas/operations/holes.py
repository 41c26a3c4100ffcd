"""Bytes of files that are nowhere to be had."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from cas.model.entry import path_to_text


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes `start` to `stop` of a file of a version that are nowhere to be had.

    With an empty path it is the pages that are lost, and with them all files from `first` on up to
    but not including `last`; an empty `last` is the end.
    """

    version: str
    path: str
    start: int
    stop: int
    first: str = ""
    last: str = ""


@dataclass(slots=True)
class HoleList:
    """Holes while a version is written. Thread-safe."""

    version: str
    _pages: dict[tuple[bytes, bytes], None] = field(default_factory=dict)
    _found: list[tuple[bytes, int, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, path: bytes, start: int, stop: int) -> None:
        """Note that bytes of a file are lost."""
        with self._lock:
            self._found.append((path, start, stop))

    def add_page(self, first: bytes, last: bytes) -> None:
        """Note that all files from one path up to another are lost."""
        self._pages[first, last] = None

    def joined(self) -> tuple[Hole, ...]:
        """Return what is lost, in path order, neighbours joined."""
        holes: list[tuple[bytes, int, int]] = []
        for path, start, stop in sorted(self._found):
            if holes and holes[-1][0] == path and holes[-1][2] >= start:
                holes[-1] = (path, holes[-1][1], max(stop, holes[-1][2]))
            else:
                holes.append((path, start, stop))
        pages = [
            Hole(self.version, "", 0, 0, path_to_text(first), path_to_text(last))
            for first, last in self._pages
        ]
        return (*pages, *(Hole(self.version, path_to_text(p), a, b) for p, a, b in holes))
