"""Tables compared: rows in any order, keys, types, columns, and files that are no tables."""

from __future__ import annotations

import dataclasses

import pytest
from written_tables import compare, csv_bytes, gzipped, json_bytes, parquet_bytes

import cas
from cas import ChangedRow, ColumnChange, ShownRow

OLD = csv_bytes(["id", "name"], [[1, "a"], [2, "b"], [3, "c"]])
NEW = csv_bytes(["id", "name"], [[4, "d"], [3, "C"], [1, "a"]])


def counts(diff):
    return diff.added, diff.removed, diff.changed


def test_without_a_key_rows_are_there_or_not(database):
    """In whatever order; one that is there more often counts by how much more."""
    twice = csv_bytes(["id", "name"], [[1, "a"], [1, "a"], [1, "a"], [3, "c"], [2, "b"]])

    diff = compare(database, "x.csv", OLD, NEW)
    more = compare(database, "x.csv", OLD, twice)

    assert counts(diff) == (2, 2, 0)
    assert [row.values for row in diff.added_rows] == [
        {"id": "3", "name": "C"},
        {"id": "4", "name": "d"},
    ]
    assert [row.values["id"] for row in diff.removed_rows] == ["2", "3"]
    assert more.added_rows == [ShownRow({"id": "1", "name": "a"}, 2)]
    assert counts(more) == (2, 0, 0)


def test_with_a_key_cells_are_compared(database):
    """A row that both sides have is changed, and told cell by cell."""
    diff = compare(database, "x.csv", OLD, NEW, keys=("id",))

    assert counts(diff) == (1, 1, 1)
    assert diff.changed_cells == {"name": 1}
    assert diff.changed_rows == [ChangedRow({"id": "3"}, {"name": ("c", "C")})]
    assert diff.added_rows == [ShownRow({"id": "4", "name": "d"})]
    assert diff.removed_rows == [ShownRow({"id": "2", "name": "b"})]


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_only_some_rows_are_shown_and_all_counted(database, keys):
    """By a key the first ones; none if none are wanted."""
    old = csv_bytes(["id", "x"], [[n, "same"] for n in range(100)])
    new = csv_bytes(["id", "x"], [[n, "same" if n < 40 else "new"] for n in range(10, 200)])

    diff = compare(database, "x.csv", old, new, keys=keys, examples=3)
    none = compare(database, "x.csv", old, new, keys=keys, examples=0)

    assert counts(diff) == counts(none) == ((100, 10, 60) if keys else (160, 70, 0))
    assert (len(diff.added_rows), len(diff.removed_rows)) == (3, 3)
    assert not [*none.added_rows, *none.removed_rows, *none.changed_rows]
    if keys:
        assert [row.values["id"] for row in diff.added_rows] == ["100", "101", "102"]
        assert [row.key["id"] for row in diff.changed_rows] == ["40", "41", "42"]


def test_a_key_that_rows_share_is_refused_and_named(database):
    """On either side; it says which keys and how often."""
    once = csv_bytes(["a", "b"], [[1, 1], [2, 2]])
    shared = csv_bytes(
        ["a", "b"], [[1, 1], [1, 2], [2, 2], [3, 1], [3, 1], [4, 1], [4, 1], ["", 1]]
    )

    for old, new, told in [(once, shared, "1 old and 2 new"), (shared, once, "2 old and 1 new")]:
        with pytest.raises(cas.InvalidInputError, match="a is no key") as caught:
            compare(database, "x.csv", old, new, keys=("a",))
        assert f"a=1 ({told} rows)" in str(caught.value)
        assert "a=3" in str(caught.value)
    both = compare(
        database, "x.csv", once, csv_bytes(["b", "a"], [[1, 1], [2, 1]]), keys=("a", "b")
    )
    assert counts(both) == (1, 1, 0)


def test_a_missing_value_is_a_key_like_any_other(database, tmp_path):
    """And nothing equals nothing; NaN equals NaN, of a key too."""
    types = {"id": "BIGINT", "x": "DOUBLE"}
    nan = float("nan")
    old = parquet_bytes(tmp_path, types, [[None, nan], [1, None], [2, nan]])
    new = parquet_bytes(tmp_path, types, [[2, nan], [None, 1.0], [1, None]])

    diff = compare(database, "x.parquet", old, new, keys=("id",))
    by_nan = compare(database, "x.parquet", old, new, keys=("x", "id"))

    assert counts(diff) == (0, 0, 1)
    assert diff.changed_rows == [ChangedRow({"id": None}, {"x": ("NaN", 1.0)})]
    assert counts(by_nan) == (1, 1, 0)
    assert counts(compare(database, "x.parquet", old, old)) == (0, 0, 0)


