"""The columns of two tables: which both have, as what they are compared, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cas.tables.database import Database, quote_name
from cas.tables.outcomes import ColumnChange

_NUMBER = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)")
_SHOWN_AS_IS = re.compile(r"BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DOUBLE|VARCHAR")
# Text as types have it: JSON.
_JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that both tables have: its name, and the type to which both are cast, if any."""

    name: str
    type: str
    cast: bool

    @property
    def compared(self) -> str:
        """The SQL for its value, of either table."""
        name = quote_name(self.name)
        return f"CAST({name} AS {self.type})" if self.cast else name


def read_columns(database: Database, reader: str) -> dict[str, str]:
    """Return the types of a table's columns by name."""
    return {row[0]: str(row[1]) for row in database.ask(f"DESCRIBE SELECT * FROM {reader}")}


def find_changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[ColumnChange, ...]:
    """Return which columns were removed, added, or have another type, in this order."""
    removed = [ColumnChange(name, kind, None) for name, kind in old.items() if name not in new]
    added = [ColumnChange(name, None, kind) for name, kind in new.items() if name not in old]
    retyped = [
        ColumnChange(name, old[name], kind)
        for name, kind in new.items()
        if name in old and old[name] != kind
    ]
    return (*removed, *added, *retyped)


def pair_columns(
    database: Database, old: Mapping[str, str], new: Mapping[str, str], keys: Sequence[str]
) -> list[Column]:
    """Return the columns that both tables have, `keys` first. Where types differ, numbers are
    compared as numbers, and whatever else as text.
    """
    names = [*keys, *(name for name in new if name in old and name not in keys)]
    columns = []
    for name in names:
        before, after = old[name], new[name]
        if before == after:
            columns.append(Column(name, after, cast=False))
        elif _NUMBER.fullmatch(before) and _NUMBER.fullmatch(after):
            both = f"SELECT NULL::{before} AS c UNION ALL SELECT NULL::{after}"
            ((wide,), *_) = database.ask(f"SELECT typeof(c) FROM ({both})")
            columns.append(Column(name, str(wide), cast=True))
        else:
            columns.append(Column(name, "VARCHAR", cast=True))
    return columns


def shown(column: Column, value: str) -> str:
    """Return the SQL for a value as Python can have it: whatever is rare comes as text."""
    if column.type == _JSON or _SHOWN_AS_IS.fullmatch(column.type):
        return value
    text = f"CAST({value} AS VARCHAR)"
    # 0.1 of 32 bits is 0.1, not its 64 bits.
    return f"CAST({text} AS DOUBLE)" if column.type == "FLOAT" else text
