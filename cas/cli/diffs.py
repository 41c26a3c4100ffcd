"""What differs between two versions, or a version and a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cas.cli.markdown import FoldedTable, marked_name, print_comment
from cas.cli.render import Console, to_json
from cas.cli.text import escape
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cas import Change, Diff

DIFFERENT_EXIT = 1
_GROUPS = {
    "added": "A",
    "removed": "D",
    "modified": "M",
    "renamed": "R",
    "mode_changed": "X",
}
_COLORS = {"A": "green", "D": "red", "M": "yellow", "R": "cyan", "X": "magenta"}
_TITLES = {
    "A": "Added",
    "D": "Removed",
    "M": "Modified",
    "R": "Renamed",
    "X": "Mode changed",
}

_Groups = dict[str, "Sequence[Change]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffStyle:
    """What was compared, and how it is shown."""

    old: str
    new: str
    stat: bool = False
    name_only: bool = False
    name_status: bool = False
    md: bool = False
    exit_code: bool = False


def show_diff(console: Console, diff: Diff, style: DiffStyle) -> int:
    """Print a diff, and return the exit code."""
    groups: _Groups = {letter: getattr(diff, name) for name, letter in _GROUPS.items()}
    summary = _summarise(groups)
    different = any(groups.values())
    if console.as_json:
        lists = {} if style.stat else {name: to_json(list(getattr(diff, name))) for name in _GROUPS}
        console.document({"old": style.old, "new": style.new, "summary": summary, **lists})
    elif style.md:
        _print_markdown(console, groups, style, _summary_text(summary))
    else:
        if not style.stat:
            _print_changes(console, groups, style)
        if not (style.name_only or style.name_status):
            console.detail(_summary_text(summary))
    return DIFFERENT_EXIT if different and style.exit_code else 0


def _print_changes(console: Console, groups: _Groups, style: DiffStyle) -> None:
    for change, letter in _in_order(groups):
        if style.name_only:
            console.answer(escape(change.path))
            continue
        if style.name_status:
            paths = (change.old_path, change.path) if letter == "R" else (change.path,)
            line = "\t".join((letter, *(escape(path or "") for path in paths)))
        else:
            line = f"{letter}  {_describe(change, letter)}"
        console.answer(console.paint(line, fg=_COLORS[letter]))


def _in_order(groups: _Groups) -> list[tuple[Change, str]]:
    every = [(change, letter) for letter, changes in groups.items() for change in changes]
    return sorted(every, key=lambda line: line[0].path)


def _describe(change: Change, letter: str) -> str:
    path = escape(change.path)
    if letter == "R":
        return f"{escape(change.old_path or '')} -> {path}"
    if letter == "X":
        return path
    return f"{path}  ({_sizes(change, letter)})"


def _sizes(change: Change, letter: str) -> str:
    old, new = (format_size(size or 0) for size in (change.old_size, change.new_size))
    return {"A": new, "D": old, "M": f"{old} -> {new}"}.get(letter, "")


def _print_markdown(console: Console, groups: _Groups, style: DiffStyle, summary: str) -> None:
    changes = [] if style.stat else _in_order(groups)
    rows = [
        (_TITLES[letter], _marked_paths(change, letter), _sizes(change, letter))
        for change, letter in changes
    ]
    table = FoldedTable("path", ("", "path", "size"), rows, right=frozenset({2}))
    print_comment(console, (style.old, style.new), summary, table)


def _marked_paths(change: Change, letter: str) -> str:
    path = marked_name(change.path)
    return f"{marked_name(change.old_path or '')} → {path}" if letter == "R" else path


def _summarise(groups: Mapping[str, Sequence[Change]]) -> dict[str, Any]:
    summary: dict[str, Any] = {name: len(groups[letter]) for name, letter in _GROUPS.items()}
    summary["added_bytes"] = sum(change.new_size or 0 for change in groups["A"])
    summary["removed_bytes"] = sum(change.old_size or 0 for change in groups["D"])
    summary["modified_bytes"] = sum(change.new_size or 0 for change in groups["M"])
    return summary


def _summary_text(summary: Mapping[str, Any]) -> str:
    parts = [
        f"{summary['added']:,} added ({format_size(summary['added_bytes'])})",
        f"{summary['removed']:,} removed ({format_size(summary['removed_bytes'])})",
        f"{summary['modified']:,} modified ({format_size(summary['modified_bytes'])})",
        f"{summary['renamed']:,} renamed",
        f"{format_count(summary['mode_changed'], 'mode')} changed",
    ]
    return ", ".join(part for part in parts if not part.startswith("0 ")) or "no differences"