def test_columns_that_come_and_go_are_told_and_rows_compared_by_the_others(database):
    """So a table that only got a column has the same rows."""
    new = csv_bytes(["id", "more"], [[3, "x"], [2, "y"], [1, "z"]])

    diff = compare(database, "x.csv", OLD, new)

    assert diff.columns == (
        ColumnChange("name", "VARCHAR", None),
        ColumnChange("more", None, "VARCHAR"),
    )
    assert counts(diff) == (0, 0, 0)
    assert not diff.is_empty
    nothing = compare(database, "x.csv", OLD, csv_bytes(["other"], [[1]]))
    assert counts(nothing) == (1, 3, 0)


def test_numbers_of_another_type_are_compared_as_numbers_and_the_rest_as_text(database, tmp_path):
    """The columns are told as retyped; rows whose values are equal are not."""
    before = {"a": "INTEGER", "b": "DECIMAL(9,2)", "c": "DATE", "d": "BIGINT", "e": "INTEGER[]"}
    after = {"a": "BIGINT", "b": "DOUBLE", "c": "VARCHAR", "d": "VARCHAR", "e": "BIGINT[]"}
    old = parquet_bytes(tmp_path, before, [[1, 1.5, "2020-01-02", 7, [1]], [2, 2, None, 8, [2]]])
    new = parquet_bytes(tmp_path, after, [[1, 1.5, "2020-01-02", "7", [1]], [2, 2, None, "9", [2]]])

    diff = compare(database, "x.parquet", old, new, keys=("a",))

    assert [change.name for change in diff.columns] == ["a", "b", "c", "d", "e"]
    assert diff.columns[0] == ColumnChange("a", "INTEGER", "BIGINT")
    assert diff.changed_rows == [ChangedRow({"a": 2}, {"d": ("8", "9")})]


def test_nested_and_rare_types_are_compared_and_shown_as_text(database, tmp_path):
    """Lists, structures, maps, bytes, times, decimals; 32-bit numbers as they were written."""
    types = {
        "id": "INTEGER",
        "list": "INTEGER[]",
        "struct": "STRUCT(a INTEGER, b VARCHAR)",
        "map": "MAP(VARCHAR, INTEGER)",
        "blob": "BLOB",
        "time": "TIMESTAMPTZ",
        "decimal": "DECIMAL(9,2)",
        "small": "FLOAT",
        "flag": "BOOLEAN",
    }
    row = [1, [1, None], {"a": 1, "b": "x"}, {"k": 1}, b"\x00\xff", "2020-01-02 03:04:05+00"]
    old = parquet_bytes(tmp_path, types, [[*row, 1.5, 0.1, True]])
    other = [1, [1, 2], {"a": 1, "b": None}, {"k": 2}, b"\x01", "2020-01-02 03:04:06+00"]
    new = parquet_bytes(tmp_path, types, [[*other, 2.5, 0.2, False]])

    same = compare(database, "x.parquet", old, old, keys=("id",))
    diff = compare(database, "x.parquet", old, new, keys=("id",))

    assert same.is_empty
    assert set(diff.changed_cells) == set(types) - {"id"}
    cells = diff.changed_rows[0].cells
    assert cells["list"] == ("[1, NULL]", "[1, 2]")
    assert cells["small"] == (0.1, 0.2)
    assert cells["flag"] == (True, False)
    assert cells["decimal"] == ("1.50", "2.50")
    assert cells["blob"] == ("\\x00\\xFF", "\\x01")
    assert cells["time"][0].startswith("2020-01-02 03:04:05")


def test_values_of_json_are_compared_as_they_are_written(database):
    """1 and "1" and 1.0 differ; a key that is missing is as good as null."""
    old = json_bytes([{"id": 1, "v": 1}, {"id": 2, "v": None}, {"id": "3", "v": {"x": [1]}}])
    new = json_bytes([{"id": 1, "v": "1"}, {"id": 2}, {"id": "3", "v": {"x": [1, 2]}, "w": True}])

    for path, pack in [("x.jsonl", bytes), ("x.ndjson", bytes), ("X.JSONL.GZ", gzipped)]:
        diff = compare(database, path, pack(old), pack(new), keys=("id",))

        assert diff.columns == (ColumnChange("w", None, "JSON"),)
        assert diff.changed_rows == [
            ChangedRow({"id": "3"}, {"v": ({"x": [1]}, {"x": [1, 2]})}),
            ChangedRow({"id": 1}, {"v": (1, "1")}),
        ]


