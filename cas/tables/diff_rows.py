"""What differs in the tables of two versions; files that are the same on both sides are not read."""

from __future__ import annotations

from dataclasses import replace

from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import EntryKind
from cas.objects.parts import StoreParts
from cas.operations.diff import Change, diff_versions
from cas.operations.pinned import PinnedVersion
from cas.operations.read_file import open_content
from cas.tables.columns import find_changes
from cas.tables.database import Database, open_database
from cas.tables.keyed import compare_by_key
from cas.tables.kinds import TableKind, kind_of
from cas.tables.multisets import compare_as_multisets
from cas.tables.outcomes import RowsDiff, RowsOptions, TableDiff, TableFailure
from cas.tables.pair import Table, TablePair, open_table


def diff_rows(
    parts: StoreParts, old: PinnedVersion, new: PinnedVersion, options: RowsOptions
) -> RowsDiff:
    """Compare each table that is not the same file on both sides.

    Raises:
        InvalidInputError: an option is not allowed.
        UnsupportedError: DuckDB is not installed.
        CorruptionError: the store has other bytes than it must.
        BackendError: the storage failed.
    """
    if len(set(options.keys)) != len(options.keys):
        raise InvalidInputError("a key names a column twice", code=ErrorCode.INVALID_OPTION)
    if options.examples < 0:
        raise InvalidInputError("examples must not be negative", code=ErrorCode.INVALID_OPTION)
    tables, failures, others = [], [], 0
    with open_database(options.memory_bytes) as database:
        comparer = TableComparer(parts, (old, new), database, options)
        for change in diff_versions(old, new, renames=options.renames).changes:
            kind = kind_of(change.path) if change.entry_kind is EntryKind.FILE else None
            if kind is None:
                others += 1
            elif change.kind != "mode":
                try:
                    tables.append(comparer.compare(kind, change))
                except InvalidInputError as error:
                    failures.append(TableFailure(change.path, str(error), error.hint))
    return RowsDiff(tuple(tables), tuple(failures), others)


class TableComparer:
    """Compares files of an old and a new version, one after another."""

    def __init__(
        self,
        parts: StoreParts,
        versions: tuple[PinnedVersion, PinnedVersion],
        database: Database,
        options: RowsOptions,
    ) -> None:
        self._parts = parts
        self._old, self._new = versions
        self._database = database
        self._options = options

    def compare(self, kind: TableKind, change: Change) -> TableDiff:
        """Return what differs in one file.

        Raises:
            InvalidInputError: a file is not what its name says, or cannot be compared by this key.
        """
        path = change.path
        if change.kind == "added":
            count = self._count_rows(self._open(kind, self._new, path))
            return TableDiff(kind="added", path=path, added=count)
        if change.kind == "removed":
            count = self._count_rows(self._open(kind, self._old, path))
            return TableDiff(kind="removed", path=path, removed=count)
        if change.kind == "renamed":
            return TableDiff(kind="renamed", path=path, old_path=change.old_path)
        old, new = (self._open(kind, version, path) for version in (self._old, self._new))
        columns = find_changes(old.columns, new.columns)
        return replace(self._compare_rows(kind, old, new, path), columns=columns)

    def _compare_rows(self, kind: TableKind, old: Table, new: Table, path: str) -> TableDiff:
        if old.columns and new.columns:  # an empty file has none
            pair = TablePair(self._database, kind, old, new, self._options)
            if pair.keys:
                return compare_by_key(pair, path)
            if pair.names:
                return compare_as_multisets(pair, path)
        added, removed = self._count_rows(new), self._count_rows(old)
        return TableDiff(kind="modified", path=path, added=added, removed=removed)

    def _open(self, kind: TableKind, version: PinnedVersion, path: str) -> Table:
        return open_table(self._database, kind, open_content(self._parts, version, path))

    def _count_rows(self, table: Table) -> int:
        ((count,),) = self._database.ask(f"SELECT count(*) FROM {table.reader}")
        return int(count)
