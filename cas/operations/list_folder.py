"""What lies below a folder of a version, level by level, without reading what lies deeper."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from cas.format.manifest import Page, Root, find_page
from cas.operations.version_pages import VersionPages

# The byte after "/": before it stands all that lies below a folder, behind it what does not.
_AFTER_SLASH = b"0"


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """A path below a folder, and the page and row of its entry; None for a folder that has none of
    its own, as those do in which something lies.
    """

    path: bytes
    entry: tuple[Page, int] | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it stands for the entries below it."""
        return self.entry is None


def iter_children(pages: VersionPages, folder: bytes, depth: int = 1) -> Iterator[Child]:
    """Yield what lies up to `depth` levels below a folder, in path order, each folder before what
    lies in it; nothing if there is no such folder.

    What lies deeper is passed over, so that the top of a version of millions of files is listed
    from as many pages as it has sub-folders.
    """
    prefix = folder + b"/" if folder else b""
    begun: list[bytes] = []  # the folders in which the last path lay
    wanted = prefix  # nothing before this is of interest
    for page, paths in _iter_paths(pages, prefix, depth):
        row = bisect_left(paths, wanted)
        while row < len(paths):
            path = paths[row]
            if not path.startswith(prefix):
                return
            above = path[len(prefix) :].split(b"/", depth)[:-1]
            for count in range(_count_shared(begun, above) + 1, len(above) + 1):
                yield Child(prefix + b"/".join(above[:count]))
            begun = above
            if len(above) < depth and page is not None:
                yield Child(path, (page, row))
                row += 1
            else:
                wanted = prefix + b"/".join(above) + _AFTER_SLASH
                row = bisect_left(paths, wanted, row)


def is_folder(pages: VersionPages, path: bytes) -> bool:
    """Tell whether anything lies below a path."""
    return not path or next(iter_children(pages, path), None) is not None


def pages_below(root: Root, folder: bytes) -> range:
    """Return the rows of the pages that may hold what lies below a folder; all for an empty path."""
    if not folder:
        return range(len(root.page_ids))
    first = max(0, find_page(root, folder + b"/"))
    return range(first, find_page(root, folder + _AFTER_SLASH) + 1)


def _iter_paths(
    pages: VersionPages, prefix: bytes, depth: int
) -> Iterator[tuple[Page | None, list[bytes]]]:
    """Yield each page that may hold what lies below a folder, with its paths; of one that holds
    only what lies too deep, no page, and its first path, which the root has.
    """
    root = pages.root
    numbers = pages_below(root, prefix.removesuffix(b"/"))
    passed = {number for number in numbers if _lies_deeper(root, number, prefix, depth)}
    read = pages.iter_numbered([number for number in numbers if number not in passed])
    for number in numbers:
        if number in passed:
            yield None, [root.first_paths[number]]
        else:
            page = next(read)
            yield page, page.paths


def _lies_deeper(root: Root, number: int, prefix: bytes, depth: int) -> bool:
    """Tell whether the first path of a page, and that of the next one, lie in one folder that is
    `depth` levels below: so do all that stand between.
    """
    folders = []
    for path in root.first_paths[number : number + 2]:
        parts = path[len(prefix) :].split(b"/", depth)
        if not path.startswith(prefix) or len(parts) <= depth:
            return False
        folders.append(parts[:depth])
    return len(folders) == 2 and folders[0] == folders[1]


def _count_shared(some: list[bytes], others: list[bytes]) -> int:
    """Return how many elements two lists have in common at their beginnings."""
    pairs = zip(some, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
