"""The version that a draft is based on, looked at in as few of its pages as an answer takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cas.format.manifest import Page, find_page
from cas.model.entry import EntryKind
from cas.operations.list_folder import Child, iter_children
from cas.operations.pinned import PinnedVersion

_KNOWN_FOLDERS = 100_000  # some 10 MB; those that are written to next are asked for anew


@dataclass(frozen=True, slots=True, eq=False)
class BaseFile:
    """A file, link or external reference of the base: its path, page and row there."""

    path: bytes
    page: Page
    row: int

    @property
    def kind(self) -> EntryKind:
        """What it is; `DIRECTORY` is an empty folder."""
        return EntryKind(int(self.page.kinds[self.row]))


class BaseTree:
    """Looks into a version; without one there is nothing. Thread-safe."""

    def __init__(self, version: PinnedVersion | None) -> None:
        self.version = version
        # What lies below them is asked for once for each file that is written there.
        self._empty: set[bytes] = set()
        self._full: set[bytes] = set()

    def entry(self, path: bytes) -> BaseFile | None:
        """Return the entry of a path."""
        if self.version is None or self._is_in_empty(path):
            return None
        found = self.version.pages.find(path)
        return None if found is None else BaseFile(path, *found)

    def has_below(self, folder: bytes) -> bool:
        """Tell whether there is anything below a folder; of one that fills pages no page is read."""
        return not self._is_in_empty(folder) and self._has_below(folder)

    def is_beside(self, path: bytes, folder: bytes) -> bool:
        """Tell whether the entry right before or behind a path lies below a folder, so that it is
        one. It may be one all the same if not. Reads the page where the path is or would be.
        """
        if self.version is None or not self._firsts:
            return False
        prefix = folder + b"/"
        number = max(0, find_page(self.version.pages.root, path))
        page = self.version.pages.page(number)
        row = bisect_left(page.paths, path)
        beside = page.paths[max(0, row - 1) : row + 1]
        if row == len(page.paths):
            beside += self._firsts[number + 1 : number + 2]
        return any(one.startswith(prefix) for one in beside)

    def children(self, folder: bytes) -> Iterator[Child]:
        """Yield what lies right below a folder, in path order."""
        if self.version is not None:
            yield from iter_children(self.version.pages, folder)

    def iter_below(self, folder: bytes) -> Iterator[BaseFile]:
        """Yield all entries below a folder, in path order."""
        if self.version is None:
            return
        prefix = folder + b"/" if folder else b""
        for page in self.version.pages.iter_pages(folder):
            for row, path in enumerate(page.paths):
                if path.startswith(prefix):
                    yield BaseFile(path, page, row)

    @cached_property
    def _firsts(self) -> list[bytes]:
        """The first path of each page; where things are moved to, the pages stay."""
        return [] if self.version is None else self.version.pages.root.first_paths

    def _is_in_empty(self, path: bytes) -> bool:
        """Tell whether a path lies right in a folder in which the base has nothing."""
        folder = path.rpartition(b"/")[0]
        if not folder or folder in self._full:
            return False
        if folder not in self._empty:
            known = self._full if self._has_below(folder) else self._empty
            if len(known) >= _KNOWN_FOLDERS:
                known.clear()
            known.add(folder)
        return folder in self._empty

    def _has_below(self, folder: bytes) -> bool:
        prefix = folder + b"/"
        number = bisect_left(self._firsts, prefix)
        if self._firsts[number : number + 1] and self._firsts[number].startswith(prefix):
            return True
        if self.version is None or number == 0:
            return False
        paths = self.version.pages.page(number - 1).paths
        row = bisect_left(paths, prefix)
        return row < len(paths) and paths[row].startswith(prefix)
