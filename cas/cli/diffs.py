"""What differs between two versions, or a version and a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cas.cli.render import Console, to_json
from cas.cli.text import escape
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import Change, Diff

DIFFERENT_EXIT = 1
_GROUPS = (
    ("added", "A"),
    ("removed", "D"),
    ("modified", "M"),
    ("renamed", "R"),
    ("mode_changed", "X"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffStyle:
    """What was compared, and how it is shown."""

    old: str
    new: str
    stat: bool = False
    name_only: bool = False
    exit_code: bool = False


def show_diff(console: Console, diff: Diff, style: DiffStyle) -> int:
    """Print a diff, and return the exit code."""
    groups: dict[str, Sequence[Change]] = {name: getattr(diff, name) for name, _ in _GROUPS}
    summary = _summarise(groups)
    different = any(groups.values())
    if console.as_json:
        lists = {} if style.stat else {name: to_json(list(groups[name])) for name in groups}
        console.document({"old": style.old, "new": style.new, "summary": summary, **lists})
    else:
        _print_changes(console, groups, style)
        if not style.name_only:
            console.detail(_summary_text(summary) if different else "no differences")
    return DIFFERENT_EXIT if different and style.exit_code else 0


def _print_changes(console: Console, groups: dict[str, Sequence[Change]], style: DiffStyle) -> None:
    if style.stat:
        return
    lines = [(change, letter) for name, letter in _GROUPS for change in groups[name]]
    for change, letter in sorted(lines, key=lambda line: line[0].path):
        if style.name_only:
            console.answer(escape(change.path))
        else:
            console.answer(f"{letter}  {_describe(change, letter)}")


def _describe(change: Change, letter: str) -> str:
    path = escape(change.path)
    if letter == "R":
        return f"{escape(change.old_path or '')} -> {path}"
    if letter == "X":
        return path
    if letter == "M":
        return f"{path}  ({_size(change.old_size)} -> {_size(change.new_size)})"
    return f"{path}  ({_size(change.new_size if letter == 'A' else change.old_size)})"


def _size(size: int | None) -> str:
    return format_size(size or 0)


def _summarise(groups: dict[str, Sequence[Change]]) -> dict[str, Any]:
    summary: dict[str, Any] = {name: len(changes) for name, changes in groups.items()}
    summary["added_bytes"] = sum(change.new_size or 0 for change in groups["added"])
    summary["removed_bytes"] = sum(change.old_size or 0 for change in groups["removed"])
    summary["modified_bytes"] = sum(change.new_size or 0 for change in groups["modified"])
    return summary


def _summary_text(summary: dict[str, Any]) -> str:
    parts = [
        f"{summary['added']:,} added ({format_size(summary['added_bytes'])})",
        f"{summary['removed']:,} removed ({format_size(summary['removed_bytes'])})",
        f"{summary['modified']:,} modified ({format_size(summary['modified_bytes'])})",
        f"{summary['renamed']:,} renamed",
        f"{format_count(summary['mode_changed'], 'mode')} changed",
    ]
    return ", ".join(part for part in parts if not part.startswith("0 "))
