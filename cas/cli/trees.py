"""A version's folders drawn as a tree, each with how much lies below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from cas.cli.text import display_width, escape, shorten
from cas.model.entry import Entry, EntryKind
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from cas import Folder
    from cas.cli.render import Console

# On a terminal, unless the user says how much is wanted.
SCREEN_CHILDREN = 20
SCREEN_LINES = 200
_BRANCHES = ("├── ", "└── ", "│   ", "    ")
_PLAIN_BRANCHES = ("|-- ", "`-- ", "|   ", "    ")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeStyle:
    """How a tree is drawn.

    Attributes:
        depth: how many folders deep; None: as far as it was read.
        limit: how many lines below each folder; None: all.
        order: puts what lies in a folder in order; None: folders first, by name.
    """

    depth: int | None
    limit: int | None
    order: Callable[[list[Any]], list[Any]] | None = None


def draw_tree(console: Console, title: str, top: Folder, style: TreeStyle) -> int:
    """Print a tree, and return how many levels of folders it shows."""
    branches = _BRANCHES if console.can_show("".join(_BRANCHES)) else _PLAIN_BRANCHES
    depth = style.depth
    if depth is None:
        depth = _depth_that_fits(top, style) if console.shows_people else -1
    console.answer(f"{console.paint(escape(title), bold=True)}  {_totals(top)}")
    for last_ones, child in _iter_lines(top, style, depth):
        steps = [branches[3 if is_last else 2] for is_last in last_ones[:-1]]
        lead = "".join([*steps, branches[1 if last_ones[-1] else 0]])
        console.answer(console.paint(lead, dim=True) + _label(console, child, len(lead)))
    return depth


def _depth_that_fits(top: Folder, style: TreeStyle) -> int:
    """Return how deep a tree may be so that it is not too much for a screen; -1: all the way."""
    before = sum(1 for _ in islice(_iter_lines(top, style, 1), SCREEN_LINES))
    depth = 1
    while before < SCREEN_LINES:
        lines = sum(1 for _ in islice(_iter_lines(top, style, depth + 1), SCREEN_LINES))
        if lines == before:
            return -1
        if lines == SCREEN_LINES:
            break
        before, depth = lines, depth + 1
    return depth


def _iter_lines(
    top: Folder, style: TreeStyle, depth: int
) -> Iterator[tuple[tuple[bool, ...], Any]]:
    """Yield what is shown, with whether it and each folder above it is the last one of its folder."""
    waiting: list[tuple[tuple[bool, ...], Iterator[tuple[bool, Any]]]]
    waiting = [((), _children(top, style))]
    while waiting:
        lead, children = waiting[-1]
        is_last, child = next(children, (True, None))
        if child is None:
            waiting.pop()
            continue
        here = (*lead, is_last)
        yield here, child
        if not isinstance(child, int | Entry) and len(here) != depth:
            waiting.append((here, _children(child, style)))


def _children(folder: Folder, style: TreeStyle) -> Iterator[tuple[bool, Any]]:
    """Yield what lies right below a folder, and whether it is the last; then how many others."""
    every: list[Any] = [*folder.folders.values(), *folder.entries]
    if style.order is not None:
        every = style.order(every)
    shown = every if style.limit is None else every[: style.limit]
    more = len(every) - len(shown) + folder.more_entries
    for number, child in enumerate(shown, start=1):
        yield number == len(shown) and not more, child
    if more:
        yield True, more


def _label(console: Console, child: Any, indent: int) -> str:
    if isinstance(child, int):
        return console.paint(f"... and {child:,} more", dim=True)
    style: dict[str, Any] = {}
    if isinstance(child, Entry):
        name, tail = escape(child.path.rpartition("/")[2]), _entry_tail(child)
        if child.executable or child.kind is not EntryKind.FILE:
            style = {"fg": "green" if child.executable else "cyan"}
    else:
        name, tail, style = f"{escape(child.name)}/", _totals(child), {"fg": "blue", "bold": True}
    if (columns := console.columns) is not None:
        name = shorten(name, max(8, columns - indent - 2 - display_width(tail)))
    return f"{console.paint(name, **style)}  {console.paint(tail, dim=True)}"


def _entry_tail(entry: Entry) -> str:
    if entry.kind is EntryKind.DIRECTORY:
        return "empty"
    if entry.target is not None:
        return f"-> {escape(entry.target)}"
    return format_size(entry.size)


def _totals(folder: Folder) -> str:
    others = f", {folder.others:,} other{'s'[: folder.others != 1]}" if folder.others else ""
    return f"{format_count(folder.files, 'file')}, {format_size(folder.size)}{others}"
