"""Two tables as one pair of queries: columns are c0, c1, ... there, whatever they are called."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cas.errors import ErrorCode, InvalidInputError
from cas.tables.columns import pair_columns, read_columns, shown
from cas.tables.database import Database
from cas.tables.kinds import TableKind
from cas.tables.outcomes import RowsOptions, Value
from cas.tables.served_files import Readable

_NOTHING = "(SELECT NULL WHERE false)"


@dataclass(frozen=True, slots=True)
class Table:
    """One side: the SQL that reads it, and the types of its columns by name."""

    reader: str
    columns: Mapping[str, str]


def open_table(database: Database, kind: TableKind, content: Readable) -> Table:
    """Return a table that can be queried.

    Raises:
        InvalidInputError: the content is not what its name says.
    """
    if content.size == 0 and not kind.is_parquet:
        return Table(_NOTHING, {})
    reader = kind.reader(database.serve(content))
    return Table(reader, read_columns(database, reader))


class TablePair:
    """Two tables, and what both have in common.

    Attributes:
        database: where both can be queried.
        old: the one.
        new: the other.
        options: how they are compared.
        keys: the columns of the key, as queries call them.
        values: the other columns.
    """

    def __init__(
        self, database: Database, kind: TableKind, old: Table, new: Table, options: RowsOptions
    ) -> None:
        """Find out what both have in common.

        Raises:
            InvalidInputError: a side lacks a column of the key.
        """
        self.database = database
        self.old = old
        self.new = new
        self.options = options
        self._is_json = kind.is_json
        for key in options.keys:
            if key not in old.columns or key not in new.columns:
                raise _no_such_key(key, old.columns, new.columns)
        columns = pair_columns(database, old.columns, new.columns, options.keys)
        named = {f"c{number}": column for number, column in enumerate(columns)}
        self._columns = named
        self.keys = list(named)[: len(options.keys)]
        self.values = list(named)[len(options.keys) :]

    @property
    def names(self) -> list[str]:
        """All columns that both have, as queries call them."""
        return [*self.keys, *self.values]

    def column(self, name: str) -> str:
        """Return what a column of queries is called in the files."""
        return self._columns[name].name

    def select(self, table: Table) -> str:
        """Return the SQL for the common columns of a side, as they are compared."""
        selected = ", ".join(f"{one.compared} AS {name}" for name, one in self._columns.items())
        return f"(SELECT {selected} FROM {table.reader})"

    def shown(self, name: str, table: str = "") -> str:
        """Return the SQL for a column as Python can have it."""
        return shown(self._columns[name], f"{table}.{name}" if table else name)

    def keep(self, name: str, query: str) -> None:
        """Keep what a query finds as a temporary table."""
        self.database.ask(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")

    def read_row(self, names: Sequence[str], row: Iterable[Any]) -> dict[str, Value]:
        """Return values by what their columns are called in the files; more values are left."""
        return {
            self.column(name): self.read_value(value)
            for name, value in zip(names, row, strict=False)
        }

    def read_value(self, value: Any) -> Value:
        """Return a shown value as JSON can have it."""
        if self._is_json and isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                return value
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
        return value


def _no_such_key(key: str, old: Mapping[str, str], new: Mapping[str, str]) -> InvalidInputError:
    where = "the old side" if key in new else "the new side" if key in old else "either side"
    has = ", ".join(name for name in new if name in old)
    return InvalidInputError(
        f"there is no column {key} on {where}",
        code=ErrorCode.INVALID_OPTION,
        hint=f"both sides have {has}" if has else None,
    )