def test_delimiters_and_compression_are_found_out(database):
    """Semicolons, tabs, gzip; a cell may hold line ends."""
    lined = csv_bytes(["id", "name"], [[1, "a\nb"], [2, "x"]])

    same = compare(database, "x.csv", OLD, OLD.replace(b",", b";"))
    tabs = compare(database, "x.tsv", OLD.replace(b",", b"\t"), NEW.replace(b",", b"\t"))
    packed = compare(database, "x.csv.gz", gzipped(OLD), gzipped(NEW))
    lines = compare(database, "x.csv", lined, lined.replace(b"a\nb", b"a\nc"), keys=("id",))

    assert same.is_empty
    assert counts(tabs) == counts(packed) == (2, 2, 0)
    assert lines.changed_rows == [ChangedRow({"id": "1"}, {"name": ("a\nb", "a\nc")})]


def test_lines_that_look_like_remarks_are_rows(database):
    """And so are those above a table: no line is left out."""
    old = b"id,x\n1,2\n#2,3\n"

    diff = compare(database, "x.csv", old, old + b"#4,5\n")

    assert diff.added_rows == [ShownRow({"id": "#4", "x": "5"})]
    with pytest.raises(cas.InvalidInputError):
        compare(database, "x.csv", old, b"a title\n\n" + old)


@pytest.mark.parametrize("keys", [(), ("id",)])
def test_an_empty_file_has_no_columns_and_no_rows(database, keys):
    """Nothing is said of its key."""
    came = compare(database, "x.csv", b"", OLD, keys=keys)
    went = compare(database, "x.jsonl", json_bytes([{"id": 1}]), b"", keys=keys)

    assert (counts(came), len(came.columns)) == ((3, 0, 0), 2)
    assert (counts(went), len(went.columns)) == ((0, 1, 0), 1)


def test_names_of_columns_are_no_sql(database, tmp_path):
    """Quotes, semicolons, line ends, reserved words, and names of what queries use."""
    names = ['a"b', "'; DROP TABLE differing; --", "select", "x\ny", ",", "c1", "c0", "h", "o", "ü"]
    old = csv_bytes(names, [list(range(10))])
    new = csv_bytes(names, [[0, *range(2, 11)]])

    diff = compare(database, "x.csv", old, new, keys=(names[0],))

    assert set(diff.changed_cells) == set(names[1:])
    types = dict.fromkeys(["a'b", "file_row_number", "c0"], "INTEGER")
    made = [parquet_bytes(tmp_path, types, [[1, 2, n]]) for n in (3, 4)]
    assert compare(database, "x.parquet", *made, keys=("a'b",)).changed_cells == {"c0": 1}


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("x.parquet", b"PAR1 nothing of the kind PAR1", "Footer"),
        (
            "x.csv",
            b"a,b\n1,2\n3,4,5\n",
            "the old file: it is no CSV: lines have other numbers of cells",
        ),
        ("x.csv", b"a,b\n" + b"1,2\n" * 50_000 + b"3\n", "Expected Number of Columns: 2"),
        ("x.csv", b"a,b\n\xff\xfe,1\n", "utf-8"),
        ("x.csv.gz", b"a,b\n1,2\n", "GZIP"),
        ("x.jsonl", b'{"a": 1}\n{"a"\n', "JSON"),
    ],
)
def test_what_is_no_table_is_told_without_sql(database, path, content, told):
    """And without names that the user has never seen."""
    with pytest.raises(cas.InvalidInputError) as caught:
        compare(database, path, content, content + b" ")

    message = str(caught.value)
    assert told.lower() in message.lower()
    assert "cas-table" not in message
    assert "SELECT" not in message
    assert len(message) <= 300


def test_a_key_that_a_side_lacks_names_what_there_is(database):
    """The hint lists the columns of both sides."""
    with pytest.raises(cas.InvalidInputError, match="no column nmae on either side") as caught:
        compare(database, "x.csv", OLD, NEW, keys=("nmae",))

    assert caught.value.hint == "both sides have id, name"


def test_outcomes_are_values():
    """They compare, and say what is empty."""
    table = cas.TableDiff(kind="modified", path="x.csv", added=1)

    assert not cas.RowsDiff((table,)).is_empty
    assert cas.RowsDiff((dataclasses.replace(table, added=0),), (), 3).is_empty
    assert not cas.RowsDiff((), (cas.TableFailure("x", "why"),)).is_empty


@pytest.mark.parametrize(
    "broken", [b"a,b\n1,2\n3\n4,5,6\n", b"a,b\n" + b"1,2\n" * 9000 + b"3,4,5\n"]
)
def test_errors_say_which_side_is_wrong(database, broken):
    """Where the first lines show it, and where a later one does."""
    with pytest.raises(cas.InvalidInputError, match="the new file"):
        compare(database, "x.csv", b"a,b\n1,2\n", broken)
    with pytest.raises(cas.InvalidInputError, match="the old file"):
        compare(database, "x.csv", broken, b"a,b\n1,2\n")
