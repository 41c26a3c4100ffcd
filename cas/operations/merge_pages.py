"""Which pages of a base version a draft keeps as they are, and what those that it touches become.

A page ends where its last path says, so behind an edit the next page of the base nearly always
begins where it did: what a draft costs depends on the pages that it touches. Where pages of the base
end for their weight, with files so big that one has many extents, an edit would move every end behind
it; there the ends of the base stay, and a page that gets too heavy is halved.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import (
    MAX_PAGE_WEIGHT,
    MIN_PAGE_ENTRIES,
    Page,
    is_page_end,
    split_paths,
)
from cas.model.entry import path_to_text
from cas.operations.draft_edits import BaseEntry, DraftEdits, EmptyFolder, LocalEntry
from cas.operations.version_pages import VersionPages
from cas.transfer.reuse import entry_weight


@dataclass(frozen=True, slots=True, eq=False)
class BaseRow:
    """An entry of the base: its page and row there."""

    page: Page
    row: int


Origin = BaseRow | LocalEntry | EmptyFolder


@dataclass(frozen=True, slots=True, eq=False)
class MergedEntry:
    """A path of the version to be and what stands there."""

    path: bytes
    origin: Origin

    @property
    def size(self) -> int:
        """Bytes of its content, as far as is known."""
        if isinstance(self.origin, BaseRow):
            return int(self.origin.page.sizes[self.origin.row])
        return self.origin.stamp.size if isinstance(self.origin, LocalEntry) else 0


# A page of the base that stays, by its number, or the entries of a new one.
MergedPage = int | list[MergedEntry]


def merge_pages(
    base: VersionPages | None,
    edits: DraftEdits,
    note_replaced: Callable[[Page], None] | None = None,
) -> Iterator[MergedPage]:
    """Yield the pages of the version to be, in path order; reads those of the base that change.

    Args:
        note_replaced: told of each page that does.
    """
    return _Merging(base, edits, note_replaced).pages()


class _Merging:
    def __init__(
        self,
        base: VersionPages | None,
        edits: DraftEdits,
        note_replaced: Callable[[Page], None] | None,
    ) -> None:
        self._base = base
        self._edits = edits
        self._note_replaced = note_replaced
        self._new = sorted(edits.entries)
        self._firsts = [] if base is None else base.root.first_paths
        self._touched = self._find_touched()

    def pages(self) -> Iterator[MergedPage]:
        """See `merge_pages`."""
        count = len(self._firsts)
        pending = self._new_entries(0, len(self._new)) if count == 0 else []
        for number in range(count):
            if not pending and number not in self._touched:
                yield number
                continue
            assert self._base is not None
            page = self._base.page(number)
            if self._note_replaced is not None:
                self._note_replaced(page)
            pending += self._merged(number, page)
            may_stay = number + 1 < count and not _ends_by_path(page.paths)
            whole, pending = _cut(pending, may_stay=may_stay)
            yield from whole
        yield from filter(None, _split(pending))

    def _find_touched(self) -> set[int]:
        """Return the numbers of the pages that any edit may concern."""
        edits = self._edits
        if not self._firsts:
            return set()
        touched = {self._page_of(path) for path in self._new}
        touched |= {self._page_of(path) for path in edits.gone}
        for folder in edits.gone_below:
            # "0" is the byte after "/": all that lies below a folder sorts before it.
            first, stop = (folder + b"/", folder + b"0") if folder else (b"", None)
            last = len(self._firsts) - 1 if stop is None else self._page_of(stop)
            touched |= set(range(self._page_of(first), last + 1))
        return touched

    def _page_of(self, path: bytes) -> int:
        return max(0, bisect_right(self._firsts, path) - 1)

    def _merged(self, number: int, page: Page) -> list[MergedEntry]:
        """Return what becomes of the entries of a page, and what is new between them."""
        hides = self._edits.hides
        kept = [
            MergedEntry(path, BaseRow(page, row))
            for row, path in enumerate(page.paths)
            if not hides(path)
        ]
        is_last = number + 1 == len(self._firsts)
        start = bisect_left(self._new, self._firsts[number]) if number else 0
        stop = len(self._new) if is_last else bisect_left(self._new, self._firsts[number + 1])
        new = self._new_entries(start, stop)
        return sorted([*kept, *new], key=lambda one: one.path) if new else kept

    def _new_entries(self, start: int, stop: int) -> list[MergedEntry]:
        return [MergedEntry(path, self._origin(path)) for path in self._new[start:stop]]

    def _origin(self, path: bytes) -> Origin:
        entry = self._edits.entries[path]
        if not isinstance(entry, BaseEntry):
            return entry
        found = None if self._base is None else self._base.find(entry.path)
        if found is None:
            raise CorruptionError(
                f"the base no longer has {path_to_text(entry.path)!r}",
                code=ErrorCode.DIGEST_MISMATCH,
            )
        return BaseRow(*found)


def _cut(
    entries: list[MergedEntry], *, may_stay: bool
) -> tuple[list[list[MergedEntry]], list[MergedEntry]]:
    """Cut the entries up to the end of a page of the base; return pages, and what wants more
    entries to be one.

    Args:
        may_stay: the base ends its page there for another reason than the path.
    """
    *whole, rest = _split(entries)
    if not rest or _ends_by_path([one.path for one in rest]):
        return [*whole, rest] if rest else whole, []
    if not may_stay:
        return whole, rest
    if len(rest) >= MIN_PAGE_ENTRIES or 4 * int(_weights(rest).sum()) >= MAX_PAGE_WEIGHT:
        return [*whole, rest], []
    if not whole or _ends_by_path([one.path for one in whole[-1]]):
        return whole, rest
    last = whole.pop() + rest
    summed = np.cumsum(_weights(last))
    half = int(np.searchsorted(summed, summed[-1] // 2)) + 1
    return [*whole, last[:half], last[half:]], []


def _ends_by_path(paths: list[bytes]) -> bool:
    return bool(paths) and is_page_end(paths[-1], len(paths))


def _weights(entries: list[MergedEntry]) -> NDArray[np.int64]:
    return np.array([entry_weight(one.path, one.size) for one in entries], np.int64)


def _split(entries: list[MergedEntry]) -> list[list[MergedEntry]]:
    """Cut entries into pages; the last one may want more entries. Never returns nothing."""
    if not entries:
        return [[]]
    ends = split_paths([one.path for one in entries], _weights(entries))
    return [entries[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
