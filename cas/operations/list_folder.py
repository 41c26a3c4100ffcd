"""What lies right below a folder of a version, without reading what lies deeper."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from cas.format.manifest import Page, find_page
from cas.operations.version_pages import VersionPages

# The byte after "/": before it stands all that lies below a folder, behind it what does not.
_AFTER_SLASH = b"0"


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """A path right below a folder: the page and row of its entry, or of the first one below it."""

    path: bytes
    page: Page
    row: int

    @property
    def is_folder(self) -> bool:
        """Whether it stands for the entries below it, and has none of its own."""
        return self.page.paths[self.row] != self.path


def iter_children(pages: VersionPages, folder: bytes) -> Iterator[Child]:
    """Yield what lies right below a folder, in path order; nothing if there is no such folder.

    What lies below a sub-folder is passed over, so that the top of a version of millions of files
    is listed from as many pages as it has sub-folders.
    """
    prefix = folder + b"/" if folder else b""
    wanted = prefix  # nothing before this is of interest
    root = pages.root
    number = max(0, find_page(root, wanted))
    while number < len(root.page_ids):
        page = pages.page(number)
        row = bisect_left(page.paths, wanted)
        while row < len(page.paths):
            path = page.paths[row]
            if not path.startswith(prefix):
                return
            name, slash, _ = path[len(prefix) :].partition(b"/")
            yield Child(prefix + name, page, row)
            if slash:
                wanted = prefix + name + _AFTER_SLASH
                row = bisect_left(page.paths, wanted, row)
            else:
                row += 1
        number = max(number + 1, find_page(root, wanted))


def is_folder(pages: VersionPages, path: bytes) -> bool:
    """Tell whether anything lies below a path."""
    return not path or next(iter_children(pages, path), None) is not None
