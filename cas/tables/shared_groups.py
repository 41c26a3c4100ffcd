"""Which groups of rows two Parquet files have in common, byte for byte: nobody need read those.

A file says where each group lies, and a version of which chunks a file is made. A group that is made
of the same chunks on both sides, laid out the same way, holds the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from cas.tables.chunk_names import name_range
from cas.tables.database import Database
from cas.transfer.file_chunks import FileChunks

Chunks = tuple[FileChunks, FileChunks]

ROW_NUMBER = "file_row_number"
# Conditions of one query; beyond that all groups are read.
_MOST_RANGES = 500
_GROUPS = (
    "SELECT row_group_id, row_group_num_rows, total_compressed_size,"
    " CASE WHEN dictionary_page_offset > 0 THEN least(dictionary_page_offset, data_page_offset)"
    " ELSE data_page_offset END, path_in_schema, type, compression, encodings, num_values"
    " FROM parquet_metadata({}) ORDER BY row_group_id, column_id"
)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows `first` to `last`, which lie in bytes `start` to `stop`, laid out as `layout` says."""

    first: int
    last: int
    start: int
    stop: int
    layout: Hashable


@dataclass(frozen=True, slots=True)
class RowSplit:
    """Conditions on the row number: which rows both files have in groups of the same bytes, and
    which one file has by itself.
    """

    shared: str
    own: str


def split_rows(
    database: Database, urls: tuple[str, str], chunks: Chunks
) -> tuple[RowSplit, RowSplit] | None:
    """Return how the rows of two files are split; None if nothing would be saved.

    Raises:
        InvalidInputError: a file is no Parquet after all.
    """
    groups = [read_groups(database, url) for url in urls]
    names = [
        [(one.layout, name_range(of_chunks, one.start, one.stop)) for one in of_file]
        for of_file, of_chunks in zip(groups, chunks, strict=True)
    ]
    old_shared, new_shared = match_pairs(*names)
    ranges = [
        _ranges(of_file, shared, is_shared=is_shared)
        for of_file, shared in zip(groups, (old_shared, new_shared), strict=True)
        for is_shared in (True, False)
    ]
    if not old_shared or max(map(len, ranges)) > _MOST_RANGES:
        return None
    conditions = list(map(_as_condition, ranges))
    return RowSplit(*conditions[:2]), RowSplit(*conditions[2:])


def read_groups(database: Database, url: str) -> list[RowGroup]:
    """Return the groups of rows of a Parquet file that hold any, in the order of their rows."""
    columns: dict[int, list[list[Any]]] = defaultdict(list)
    for number, *column in database.ask(_GROUPS.format(url)):
        columns[number].append(column)
    groups = []
    first = 0
    for of_group in columns.values():
        rows = of_group[0][0]
        start = min(at for _, _, at, *_ in of_group)
        stop = max(at + size for _, size, at, *_ in of_group)
        layout = rows, *((size, at - start, *rest) for _, size, at, *rest in of_group)
        if rows and start < stop:
            groups.append(RowGroup(first, first + rows, start, stop, layout))
        first += rows
    return groups


def match_pairs(
    old: Sequence[Hashable], new: Sequence[Hashable]
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the places of what two sequences have in common, each element matched once."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, name in enumerate(old):
        places[name].append(place)
    found = [(places[name].pop(0), place) for place, name in enumerate(new) if places.get(name)]
    return frozenset(one for one, _ in found), frozenset(other for _, other in found)


def _ranges(
    groups: Sequence[RowGroup], shared: frozenset[int], *, is_shared: bool
) -> list[tuple[int, int]]:
    """Return the ranges of rows in groups that are shared, or are not; neighbours joined."""
    joined: list[tuple[int, int]] = []
    for number, one in enumerate(groups):
        if (number in shared) != is_shared:
            continue
        if joined and joined[-1][1] == one.first:
            joined[-1] = joined[-1][0], one.last
        else:
            joined.append((one.first, one.last))
    return joined


def _as_condition(ranges: Sequence[tuple[int, int]]) -> str:
    told = (f"({ROW_NUMBER} >= {first} AND {ROW_NUMBER} < {last})" for first, last in ranges)
    return " OR ".join(told) or "false"
