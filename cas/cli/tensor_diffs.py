"""Which tensors differ, as text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle
from cas.cli.render import Console, to_json
from cas.cli.text import escape
from cas.model.units import format_size

if TYPE_CHECKING:
    from cas import TensorChange, TensorDiff

_LETTERS = {"added": "A", "removed": "D", "reshaped": "S", "retyped": "T", "changed": "M"}


def show_tensor_diff(console: Console, diff: TensorDiff, style: DiffStyle) -> int:
    """Print what differs, and return the exit code."""
    summary: dict[str, Any] = {kind: len(diff.of_kind(kind)) for kind in _LETTERS}
    summary["unchanged"] = sum(file.unchanged for file in diff.files)
    summary["skipped"] = len(diff.skipped)
    summary["read_bytes"] = diff.read_bytes
    if console.as_json:
        lists = {} if style.stat else _lists(diff)
        console.document({"old": style.old, "new": style.new, "summary": summary, **lists})
    else:
        _print_files(console, diff, style)
        for path, reason in diff.skipped:
            console.warning(
                f"{escape(path)} differs, but its tensors are not told: {escape(reason)}"
            )
        if not style.name_only:
            console.detail("no differences" if diff.is_empty else _summary_text(summary))
    return DIFFERENT_EXIT if style.exit_code and not diff.is_empty else 0


def _lists(diff: TensorDiff) -> dict[str, Any]:
    """In files that are equal there is nothing to compare, so they are not listed."""
    return {
        "files": to_json(list(diff.files)),
        "skipped": [{"path": path, "reason": reason} for path, reason in diff.skipped],
    }


def _print_files(console: Console, diff: TensorDiff, style: DiffStyle) -> None:
    if style.stat:
        return
    for file in diff.files:
        if not file.changes:
            continue
        console.answer(escape(file.path))
        if not style.name_only:
            for change in file.changes:
                console.answer(f"  {_LETTERS[change.kind]}  {_describe(change)}")


def _describe(change: TensorChange) -> str:
    name = escape(change.name)
    old = f"{change.old_dtype} {list(change.old_shape or ())}"
    new = f"{change.new_dtype} {list(change.new_shape or ())}"
    if change.kind == "added":
        return f"{name}  {new}"
    if change.kind == "removed":
        return f"{name}  {old}"
    if change.kind in ("reshaped", "retyped"):
        return f"{name}  {old} -> {new}"
    share = (change.changed_elements or 0) / max(1, change.elements or 1)
    text = f"{name}  {new}  {change.changed_elements or 0:,} elements ({share:.1%})"
    if change.largest_difference is not None:
        text += f", by {change.largest_difference:.3g} at most"
    return text


def _summary_text(summary: dict[str, Any]) -> str:
    parts = [f"{summary[kind]:,} {kind}" for kind in (*_LETTERS, "unchanged") if summary[kind]]
    parts.append(f"{format_size(summary['read_bytes'])} of tensors read")
    return ", ".join(parts)
