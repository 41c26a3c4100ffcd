"""Two tables as one pair of queries: columns are c0, c1, ... there, whatever they are called."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cas.errors import ErrorCode, InvalidInputError
from cas.tables.columns import pair_columns, shown
from cas.tables.database import Database
from cas.tables.kinds import TableKind
from cas.tables.outcomes import RowsOptions, Value
from cas.tables.shared_groups import RowSplit


@dataclass(frozen=True, slots=True)
class Table:
    """One side.

    Attributes:
        url: where the database reads it, as SQL.
        reader: the SQL that reads it.
        columns: the types of its columns by name.
        split: which of its rows lie in groups that the other side has, too; None if that is not
            known, or no table is made of groups.
    """

    url: str
    reader: str
    columns: Mapping[str, str]
    split: RowSplit | None = None


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
        """Return the SQL for the common columns of a side, as they are compared, without rows that
        lie in groups that both sides have.
        """
        own = None if table.split is None else table.split.own
        return self._select(table.reader, self._columns, own)

    def select_shared_keys(self) -> str | None:
        """Return the SQL for the keys of the rows that are left out; None if there are none."""
        if self.new.split is None:
            return None
        return self._select(self.new.reader, self.keys, self.new.split.shared)

    def _select(self, reader: str, names: Iterable[str], condition: str | None) -> str:
        selected = ", ".join(f"{self._columns[name].compared} AS {name}" for name in names)
        where = f" WHERE {condition}" if condition else ""
        return f"(SELECT {selected} FROM {reader}{where})"

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
