"""Which tensors differ, as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle
from cas.cli.markdown import FoldedTable, marked, marked_name, print_comment
from cas.cli.render import Console, to_json
from cas.cli.text import escape
from cas.model.units import format_size

if TYPE_CHECKING:
    from cas import TensorDiff

_LETTERS = {"added": "A", "removed": "D", "reshaped": "S", "retyped": "T", "changed": "M"}
_COLORS = {"A": "green", "D": "red", "S": "magenta", "T": "cyan", "M": "yellow"}


def show_tensor_diff(console: Console, diff: TensorDiff, style: DiffStyle) -> int:
    """Print what differs, and return the exit code."""
    summary: dict[str, Any] = {kind: len(diff.of_kind(kind)) for kind in _LETTERS}
    summary["unchanged"] = sum(file.unchanged for file in diff.files)
    summary["skipped"] = len(diff.skipped)
    summary["read_bytes"] = diff.read_bytes
    if console.as_json:
        lists = {} if style.stat else _lists(diff)
        console.document({"old": style.old, "new": style.new, "summary": summary, **lists})
    elif style.md:
        _print_markdown(console, diff, style, _summary_text(summary))
    else:
        if not style.stat:
            _print_files(console, diff, style)
        for path, reason in diff.skipped:
            console.warning(
                f"{escape(path)} differs, but its tensors are not told: {escape(reason)}"
            )
        if not (style.name_only or style.name_status):
            console.detail("no tensor differs" if diff.is_empty else _summary_text(summary))
    return DIFFERENT_EXIT if style.exit_code and not diff.is_empty else 0


def _lists(diff: TensorDiff) -> dict[str, Any]:
    """In files that are equal there is nothing to compare, so they are not listed."""
    return {
        "files": to_json(list(diff.files)),
        "skipped": [{"path": path, "reason": reason} for path, reason in diff.skipped],
    }


def _print_files(console: Console, diff: TensorDiff, style: DiffStyle) -> None:
    for file in diff.files:
        path = escape(file.path)
        if file.changes and not style.name_status:
            console.answer(path)
        for change in () if style.name_only else file.changes:
            letter = _LETTERS[change.kind]
            if style.name_status:
                line = "\t".join((letter, path, escape(change.name)))
            else:
                line = f"  {letter}  {escape(change.name)}  {escape(change.describe())}"
            console.answer(console.paint(line, fg=_COLORS[letter]))


def _print_markdown(console: Console, diff: TensorDiff, style: DiffStyle, summary: str) -> None:
    rows = [] if style.stat else list(_markdown_rows(diff))
    told = "no tensor differs" if diff.is_empty else summary
    table = FoldedTable("tensor", ("", "file", "tensor", ""), rows)
    print_comment(console, (style.old, style.new), told, table)


def _markdown_rows(diff: TensorDiff) -> Iterator[tuple[str, str, str, str]]:
    for file in diff.files:
        path = marked_name(file.path)
        for change in file.changes:
            told = marked(escape(change.describe()))
            yield change.kind.capitalize(), path, marked_name(change.name), told
    for skipped, reason in diff.skipped:
        yield "Not told", marked_name(skipped), "", marked(escape(reason))


def _summary_text(summary: dict[str, Any]) -> str:
    parts = [f"{summary[kind]:,} {kind}" for kind in (*_LETTERS, "unchanged") if summary[kind]]
    parts.append(f"{format_size(summary['read_bytes'])} of tensors read")
    return ", ".join(parts)
