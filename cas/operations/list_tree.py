"""The folders of a version as a tree, each with how much lies below it, from one pass over its pages."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import Page, page_entry
from cas.model.entry import Entry, EntryKind, path_to_text
from cas.operations.version_pages import VersionPages

# The byte after "/": before it stands all that lies below a folder, behind it what does not.
_AFTER_SLASH = b"0"


@dataclass(slots=True, kw_only=True)
class Folder:
    """A folder of a version, with all that lies below it, to any depth.

    Attributes:
        path: of the folder; empty for the version itself.
        files: how many files lie below.
        size: bytes of these files.
        others: how many links, empty folders and external references lie below.
        folders: right below it, by name, in path order; empty where the tree was not to go deeper.
        entries: right below it: files, links, empty folders, external references; at most as many
            as were asked for.
        more_entries: how many others there are right below it.
    """

    path: str
    files: int = 0
    size: int = 0
    others: int = 0
    folders: dict[str, Folder] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    more_entries: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeOptions:
    """What a tree shows.

    Attributes:
        depth: how many folders deep it goes; 1 shows what lies right below. None: all the way.
        limit: how many entries of each folder are kept, the first by path; None: all.
        wanted: only entries for which it is true are kept and counted.
    """

    depth: int | None = None
    limit: int | None = None
    wanted: Callable[[Entry], bool] | None = None


def list_tree(pages: VersionPages, path: bytes, options: TreeOptions) -> Folder:
    """Return the folder at `path` with what lies below it; an empty one if there is none.

    Every page that may hold something below it is read. What lies deeper than the tree goes is
    counted without looking at each entry.
    """
    top = Folder(path=path_to_text(path))
    prefix = path + b"/" if path else b""
    for page in pages.iter_pages(path):
        low = bisect_left(page.paths, prefix)
        high = bisect_left(page.paths, path + _AFTER_SLASH, low) if path else len(page.paths)
        _Counter(page, options).add(low, high, top, len(prefix))
    return top


class _Counter:
    """Adds the entries of one page to the folders that they lie in."""

    def __init__(self, page: Page, options: TreeOptions) -> None:
        self._page = page
        self._options = options
        self._wanted: NDArray[np.bool_] | None = None
        if options.wanted is not None:
            rows = range(len(page.paths))
            self._wanted = np.fromiter(
                (options.wanted(page_entry(page, row)) for row in rows), np.bool_, len(rows)
            )

    def add(self, low: int, high: int, top: Folder, start: int) -> None:
        """Add rows `low` to `high`, which lie below `top`; their names begin at byte `start`."""
        depth = self._options.depth
        # No recursion: a hostile path may be a thousand folders deep.
        waiting = [(low, high, top, start, -1 if depth is None else depth)]
        while waiting:
            low, high, folder, start, left = waiting.pop()
            self._count(low, high, folder)
            if left == 0:
                continue
            for row, stop, slash in self._children(low, high, start):
                if slash < 0:
                    self._keep(row, folder)
                elif self._wanted is None or self._wanted[row:stop].any():
                    path = path_to_text(self._page.paths[row][:slash])
                    child = folder.folders.setdefault(
                        path[len(folder.path) :].strip("/"), Folder(path=path)
                    )
                    waiting.append((row, stop, child, slash + 1, left - 1))

    def _children(self, low: int, high: int, start: int) -> Iterator[tuple[int, int, int]]:
        """Yield (first row, row after the last, where the slash is) of what lies right below."""
        paths, row = self._page.paths, low
        while row < high:
            slash = paths[row].find(b"/", start)
            stop = row + 1
            if slash >= 0:
                stop = bisect_left(paths, paths[row][:slash] + _AFTER_SLASH, stop, high)
            yield row, stop, slash
            row = stop

    def _count(self, low: int, high: int, folder: Folder) -> None:
        is_file = self._page.kinds[low:high] == EntryKind.FILE
        total = high - low
        if self._wanted is not None:
            is_file = is_file & self._wanted[low:high]
            total = int(self._wanted[low:high].sum())
        files = int(is_file.sum())
        folder.files += files
        folder.others += total - files
        folder.size += int(self._page.sizes[low:high][is_file].sum())

    def _keep(self, row: int, folder: Folder) -> None:
        if self._wanted is not None and not self._wanted[row]:
            return
        limit = self._options.limit
        if limit is not None and len(folder.entries) >= limit:
            folder.more_entries += 1
        else:
            folder.entries.append(page_entry(self._page, row))
