"""Groups of rows that two Parquet files share are found, and not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_tables import Content, parquet_bytes

import cas
from cas.tables.chunk_names import name_range
from cas.tables.compare import TableComparer
from cas.tables.kinds import kind_of
from cas.tables.outcomes import RowsOptions
from cas.tables.shared_groups import match_pairs
from cas.testing.corpora import random_content
from cas.transfer.file_chunks import FileChunks

KIND = kind_of("x.parquet")
TYPES = {"id": "INTEGER", "payload": "BLOB"}
GROUP = 2048  # DuckDB's groups are multiples of it


def rows(first, last):
    """Rows that take about 100 bytes each, however they are coded."""
    return [[number, random_content(number, 100)] for number in range(first, last)]


def chunks_of(content, size=16 << 10):
    """Cut as no store does: by position, with ids that tell contents apart."""
    import numpy as np
    from blake3 import blake3

    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    ids = np.frombuffer(b"".join(blake3(piece).digest() for piece in pieces), np.uint8)
    stops = np.cumsum([0, *map(len, pieces)])
    return FileChunks(stops[:-1], stops[1:], ids.reshape(-1, 32))


def compare(database, old, new, **options):
    """Compare with chunks; return what differs, and how many bytes of both sides were read."""
    contents = Content(old), Content(new)
    comparer = TableComparer(database, KIND, RowsOptions(**options))
    chunks = chunks_of(old), chunks_of(new)
    diff = comparer.compare("x.parquet", *contents, chunks)
    return diff, [content.received for content in contents]


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A file of eight groups, and the same with two groups more."""
    pytest.importorskip("duckdb")
    folder = tmp_path_factory.mktemp("grown")
    return [parquet_bytes(folder, TYPES, rows(0, n * GROUP), GROUP) for n in (8, 10)]


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_of_a_file_that_grew_what_was_there_is_not_read(database, grown, keys):
    """With a key only the column of the key is, to find keys that are there twice."""
    diff, received = compare(database, *grown, keys=keys, examples=2)

    assert (diff.added, diff.removed, diff.changed) == (2 * GROUP, 0, 0)
    assert received[0] < len(grown[0]) / 2
    assert received[1] < len(grown[1]) * 0.7
    if keys:
        assert [row.values["id"] for row in diff.added_rows] == [8 * GROUP, 8 * GROUP + 1]


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_a_changed_cell_is_found_in_its_group(database, grown, tmp_path, keys):
    """And what the same file tells without maps is no different."""
    changed = rows(0, 8 * GROUP)
    changed[5 * GROUP + 7][1] = b"new"
    new = parquet_bytes(tmp_path, TYPES, changed, GROUP)

    diff, received = compare(database, grown[0], new, keys=keys)
    plain = TableComparer(database, KIND, RowsOptions(keys=keys)).compare(
        "x.parquet", Content(grown[0]), Content(new)
    )

    assert diff == plain
    assert (diff.added, diff.removed, diff.changed) == ((0, 0, 1) if keys else (1, 1, 0))
    assert received[0] < len(grown[0])


def test_a_key_that_came_twice_is_found_though_its_group_is_not_read(database, grown, tmp_path):
    """The new row shares the key of one in a group that both files have."""
    new = parquet_bytes(tmp_path, TYPES, [*rows(0, 8 * GROUP), [5, b"again"]], GROUP)

    with pytest.raises(cas.InvalidInputError, match=r"id=5 \(1 old and 2 new rows\)"):
        compare(database, grown[0], new, keys=("id",))


def test_files_that_share_no_group_or_columns_are_read_whole(database, grown, tmp_path):
    """Other types of the same bytes are other values."""
    other = parquet_bytes(tmp_path, {"id": "INTEGER", "payload": "VARCHAR"}, [[1, "x"]], GROUP)

    diff, _ = compare(database, grown[0], other)

    assert (diff.added, diff.removed) == (1, 8 * GROUP)


NAMES = st.lists(st.integers(0, 5))


@given(NAMES, NAMES)
def test_what_two_sequences_share_is_matched_once(old, new):
    """As many of each as both have; what is left has nothing in common."""
    in_old, in_new = match_pairs(old, new)

    assert sorted(old[n] for n in in_old) == sorted(new[n] for n in in_new)
    left = {name for n, name in enumerate(old) if n not in in_old}
    assert not left & {name for n, name in enumerate(new) if n not in in_new}


@given(
    content=st.binary(min_size=1, max_size=40),
    more=st.binary(max_size=20),
    spans=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), min_size=2, max_size=2),
)
def test_ranges_of_one_name_are_equal(content, more, spans):
    """Cut by position, two files have the same name for a range only if its bytes are the same."""
    files = content + more, more + content
    parts = [(at % len(content), at % len(content) + length) for at, length in spans]
    parts = [(a, min(b, len(content))) for a, b in parts]

    names = [
        name_range(chunks_of(file, 4), a, b) for file, (a, b) in zip(files, parts, strict=True)
    ]

    if names[0] == names[1]:
        (a, b), (c, d) = parts
        assert files[0][a:b] == files[1][c:d]
    assert name_range(chunks_of(files[0], 4), *parts[0]) == names[0]
