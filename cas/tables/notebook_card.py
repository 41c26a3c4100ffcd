"""What a notebook shows of tables that differ: counts of rows, and the columns that changed."""

from __future__ import annotations

from cas.model.html import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Cell,
    Markup,
    card,
    code,
    colored,
    plain,
    remark,
    table,
)
from cas.model.units import format_count
from cas.tables.outcomes import RowsDiff, TableDiff

_MOST_TABLES = 50
_COLORS = {"added": GREEN, "removed": RED, "modified": YELLOW, "renamed": BLUE}
_RIGHT = frozenset({2, 3, 4})


def rows_diff_card(diff: RowsDiff) -> Markup:
    """Return how many rows differ in each of the first tables."""
    first = diff.tables[:_MOST_TABLES]
    rest = len(diff.tables) - len(first)
    headings = ("", "table", "added", "removed", "changed", "columns")
    return card(
        "Rows",
        "no differences" if diff.is_empty else format_count(len(diff.tables), "table"),
        table(headings, [_row(one) for one in first], right=_RIGHT) if first else None,
        remark(f"… and {rest:,} more") if rest else None,
        *(remark(f"{one.path}: {one.reason}") for one in diff.failures[:_MOST_TABLES]),
        remark(f"{format_count(diff.others, 'other file')} differ") if diff.others else None,
    )


def _row(one: TableDiff) -> tuple[Cell, ...]:
    path = one.path if one.old_path is None else f"{one.old_path} -> {one.path}"
    counts = [
        colored(f"{count:,}", color) if count else ""
        for count, color in ((one.added, GREEN), (one.removed, RED), (one.changed, YELLOW))
    ]
    changes = ", ".join(
        f"{change.name}: {change.old_type or 'none'} -> {change.new_type or 'none'}"
        for change in one.columns
    )
    return colored(one.kind, _COLORS[one.kind]), code(path), *counts, plain(changes)
