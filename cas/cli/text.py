"""Text for people: times, totals, tables. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cas.model.escaping import escape
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas.model.entry import Totals

__all__ = [
    "display_width",
    "escape",
    "fit_widths",
    "format_table",
    "format_time",
    "format_totals",
    "shorten",
]

_LEAST_COLUMN = 8  # narrower ones tell nothing


def format_time(time_ns: int) -> str:
    """Return a time for people, in their time zone: `2026-05-04 12:30`."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def format_totals(totals: Totals) -> str:
    """Return `1,234 files, 2 links, 1.2 GiB`."""
    parts = [format_count(totals.files, "file")]
    if totals.symlinks:
        parts.append(format_count(totals.symlinks, "link"))
    if totals.directories:
        parts.append(f"{totals.directories:,} empty folder{'s'[: totals.directories != 1]}")
    if totals.externals:
        parts.append(format_count(totals.externals, "external reference"))
    return ", ".join([*parts, format_size(totals.size)])


def format_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    width: int | None = None,
) -> list[str]:
    """Return lines of a table with aligned columns; cells are escaped here.

    Args:
        headings: of the columns.
        rows: cells, as many as there are headings.
        right: numbers of the columns that are aligned to the right.
        width: where lines end; the widest columns are cut for it, as far as they bear it.
    """
    cells = [list(headings), *([escape(cell) for cell in row] for row in rows)]
    widths = [max(map(display_width, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths = fit_widths(widths, width - 2 * (len(widths) - 1))
        cells = [
            [shorten(cell, most) for cell, most in zip(row, widths, strict=True)] for row in cells
        ]
    lines = []
    for row in cells:
        padded = []
        for number, (cell, most) in enumerate(zip(row, widths, strict=True)):
            space = " " * (most - display_width(cell))
            padded.append(space + cell if number in right else cell + space)
        lines.append("  ".join(padded).rstrip())
    return lines


def fit_widths(widths: Sequence[int], room: int) -> list[int]:
    """Return widths of columns that together take at most `room`: the widest give first, none goes
    below 8.
    """
    fitted = list(widths)
    while (excess := sum(fitted) - room) > 0:
        *_, next_widest, widest = sorted([_LEAST_COLUMN, *fitted])
        if widest <= _LEAST_COLUMN:
            break
        least = min(next_widest, widest - 1)
        fitted[fitted.index(widest)] = max(least, widest - excess)
    return fitted


def shorten(text: str, width: int) -> str:
    """Return `text`, cut to `width` columns and ended by an ellipsis if it is wider."""
    if display_width(text) <= width:
        return text
    kept, room = 0, width - 1
    while kept < len(text) and (room := room - display_width(text[kept])) >= 0:
        kept += 1
    return text[:kept] + "…"


def display_width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    combining = sum(unicodedata.combining(character) != 0 for character in text)
    return len(text) + wide - combining
