"""What differs between the tables of two versions, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cas.cli.diffs import DIFFERENT_EXIT
from cas.cli.invocation import Invocation
from cas.cli.render import Console
from cas.cli.text import escape, shorten
from cas.cli.values import is_folder_argument
from cas.errors import IncompleteError
from cas.model.units import format_count

if TYPE_CHECKING:
    from cas import ColumnChange, RowsDiff, TableDiff

EXAMPLES_SHOWN = 10
_LETTERS = {"added": "A", "removed": "D", "modified": "M", "renamed": "R"}
_COLORS = {"A": "green", "D": "red", "M": "yellow", "R": "cyan"}
_WIDEST_VALUE = 60  # columns of a terminal; --json has all of it
_UNFIT = ("name_only", "name_status", "md")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRows:
    """What is compared, and how."""

    old: str
    new: str
    path: str
    keys: tuple[str, ...]
    limit: int
    renames: bool


def as_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of `--key`, which may be repeated or hold several between commas."""
    return tuple(name for one in keys for name in one.split(",") if name)


def compare_rows(cli: Invocation, asked: AskedRows, style: Mapping[str, bool]) -> int:
    """Compare the tables of two versions, print what differs, and return the exit code.

    Raises:
        click.UsageError: an option does not go with `--rows`.
    """
    context = click.get_current_context()
    unfit = next((name for name in _UNFIT if style[name]), None)
    if unfit:
        raise click.UsageError(
            f"--rows and --{unfit.replace('_', '-')} do not go together", context
        )
    if is_folder_argument(asked.new):
        raise click.UsageError("--rows compares two versions: put the folder first", context)
    from cas.tables.outcomes import RowsOptions  # what `cas --help` need not load

    options = RowsOptions(
        path=asked.path, keys=asked.keys, examples=asked.limit, renames=asked.renames
    )
    with cli.open_store() as store:
        diff = store.diff_rows(asked.old, asked.new, options)
    if cli.console.as_json:
        cli.console.document({"old": asked.old, "new": asked.new, **_as_map(diff)})
    else:
        _print_tables(cli.console, diff, with_rows=not style["stat"])
    for failure in diff.failures:
        hint = f" ({failure.hint})" if failure.hint else ""
        cli.console.warning(escape(f"{failure.path} is not compared: {failure.reason}{hint}"))
    if diff.failures:
        return IncompleteError.exit_code
    return DIFFERENT_EXIT if style["exit_code"] and not diff.is_empty else 0


def _print_tables(console: Console, diff: RowsDiff, *, with_rows: bool) -> None:
    for table in diff.tables:
        _print_table(console, table, with_rows=with_rows)
    if diff.others:
        verb = "differs" if diff.others == 1 else "differ"
        console.detail(f"{format_count(diff.others, 'other file')} {verb}")
    elif not diff.tables and not diff.failures:
        console.detail("no differences")


def _as_map(diff: RowsDiff) -> dict[str, Any]:
    names = ("added", "removed", "changed")
    summary = {name: sum(getattr(table, name) for table in diff.tables) for name in names}
    summary |= {"tables": len(diff.tables), "other_files": diff.others}
    return {"summary": summary, "tables": diff.tables, "failures": diff.failures}


def _print_table(console: Console, table: TableDiff, *, with_rows: bool) -> None:
    letter = _LETTERS[table.kind]
    path = escape(table.path)
    if table.old_path is not None:
        path = f"{escape(table.old_path)} -> {path}"
    title = console.paint(f"{letter}  {path}", fg=_COLORS[letter])
    counts = _counts(table)
    console.answer(f"{title}  {counts}" if counts else title)
    for change in table.columns:
        _print_line(console, f"column {_column(change)}", "cyan")
    if table.changed_cells:
        cells = ", ".join(f"{name} {count:,}" for name, count in table.changed_cells.items())
        _print_line(console, f"cells changed: {cells}", None)
    if not with_rows:
        return
    as_json = _is_json(table.path)
    for sign, color, rows in (("-", "red", table.removed_rows), ("+", "green", table.added_rows)):
        for row in rows:
            times = f"  ({row.times:,} times)" if row.times > 1 else ""
            _print_line(console, f"{sign} {_cells(row.values, as_json=as_json)}{times}", color)
    for changed in table.changed_rows:
        cells = ", ".join(
            f"{name}: {_value(old, as_json=as_json)} -> {_value(new, as_json=as_json)}"
            for name, (old, new) in changed.cells.items()
        )
        _print_line(console, f"~ {_cells(changed.key, as_json=as_json)}  {cells}", "yellow")


def _print_line(console: Console, text: str, color: str | None) -> None:
    line = "   " + escape(text)
    if console.columns is not None:
        line = shorten(line, console.columns)
    console.answer(console.paint(line, fg=color) if color else line)


def _counts(table: TableDiff) -> str:
    rows = [
        f"{count:,} {what}"
        for what in ("added", "removed", "changed")
        if (count := getattr(table, what))
    ]
    if rows:
        return f"rows: {', '.join(rows)}"
    return "" if table.kind == "renamed" or table.columns else "the same rows"


def _column(change: ColumnChange) -> str:
    if change.old_type is None:
        return f"added: {change.name} ({change.new_type})"
    if change.new_type is None:
        return f"removed: {change.name} ({change.old_type})"
    return f"retyped: {change.name} ({change.old_type} -> {change.new_type})"


def _cells(values: Mapping[str, Any], *, as_json: bool) -> str:
    return ", ".join(f"{name}={_value(value, as_json=as_json)}" for name, value in values.items())


def _value(value: Any, *, as_json: bool) -> str:
    if value is None:
        return "NULL"
    as_json = as_json or isinstance(value, bool)
    return shorten(json.dumps(value, ensure_ascii=False) if as_json else str(value), _WIDEST_VALUE)


def _is_json(path: str) -> bool:
    return ".jsonl" in path.lower() or ".ndjson" in path.lower()
