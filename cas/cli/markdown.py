"""Comments for pull requests, in Markdown: what was compared, a summary, a table to be opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cas.model.escaping import escape
from cas.model.units import format_count

if TYPE_CHECKING:
    from cas.cli.render import Console

# Beyond this a comment on a pull request is cut, or refused: GitHub takes 65,536 characters.
MOST_LINES = 200
# What Markdown would take for markup, or for a link, a mention or an issue.
_MARKED = str.maketrans({one: f"&#{ord(one)};" for one in "&<>`|*_[]()#@~\\!"})


@dataclass(frozen=True, slots=True)
class FoldedTable:
    """A table that can be opened.

    Attributes:
        noun: what a row is about, such as `path`.
        headings: of the columns, at least two.
        rows: cells that are Markdown already.
        right: numbers of the columns that are aligned to the right.
    """

    noun: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()


def print_comment(
    console: Console, sides: tuple[str, str], summary: str, table: FoldedTable
) -> None:
    """Print what differs between two sides; a table without rows is left out."""
    console.answer(f"### {marked(sides[0])} → {marked(sides[1])}\n")
    console.answer(marked(summary))
    if not table.rows:
        return
    columns = range(len(table.headings))
    console.answer(f"\n<details><summary>{format_count(len(table.rows), table.noun)}</summary>\n")
    console.answer(_row(table.headings))
    console.answer(_row("---:" if number in table.right else "---" for number in columns))
    for row in table.rows[:MOST_LINES]:
        console.answer(_row(row))
    if len(table.rows) > MOST_LINES:
        rest = f"… and {len(table.rows) - MOST_LINES:,} more"
        console.answer(_row(rest if number == 1 else "" for number in columns))
    console.answer("\n</details>")


def marked(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return text.translate(_MARKED)


def marked_name(name: str) -> str:
    """Return a path or name that Markdown shows in letters of one width, and escaped."""
    return f"<code>{marked(escape(name))}</code>"


def _row(cells: Iterable[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
