"""Tables of two versions compared: which files are read, and what becomes of the others."""

from __future__ import annotations

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store
from written_tables import csv_bytes, gzipped, parquet_bytes

import cas
from cas.tables.kinds import kind_of
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

pytest.importorskip("duckdb")

GROUP = 2048


@pytest.fixture
def put(tmp_path):
    """A function that puts trees as versions of `data` in a distant store, and opens it anew."""

    def put(*trees):
        backend = with_store(DistantBackend())
        with open_on(backend) as store:
            for number, tree in enumerate(trees):
                store.put(write_tree(tmp_path / str(number), tree), "data", PLAIN)
        return open_on(backend)

    return put


def table(*rows):
    return csv_bytes(["id", "x"], rows)


def test_each_table_that_differs_is_told_in_the_order_of_paths(put):
    """Added, removed and renamed ones as such; files that are no tables are counted."""
    store = put(
        {
            b"a/same.csv": table([1, 1]),
            b"a/changed.csv": table([1, 1], [2, 2]),
            b"gone.csv.gz": gzipped(table([1, 1], [2, 2])),
            b"old.csv": table([9, 9]),
            b"text.txt": b"one",
        },
        {
            b"a/same.csv": table([1, 1]),
            b"a/changed.csv": table([2, 2], [1, 3]),
            b"new.csv": table([1, 1]),
            b"renamed.csv": table([9, 9]),
            b"text.txt": b"two",
        },
    )

    diff = store.diff_rows("data:v0", "data:v1", cas.RowsOptions(keys=("id",)))

    told = [
        (one.kind, one.path, one.old_path, one.added, one.removed, one.changed)
        for one in diff.tables
    ]
    assert told == [
        ("modified", "a/changed.csv", None, 0, 0, 1),
        ("removed", "gone.csv.gz", None, 0, 2, 0),
        ("added", "new.csv", None, 1, 0, 0),
        ("renamed", "renamed.csv", "old.csv", 0, 0, 0),
    ]
    assert (diff.others, diff.failures) == (1, ())
    apart = store.diff_rows("data:v0", "data:v1", cas.RowsOptions(renames=False))
    assert [one.kind for one in apart.tables].count("added") == 2
    assert store.diff_rows("data:v0", "data:v0").is_empty


def test_a_table_that_cannot_be_compared_does_not_stop_the_others(put):
    """It is told why, with a hint."""
    store = put(
        {b"a.csv": table([1, 1]), b"b.csv": table([1, 1]), b"c.parquet": b"one"},
        {b"a.csv": table([1, 1], [1, 2]), b"b.csv": table([1, 2]), b"c.parquet": b"two"},
    )

    diff = store.diff_rows("data:v0", "data:v1", cas.RowsOptions(keys=("id",)))

    assert [one.path for one in diff.tables] == ["b.csv"]
    assert [one.path for one in diff.failures] == ["a.csv", "c.parquet"]
    assert "id=1" in diff.failures[0].reason
    assert "without a key" in diff.failures[0].hint
    assert not diff.is_empty


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_of_a_big_table_that_grew_only_what_came_is_read(put, tmp_path, keys):
    """And nothing of a file that is the same on both sides; with a key all keys, by whole frames."""
    types = {"id": "INTEGER", "payload": "BLOB"}
    rows = [[n, random_content(n, 200)] for n in range(10 * GROUP)]
    files = [parquet_bytes(tmp_path, types, rows[: n * GROUP], GROUP) for n in (8, 10)]
    other = random_content(1, 1 << 20)
    trees = [{b"t.parquet": content, b"same.parquet": other} for content in files]
    store = put(*trees)

    diff = store.diff_rows("data:v0", "data:v1", cas.RowsOptions(keys=keys))

    assert [(one.added, one.removed) for one in diff.tables] == [(2 * GROUP, 0)]
    assert store.requests.received_bytes < len(files[1]) * (1.0 if keys else 0.75)


def test_damage_is_no_failure_of_a_table(put):
    """It is raised, as wherever a version is read."""
    store = put({b"a.csv": random_content(1, 100_000)}, {b"a.csv": random_content(2, 100_000)})
    backend = store.parts.backend
    for one in list(backend.list_objects("blobs")):
        backend.delete(one.key)

    with pytest.raises(cas.CorruptionError):
        store.diff_rows("data:v0", "data:v1")


def test_mistakes_in_options_are_refused(put):
    """Before anything is read."""
    store = put({b"a.csv": table([1, 1])})

    for options in (cas.RowsOptions(keys=("a", "a")), cas.RowsOptions(examples=-1)):
        with pytest.raises(cas.InvalidInputError):
            store.diff_rows("data:v0", "data:v0", options)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/b.parquet", (".parquet", "none")),
        ("B.CSV.GZ", (".csv", "gzip")),
        ("x.jsonl.zst", (".jsonl", "zstd")),
        ("x.tsv", (".tsv", "none")),
        ("x.ndjson", (".ndjson", "none")),
        ("x.parquet.gz", None),
        (".csv", None),
        ("folder.csv/readme", None),
        ("x.json", None),
        ("x.gz", None),
    ],
)
def test_the_name_of_a_file_says_whether_it_is_a_table(path, kind):
    """Whatever the case of its letters."""
    found = kind_of(path)

    assert (None if found is None else (found.suffix, found.compression)) == kind
