"""What a notebook shows of tensors that differ."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from cas.model.html import (
    BLUE,
    GREEN,
    PURPLE,
    RED,
    YELLOW,
    Markup,
    card,
    code,
    colored,
    remark,
    table,
)
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas.operations.diff_tensors import TensorDiff

_MOST_TENSORS = 50
_COLORS = {
    "added": GREEN,
    "removed": RED,
    "reshaped": PURPLE,
    "retyped": BLUE,
    "changed": YELLOW,
}


def tensor_diff_card(diff: TensorDiff) -> Markup:
    """Return how many tensors differ, and the first of them."""
    every = [(file.path, change) for file in diff.files for change in file.changes]
    counts = [
        (colored(f"{found:,} {kind}", color),)
        for kind, color in _COLORS.items()
        if (found := len(diff.of_kind(kind)))
    ]
    rows = [
        (
            colored(change.kind, _COLORS[change.kind]),
            code(path),
            code(change.name),
            change.describe(),
        )
        for path, change in islice(every, _MOST_TENSORS)
    ]
    rest = len(every) - len(rows)
    unchanged = sum(file.unchanged for file in diff.files)
    return card(
        "Tensors",
        format_count(len(every), "difference") if every else "no differences",
        table(("",), counts) if counts else None,
        table(("", "file", "tensor", ""), rows) if rows else None,
        remark(f"… and {rest:,} more") if rest else None,
        remark(f"{unchanged:,} unchanged, {format_size(diff.read_bytes)} read"),
        *(remark(f"{path}: {reason}") for path, reason in diff.skipped[:_MOST_TENSORS]),
    )
