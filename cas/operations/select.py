"""Which entries of a version are wanted, and where they go relative to the target."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cas.errors import CorruptionError, ErrorCode, InvalidInputError
from cas.format.manifest import Page, find_page, find_row
from cas.model.entry import EntryKind, path_to_text
from cas.operations.pinned import PinnedVersion


@dataclass(frozen=True, slots=True, eq=False)
class SelectedPage:
    """Rows of a page that are wanted, and the path of each in the target."""

    page: Page
    rows: Sequence[int]
    targets: list[bytes]


class Selection:
    """The wanted part of a version; pages are read anew on every pass."""

    def __init__(
        self, version: PinnedVersion, prefix: bytes, wants: Callable[[bytes], bool] | None
    ) -> None:
        self._version = version
        self._prefix = prefix
        self._wants = wants
        # Told of pages that cannot be read, by first path and that of the page after it, if they
        # are to be passed over.
        self.on_unreadable: Callable[[bytes, bytes], None] | None = None

    @property
    def prefix(self) -> bytes:
        """The path in the version at or below which everything lies; empty for all of it."""
        return self._prefix

    def pages(self) -> Iterator[SelectedPage]:
        """Yield the wanted rows, page by page, in path order."""
        prefix = self._prefix
        for page in self._iter_pages(prefix):
            if not prefix and self._wants is None:
                yield SelectedPage(page, range(len(page.paths)), page.paths)
                continue
            rows = [row for row, path in enumerate(page.paths) if self._is_wanted(path)]
            if rows:
                yield SelectedPage(page, rows, [self._target(page, row) for row in rows])

    def _iter_pages(self, prefix: bytes) -> Iterator[Page]:
        if self.on_unreadable is None:
            yield from self._version.pages.iter_pages(prefix)
            return
        firsts = [*self._version.pages.root.first_paths, b""]
        for number in range(len(firsts) - 1):
            try:
                yield self._version.pages.page(number)
            except CorruptionError:
                self.on_unreadable(firsts[number], firsts[number + 1])

    def _is_wanted(self, path: bytes) -> bool:
        prefix = self._prefix
        if prefix and path != prefix and not path.startswith(prefix + b"/"):
            return False
        return self._wants is None or self._wants(path)

    def _target(self, page: Page, row: int) -> bytes:
        path = page.paths[row]
        if not self._prefix:
            return path
        if path == self._prefix and page.kinds[row] != EntryKind.DIRECTORY:
            return path.rpartition(b"/")[2]
        return path[len(self._prefix) + 1 :] or path.rpartition(b"/")[2]


class ChosenFiles(Selection):
    """Files chosen one by one, each with the paths that it gets in the target."""

    def __init__(self, version: PinnedVersion, targets: Mapping[bytes, Sequence[bytes]]) -> None:
        super().__init__(version, b"", None)
        self._targets = targets

    def pages(self) -> Iterator[SelectedPage]:
        """Yield the chosen rows, page by page, in path order; paths that are not there are left
        out.
        """
        root = self._version.pages.root
        chosen = sorted(self._targets)
        for number, paths in groupby(chosen, lambda path: find_page(root, path)):
            if number < 0:
                continue
            page = self._version.pages.page(number)
            rows: list[int] = []
            targets: list[bytes] = []
            for path in paths:
                row = find_row(page, path)
                if row is not None:
                    rows += [row] * len(self._targets[path])
                    targets += self._targets[path]
            yield SelectedPage(page, rows, targets)


def select_pages(
    version: PinnedVersion, prefix: bytes, include: Sequence[str], exclude: Sequence[str]
) -> Selection:
    """Select what lies at or below `prefix`, fits `include` (if any) and not `exclude`.

    Raises:
        InvalidInputError: a pattern is wrong.
    """
    if not include and not exclude:
        return Selection(version, prefix, None)
    included, excluded = _compile(include), _compile(exclude)

    def wants(path: bytes) -> bool:
        text = path_to_text(path)
        return (not include or included(text)) and not excluded(text)

    return Selection(version, prefix, wants)


def _compile(patterns: Sequence[str]) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec  # 20 ms that a plain get need not spend

    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except (ValueError, re.error) as error:
        raise InvalidInputError(
            f"pattern: {error}", code=ErrorCode.INVALID_OPTION, hint="patterns are gitignore's"
        ) from error
    return spec.match_file
