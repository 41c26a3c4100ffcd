"""A preview on standard output: facts, then lines, rows or a picture."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cas.cli.previews.preview import Preview, Table
from cas.cli.previews.protocols import Protocol, find_protocol
from cas.cli.text import escape, fit_widths, format_table, shorten
from cas.model.entry import Entry, EntryKind
from cas.model.units import format_exact_size

if TYPE_CHECKING:
    from cas.cli.render import Console

# Around a preview: the facts above it, what is said below it, and the next prompt.
_OTHER_LINES = 9
DEFAULT_LINES = 20
MOST_COLUMNS = 100


def lines_that_fit(console: Console) -> int:
    """Return how many lines of a preview there is room for."""
    if not console.shows_people:
        return DEFAULT_LINES
    return max(5, shutil.get_terminal_size().lines - _OTHER_LINES)


def show_file(
    console: Console, ref: str, entry: Entry, preview: Preview | None, protocol: Protocol | None
) -> None:
    """Print what an entry is, and its preview.

    Args:
        protocol: how a picture is drawn; None finds out.
    """
    if console.as_json:
        made = None if preview is None else _document(preview)
        console.document({"ref": ref, "path": entry.path, "entry": entry, "preview": made})
        return
    console.heading(escape(f"{ref}/{entry.path}"))
    size = "" if entry.kind is EntryKind.DIRECTORY else format_exact_size(entry.size)
    facts = [("kind", _kind(entry, preview)), ("size", size)]
    facts += [("leads to", entry.target)] if entry.target is not None else []
    facts += [("hash", entry.hash.hex)] if entry.hash else []
    for name, value in facts:
        if value:
            console.detail(f"{name:<8}  {escape(value)}")
    if preview is None:
        return
    drawn = _picture(console, preview, protocol)
    if preview.lines or preview.table or drawn:
        console.detail("")
    _show_body(console, preview, drawn)
    for text in (preview.more and f"... {preview.more}", preview.remark):
        if text:
            console.detail(console.paint(escape(text), dim=True))


def _show_body(console: Console, preview: Preview, drawn: str) -> None:
    if drawn:
        console.answer(drawn)
    if preview.table is not None:
        _show_table(console, preview.table)
    width = len(str(len(preview.lines)))
    room = console.columns
    for number, line in enumerate(preview.lines, start=1):
        lead = f"{number:>{width}}  " if preview.is_numbered else ""
        text = escape(line)
        if room is not None:
            text = shorten(text, max(8, room - len(lead)))
        console.answer(console.paint(lead, dim=True) + text)


def _show_table(console: Console, table: Table) -> None:
    """Print a table as wide as the terminal: columns that do not fit are left out and named."""
    names = [name for name, _ in table.columns]
    types = [type_ for _, type_ in table.columns]
    typed = [types] if any(types) else []
    kept = len(names)
    if console.columns is not None:
        # Each column takes at least eight characters and two between it and the next one.
        while kept > 1 and sum(fit_widths([8] * kept, 0)) + 2 * kept > console.columns:
            kept -= 1
    rows = [*typed, *(list(row) for row in table.rows)]
    lines = format_table(
        [escape(name) for name in names[:kept]],
        [row[:kept] for row in rows],
        width=console.columns,
    )
    console.answer(console.paint(lines[0], bold=True))
    for number, line in enumerate(lines[1:]):
        console.answer(console.paint(line, dim=True) if number < len(typed) else line)
    if kept < len(names):
        rest = ", ".join(names[kept:])
        console.answer(console.paint(escape(f"not shown: {rest}"), dim=True))


def _picture(console: Console, preview: Preview, protocol: Protocol | None) -> str:
    """Return what draws the picture; nothing if there is none, or nobody to look at it."""
    if preview.picture is None or not (console.shows_people or protocol):
        return ""
    if protocol is None:
        protocol = find_protocol(console.environ, colors=console.paints)
    if protocol is Protocol.NONE:
        return ""
    from cas.cli.previews.draw import draw_picture  # Pillow and NumPy, for a picture only

    deep = console.environ.get("COLORTERM", "") in ("truecolor", "24bit")
    size = shutil.get_terminal_size()
    columns, rows = min(size.columns, MOST_COLUMNS), max(4, size.lines - _OTHER_LINES)
    return draw_picture(preview.picture, protocol, columns=columns, rows=rows, is_deep=deep)


def _kind(entry: Entry, preview: Preview | None) -> str:
    if entry.kind is not EntryKind.FILE and preview is None:
        return "empty folder" if entry.kind is EntryKind.DIRECTORY else entry.kind.name.lower()
    executable = ", executable" if entry.executable else ""
    link = "link to " if entry.kind is EntryKind.SYMLINK else ""
    return f"{link}{preview.summary if preview else 'file'}{executable}"


def _document(preview: Preview) -> Mapping[str, Any]:
    document: dict[str, Any] = {"kind": preview.kind, "summary": preview.summary, **preview.facts}
    if preview.lines:
        document["lines"] = preview.lines
    if preview.table is not None:
        document["first_rows"] = preview.table.rows
    return {**document, "more": preview.more or None, "remark": preview.remark or None}
