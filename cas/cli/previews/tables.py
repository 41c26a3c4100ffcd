"""Previews of tables: CSV and lines of JSON by what Python has, Parquet and Arrow by pyarrow."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cas.cli.previews.preview import Preview, Source, Table, TooMuchToReadError
from cas.model.units import format_count

MOST_COLUMNS = 10  # pages of Parquet are of 1 MiB
LONGEST_CELL = 80
BUFFER_BYTES = 64 << 10
WHERE_PYARROW = "to see its columns and rows: pip install 'cas-store[preview]'"
TOO_MUCH = "its first rows would take too much reading"
_SAMPLE_ROWS = 100


def preview_delimited(source: Source, text: str, *, is_whole: bool) -> Preview:
    """Return the first rows of a CSV or TSV file, of which `text` is the beginning.

    Raises:
        ValueError: it is none.
    """
    lines = text.splitlines(keepends=True)
    if not is_whole and len(lines) > 1:
        lines.pop()
    tabs = ".tsv" in source.name.lower() or ".tab" in source.name.lower()
    delimiter = "\t" if tabs else _delimiter("".join(lines[:20]))
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not rows:
        raise ValueError("no rows")
    names, rows = rows[0], rows[1:]
    types = [
        _type_of(row[at] for row in rows[:_SAMPLE_ROWS] if at < len(row))
        for at in range(len(names))
    ]
    kind = "TSV" if delimiter == "\t" else "CSV"
    return _table_preview(
        kind, list(zip(names, types, strict=True)), rows, source, len(rows) if is_whole else None
    )


def preview_json_lines(source: Source, text: str, *, is_whole: bool) -> Preview:
    """Return the first rows of a file of JSON objects, one a line.

    Raises:
        ValueError: it is none.
    """
    lines = text.splitlines()
    if not is_whole and len(lines) > 1:
        lines.pop()
    records = [
        json.loads(line) for line in lines[: max(source.lines, _SAMPLE_ROWS)] if line.strip()
    ]
    if not records or not all(isinstance(record, dict) for record in records):
        raise ValueError("not an object in each line")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [(name, _json_type([record.get(name) for record in records])) for name in names]
    rows = [[_cell(record.get(name)) for name in names] for record in records]
    count = sum(1 for line in lines if line.strip()) if is_whole else None
    return _table_preview("JSON lines", columns, rows, source, count)


def preview_columns(source: Source) -> Preview:
    """Return the schema and first rows of a Parquet or Arrow file, from its footer and the first
    pages of the columns that are shown.

    Raises:
        ValueError: it is none.
    """
    is_parquet = source.suffix in (".parquet", ".pq")
    kind = "Parquet" if is_parquet else "Arrow"
    try:
        import pyarrow as pa  # an extra, and 50 ms that others need not spend
    except ImportError:
        return Preview(kind="table", summary=f"{kind} table", remark=WHERE_PYARROW)
    try:
        if is_parquet:
            return _preview_parquet(source)
        return _preview_arrow(source)
    except pa.ArrowException as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else kind) from error


def _preview_parquet(source: Source) -> Preview:
    import pyarrow.parquet as pq  # as above

    # Otherwise whole chunks of columns would be read, which may be hundreds of MiB.
    by_page: Any = {"buffer_size": BUFFER_BYTES, "pre_buffer": False}
    with source.open() as file, pq.ParquetFile(file, **by_page) as table:
        schema, count = table.schema_arrow, table.metadata.num_rows
        names = schema.names[:MOST_COLUMNS]
        rows, remark = [], ""
        try:
            batches = table.iter_batches(source.lines, columns=names, use_threads=False)
            first = next(batches, None) if table.metadata.num_row_groups else None
            rows = [] if first is None else _rows_of(first, source.lines)
        except TooMuchToReadError:
            remark = TOO_MUCH
        groups = table.metadata.num_row_groups
    columns = [(str(one.name), str(one.type)) for one in schema]
    made = _table_preview("Parquet", columns, rows, source, count, remark=remark)
    return replace(made, facts={**made.facts, "row_groups": groups})


def _preview_arrow(source: Source) -> Preview:
    import pyarrow as pa  # as above

    rows, remark = [], ""
    with source.open() as file:
        is_file = file.peek(6).startswith(b"ARROW1")
        opened = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        schema = opened.schema
        try:
            if not is_file:
                first = next(iter(opened), None)
            else:
                first = opened.get_batch(0) if opened.num_record_batches else None
            if first is not None:
                rows = _rows_of(first.select(schema.names[:MOST_COLUMNS]), source.lines)
        except TooMuchToReadError:
            remark = TOO_MUCH
    columns = [(str(one.name), str(one.type)) for one in schema]
    return _table_preview("Arrow", columns, rows, source, None, remark=remark)


def _rows_of(batch: Any, lines: int) -> list[list[str]]:
    # Arrow takes offsets for what they say: those of a damaged file would lead anywhere in memory.
    batch.validate(full=True)
    return [[_cell(value) for value in row.values()] for row in batch.slice(0, lines).to_pylist()]


def _table_preview(
    kind: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    source: Source,
    count: int | None,
    *,
    remark: str = "",
) -> Preview:
    """Return a table cut to its first columns and as many rows as are wanted."""
    kept = tuple(columns[:MOST_COLUMNS])
    width = len(kept)
    shown = tuple(
        tuple(_cut(cell) for cell in [*row, *[""] * width][:width]) for row in rows[: source.lines]
    )
    more = []
    if count is None or count > len(shown):
        more.append("more rows" if count is None else format_count(count - len(shown), "more row"))
    if len(columns) > width:
        names = ", ".join(name for name, _ in columns[width : width + 20])
        more.append(f"{format_count(len(columns) - width, 'more column')}: {_cut(names)}")
    said = "" if count is None else f", {format_count(count, 'row')}"
    return Preview(
        kind="table",
        summary=f"{kind} table, {format_count(len(columns), 'column')}{said}",
        facts={
            "format": kind,
            "rows": count,
            "columns": [{"name": name, "type": type_} for name, type_ in columns],
        },
        table=Table(kept, shown),
        more=", ".join(more) if shown or not remark else "",
        remark=remark,
    )


def _delimiter(sample: str) -> str:
    try:
        return csv.Sniffer().sniff(sample, ",;\t|").delimiter
    except csv.Error:
        return ","


def _type_of(values: Iterable[str]) -> str:
    """Return what all these texts can be read as."""
    found = [value.strip() for value in values if value.strip()]
    for name, reads in (("int", int), ("float", float)):
        try:
            for value in found:
                reads(value)
        except ValueError:
            continue
        return name if found else "empty"
    return "text"


def _json_type(values: Sequence[Any]) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "text", list: "list", dict: "object"}
    found = {names[type(value)] for value in values if value is not None}
    if found == {"int", "float"}:
        return "float"
    return found.pop() if len(found) == 1 else "mixed" if found else "null"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"<{format_count(len(value), 'byte')}>"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"
