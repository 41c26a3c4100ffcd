"""`cas diff --rows`: what it prints, its JSON, and its exit codes."""

from __future__ import annotations

import pytest
from written_tables import csv_bytes, json_bytes

pytest.importorskip("duckdb")


@pytest.fixture
def prices(cas):
    """The tool and `prices:v0`, `prices:v1`: a table that changed in every way, and other files."""
    folder = cas.cwd / "prices"
    folder.mkdir()
    names = ["id", "name", "price"]
    rows = [[1, "apple", 2], [2, "pear", 3], [3, "plum", 4], [4, "fig", 5]]
    (folder / "eu.csv").write_bytes(csv_bytes(names, rows))
    (folder / "us.jsonl").write_bytes(json_bytes([{"id": 1, "on": True}, {"id": 2, "on": None}]))
    (folder / "note.txt").write_bytes(b"one")
    (folder / "moved.csv").write_bytes(b"a\n1\n")
    cas("put", folder, "-n", "prices")
    rows = [[5, "kiwi\x1b[31m\n\u202e", 9], [3, "plum", 40], [2, "Pear", 30], [1, "apple", 2]]
    (folder / "eu.csv").write_bytes(csv_bytes(names, rows))
    (folder / "us.jsonl").write_bytes(json_bytes([{"id": 1, "on": "true"}, {"id": 2, "on": None}]))
    (folder / "note.txt").write_bytes(b"two")
    (folder / "moved.csv").rename(folder / "there.csv")
    cas("put", folder, "-n", "prices")
    return cas


def test_a_key_tells_which_cells_changed(prices):
    """Nothing that a file holds reaches the terminal as it is."""
    shown = prices("diff", "prices:v0", "prices:v1", "--rows", "--key", "id")

    assert shown.out.splitlines() == [
        "M  eu.csv  rows: 1 added, 1 removed, 2 changed",
        "   cells changed: name 1, price 2",
        "   - id=4, name=fig, price=5",
        "   + id=5, name=kiwi\\x1b[31m\\n\\u202e, price=9",
        "   ~ id=2  name: pear -> Pear, price: 3 -> 30",
        "   ~ id=3  price: 4 -> 40",
        "R  moved.csv -> there.csv",
        "M  us.jsonl  rows: 1 changed",
        "   cells changed: on 1",
        '   ~ id=1  on: true -> "true"',
        "1 other file differs",
    ]
    assert shown.err == ""


def test_without_a_key_rows_come_and_go(prices):
    """`--stat` shows none, `--limit` few."""
    stat = prices("diff", "prices:v0", "prices:v1", "--rows", "--stat").out.splitlines()
    few = prices("diff", "prices:v0", "prices:v1", "--rows", "--limit", "1").out.splitlines()

    assert stat == [
        "M  eu.csv  rows: 3 added, 3 removed",
        "R  moved.csv -> there.csv",
        "M  us.jsonl  rows: 1 added, 1 removed",
        "1 other file differs",
    ]
    assert [line.strip()[0] for line in few[:3]] == ["M", "-", "+"]
    assert few[3].startswith("R")


def test_scripts_get_all_counts(prices):
    """In one document; values are exact."""
    words = ("diff", "prices:v0", "prices:v1", "--rows", "--key", "id", "--limit", "1")
    document = prices.json(*words, "--exit-code", code=1)

    assert document["summary"] == {
        "added": 1,
        "removed": 1,
        "changed": 3,
        "tables": 3,
        "other_files": 1,
    }
    eu, moved, us = document["tables"]
    assert eu["changed_cells"] == {"name": 1, "price": 2}
    assert eu["added_rows"][0]["values"]["name"] == "kiwi\x1b[31m\n\u202e"
    assert len(eu["changed_rows"]) == 1
    assert (moved["old_path"], moved["path"]) == ("moved.csv", "there.csv")
    assert us["changed_rows"] == [{"key": {"id": 1}, "cells": {"on": [True, "true"]}}]
    assert (
        prices("diff", "prices:v1", "prices:v1", "--rows", "--exit-code").out == "no differences\n"
    )


def test_a_table_that_cannot_be_compared_is_told_beside_the_others(prices):
    """With the reason, what helps, and exit code 9."""
    (prices.cwd / "prices" / "us.jsonl").write_bytes(json_bytes([{"id": 1}, {"id": 1}]))
    (prices.cwd / "prices" / "eu.csv").write_bytes(csv_bytes(["id", "price"], [[1, 2]]))
    prices("put", "prices", "-n", "prices")

    shown = prices("diff", "prices:v1", "prices:v2", "--rows", "--key", "id,", code=9)

    assert "us.jsonl is not compared: id is no key" in shown.err
    assert "id=1 (1 old and 2 new rows)" in shown.err
    assert shown.out.splitlines()[:2] == [
        "M  eu.csv  rows: 3 removed",
        "   column removed: name (VARCHAR)",
    ]
    document = prices.json("diff", "prices:v1", "prices:v2", "--rows", "--key", "id", code=9)
    assert [one["path"] for one in document["failures"]] == ["us.jsonl"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rows", "--name-only"], "--rows and --name-only"),
        (["--rows", "--md"], "--rows and --md"),
        (["--key", "id"], "--key is for --rows"),
        (["--rows", "--limit", "-1"], "--limit"),
    ],
)
def test_what_does_not_go_together_is_refused(cas, words, told):
    """Before the store is opened."""
    assert told in cas("diff", "a:v0", "a:v1", *words, code=2).err


def test_a_folder_has_to_be_put_first(prices):
    """Rows are those of versions."""
    shown = prices("diff", "prices", "./prices", "--rows", code=2)

    assert "compares two versions" in shown.err
