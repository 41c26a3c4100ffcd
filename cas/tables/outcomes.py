"""What a comparison of tables is asked for, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cas.model.units import GIB

# None, a truth value, a number, text; of JSON lines also lists and maps. A number that JSON has
# not, such as NaN, and whatever else a column holds stand as text.
Value = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOptions:
    """How tables are compared.

    Attributes:
        keys: the columns that tell rows apart; without any, rows are only counted as there or not.
        examples: how many rows of each kind are shown of a table.
        path: of both versions; what is at or below it is compared.
        renames: a file that only moved is one table that did not change.
        memory_bytes: what the database takes at most; beyond that it writes temporary files.
    """

    keys: tuple[str, ...] = ()
    examples: int = 10
    path: str = ""
    renames: bool = True
    memory_bytes: int = GIB


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A column that one side lacks, with None for its type there, or that has another type."""

    name: str
    old_type: str | None
    new_type: str | None


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row that one side has more often: its columns by name, and how much more often."""

    values: Mapping[str, Value]
    times: int = 1


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that both sides have: its key, and the old and new value of each cell that differs."""

    key: Mapping[str, Value]
    cells: Mapping[str, tuple[Value, Value]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """What differs in one file. `kind` is `added`, `removed`, `modified` or `renamed`.

    Attributes:
        old_path: where it was, if it was renamed.
        added: rows that only the new side has, or has more often.
        removed: rows that only the old side has, or has more often.
        changed: rows whose key both sides have, with other values; 0 without a key.
        changed_cells: how many of those differ in each column, columns without any left out.
    """

    kind: str
    path: str
    old_path: str | None = None
    columns: tuple[ColumnChange, ...] = ()
    added: int = 0
    removed: int = 0
    changed: int = 0
    changed_cells: Mapping[str, int] = field(default_factory=dict)
    added_rows: Sequence[ShownRow] = ()
    removed_rows: Sequence[ShownRow] = ()
    changed_rows: Sequence[ChangedRow] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the tables have the same columns and rows."""
        return not (self.columns or self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class TableFailure:
    """A table that cannot be compared, and why."""

    path: str
    reason: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class RowsDiff:
    """What differs in the tables of two versions, in path order.

    Attributes:
        tables: every file that is a table and is not the same on both sides.
        failures: those that could not be compared.
        others: how many files differ that are no tables.
    """

    tables: tuple[TableDiff, ...]
    failures: tuple[TableFailure, ...] = ()
    others: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether every table has the same columns and rows; the order of rows does not count."""
        return not self.failures and all(table.is_empty for table in self.tables)

    def _repr_html_(self) -> str | None:
        # Here: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.tables.notebook_card import rows_diff_card

        return show_or_nothing(lambda: rows_diff_card(self))
