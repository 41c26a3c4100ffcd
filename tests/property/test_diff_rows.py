"""Tables compared by the database are what a naive comparison of their rows says."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_tables import Content, csv_bytes, json_bytes, parquet_bytes

from cas.tables.compare import TableComparer
from cas.tables.database import open_database
from cas.tables.kinds import kind_of
from cas.tables.outcomes import RowsOptions

NAMES = ["k", "a", "b"]
TYPES = {"k": "BIGINT", "a": "DOUBLE", "b": "VARCHAR"}
# Few values, so that rows meet.
KEYS = st.one_of(st.none(), st.integers(-2, 6))
ODD = (math.nan, math.inf)
NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.5, *ODD, 1e300])
TEXTS = st.one_of(st.none(), st.sampled_from(["x", "NULL", "1", "ü\n", '"', "'; --", ",;\t|", "#"]))
ROWS = st.lists(st.tuples(KEYS, NUMBERS, TEXTS), max_size=12)


@pytest.fixture(scope="module")
def comparer(tmp_path_factory):
    """A function that writes two tables in a format, and compares them."""
    pytest.importorskip("duckdb")
    folder = tmp_path_factory.mktemp("tables")

    def write(path, rows):
        if path.endswith(".csv"):
            return csv_bytes(NAMES, rows)
        if path.endswith(".jsonl"):
            return json_bytes([dict(zip(NAMES, row, strict=True)) for row in rows])
        return parquet_bytes(folder, TYPES, rows)

    with open_database(256 << 20) as database:

        def compare(path, old, new, **options):
            contents = Content(write(path, old)), Content(write(path, new))
            return TableComparer(database, kind_of(path), RowsOptions(**options)).compare(
                path, *contents
            )

        yield compare


def as_compared(path, value):
    """Return what stands for a value where it is compared: equal if it counts as equal."""
    if path.endswith(".jsonl"):
        return None if value is None else json.dumps(value)
    if path.endswith(".csv"):
        return None if value is None else str(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0  # no minus before a zero
    return value


def plain(path, rows):
    if path.endswith(".jsonl"):  # JSON has no such numbers
        rows = [tuple(None if n in ODD else n for n in row) for row in rows]
    return rows, [tuple(as_compared(path, value) for value in row) for row in rows]


PATHS = st.sampled_from(["x.parquet", "x.csv", "x.jsonl"])


@settings(max_examples=40)
@given(path=PATHS, old=ROWS, new=ROWS)
def test_without_a_key_tables_are_multisets_of_rows(comparer, path, old, new):
    """What is added and removed is the difference of how often each row is there."""
    old, old_rows = plain(path, old)
    new, new_rows = plain(path, new)

    diff = comparer(path, old, new, examples=100)

    before, after = Counter(old_rows), Counter(new_rows)
    if path.endswith(".jsonl") and not (old and new):
        return  # an empty file has no columns, which is another test's
    assert diff.added == (after - before).total()
    assert diff.removed == (before - after).total()
    assert sorted(row.times for row in diff.added_rows) == sorted((after - before).values())
    assert sorted(row.times for row in diff.removed_rows) == sorted((before - after).values())


def by_key(rows):
    return {row[0]: row for row in rows}


@settings(max_examples=40)
@given(path=PATHS, old=ROWS, new=ROWS)
def test_with_a_key_rows_are_those_of_two_maps(comparer, path, old, new):
    """Keys that only one has, and each cell of those that both have."""
    old, new = (list(by_key(rows).values()) for rows in (old, new))
    old, old_rows = plain(path, old)
    new, new_rows = plain(path, new)
    if path.endswith(".jsonl") and not (old and new):
        return

    diff = comparer(path, old, new, keys=("k",), examples=100)

    before, after = by_key(old_rows), by_key(new_rows)
    both = before.keys() & after.keys()
    cells = Counter(
        name
        for key in both
        for name, one, other in zip(NAMES, before[key], after[key], strict=True)
        if one != other
    )
    assert diff.added == len(diff.added_rows) == len(after.keys() - before.keys())
    assert diff.removed == len(diff.removed_rows) == len(before.keys() - after.keys())
    assert diff.changed == sum(before[key] != after[key] for key in both)
    assert diff.changed_cells == cells
    assert Counter(name for row in diff.changed_rows for name in row.cells) == cells
