"""Comparing one file that is a table on both sides."""

from __future__ import annotations

from dataclasses import replace

from cas.tables.columns import find_changes, read_columns
from cas.tables.database import Database
from cas.tables.keyed import compare_by_key
from cas.tables.kinds import TableKind
from cas.tables.multisets import compare_as_multisets
from cas.tables.outcomes import RowsOptions, TableDiff
from cas.tables.pair import Table, TablePair
from cas.tables.served_files import Readable
from cas.tables.shared_groups import ROW_NUMBER, Chunks, split_rows


class TableComparer:
    """Compares tables of one kind, which a database reads."""

    def __init__(self, database: Database, kind: TableKind, options: RowsOptions) -> None:
        self._database = database
        self._kind = kind
        self._options = options

    @property
    def has_groups(self) -> bool:
        """Whether it is worth knowing of which chunks the tables are made."""
        return self._kind.is_parquet

    def count_rows(self, content: Readable) -> int:
        """Return how many rows a table has.

        Raises:
            InvalidInputError: it is not what its name says.
        """
        return self._count(self._open(content, "the file"))

    def compare(
        self, path: str, old: Readable, new: Readable, chunks: Chunks | None = None
    ) -> TableDiff:
        """Return what differs.

        Args:
            path: what the table is called.
            old: its content before.
            new: its content now.
            chunks: those of both, so that what they share is not read.

        Raises:
            InvalidInputError: one is not what its name says, or cannot be compared by this key.
        """
        tables = self._open(old, "the old file"), self._open(new, "the new file")
        columns = find_changes(tables[0].columns, tables[1].columns)
        if chunks is not None:
            tables = self._leave_out_shared(tables, chunks)
        return replace(self._compare_rows(path, *tables), columns=columns)

    def _compare_rows(self, path: str, old: Table, new: Table) -> TableDiff:
        if old.columns and new.columns:  # an empty file has none
            pair = TablePair(self._database, self._kind, old, new, self._options)
            if pair.keys:
                return compare_by_key(pair, path)
            if pair.names:
                return compare_as_multisets(pair, path)
        added, removed = self._count(new), self._count(old)
        return TableDiff(kind="modified", path=path, added=added, removed=removed)

    def _open(self, content: Readable, called: str) -> Table:
        if content.size == 0 and not self._kind.is_parquet:
            return Table("", "(SELECT NULL WHERE false)", {})
        url = self._database.serve(content, called)
        reader = self._kind.reader(url, content)
        return Table(url, reader, read_columns(self._database, reader))

    def _count(self, table: Table) -> int:
        ((count,),) = self._database.ask(f"SELECT count(*) FROM {table.reader}")
        return int(count)

    def _leave_out_shared(self, tables: tuple[Table, Table], chunks: Chunks) -> tuple[Table, Table]:
        """Return tables without the rows that both have in groups of the same bytes, if they are
        read the same way.
        """
        old, new = tables
        if list(old.columns.items()) != list(new.columns.items()) or ROW_NUMBER in old.columns:
            return tables
        splits = split_rows(self._database, (old.url, new.url), chunks)
        if splits is None:
            return tables
        numbered = [replace(one, reader=self._kind.numbered_reader(one.url)) for one in tables]
        return replace(numbered[0], split=splits[0]), replace(numbered[1], split=splits[1])
