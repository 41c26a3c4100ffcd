"""What differs in the tables of two versions; files that are the same on both sides are not read."""

from __future__ import annotations

from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import EntryKind
from cas.objects.parts import StoreParts
from cas.operations.diff import Change, diff_versions
from cas.operations.pinned import PinnedVersion
from cas.operations.read_file import open_content
from cas.tables.chunk_names import read_chunks
from cas.tables.compare import TableComparer
from cas.tables.database import open_database
from cas.tables.kinds import kind_of
from cas.tables.outcomes import RowsDiff, RowsOptions, TableDiff, TableFailure


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
        for change in diff_versions(old, new, options.path, renames=options.renames).changes:
            kind = kind_of(change.path) if change.entry_kind is EntryKind.FILE else None
            if kind is None:
                others += 1
            elif change.kind != "mode":
                comparer = TableComparer(database, kind, options)
                try:
                    tables.append(_compare(parts, (old, new), comparer, change))
                except InvalidInputError as error:
                    failures.append(TableFailure(change.path, str(error), error.hint))
                database.release()  # of thousands of files no more than two are kept in memory
    return RowsDiff(tuple(tables), tuple(failures), others)


def _compare(
    parts: StoreParts,
    versions: tuple[PinnedVersion, PinnedVersion],
    comparer: TableComparer,
    change: Change,
) -> TableDiff:
    old, new = versions
    path = change.path
    if change.kind == "renamed":
        return TableDiff(kind="renamed", path=path, old_path=change.old_path)
    if change.kind == "added":
        count = comparer.count_rows(open_content(parts, new, path))
        return TableDiff(kind="added", path=path, added=count)
    if change.kind == "removed":
        count = comparer.count_rows(open_content(parts, old, path))
        return TableDiff(kind="removed", path=path, removed=count)
    before, after = (open_content(parts, version, path) for version in versions)
    chunks = None
    if comparer.has_groups:
        known = [read_chunks(parts.tables, one.content) for one in (before, after)]
        if known[0] is not None and known[1] is not None:
            chunks = known[0], known[1]
    return comparer.compare(path, before, after, chunks)
