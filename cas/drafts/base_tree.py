"""The version that a draft is based on, looked at in as few of its pages as an answer takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from cas.format.manifest import Page, find_page
from cas.model.entry import EntryKind
from cas.operations.list_folder import Child, iter_children
from cas.operations.pinned import PinnedVersion


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

    def entry(self, path: bytes) -> BaseFile | None:
        """Return the entry of a path."""
        found = None if self.version is None else self.version.pages.find(path)
        return None if found is None else BaseFile(path, *found)

    def has_below(self, folder: bytes) -> bool:
        """Tell whether there is anything below a folder; often without reading a page."""
        return self._row_near(folder + b"/", folder + b"/") is not None

    def is_beside(self, path: bytes, folder: bytes) -> bool:
        """Tell whether the entry right before or behind a path lies below a folder, so that it is
        one. It may be one all the same if not. Reads the page where the path is or would be.
        """
        return self._row_near(path, folder + b"/", before=True) is not None

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

    def _row_near(self, path: bytes, prefix: bytes, *, before: bool = False) -> int | None:
        """Return the row of the first entry from `path` on, or right before it, if it begins with
        `prefix`.
        """
        if self.version is None:
            return None
        pages = self.version.pages
        firsts = pages.root.first_paths
        if not firsts:
            return None
        number = max(0, find_page(pages.root, path))
        page = pages.page(number)
        row = bisect_left(page.paths, path)
        if before and row and page.paths[row - 1].startswith(prefix):
            return row - 1
        following = page.paths[row : row + 1] or firsts[number + 1 : number + 2]
        return row if following and following[0].startswith(prefix) else None
