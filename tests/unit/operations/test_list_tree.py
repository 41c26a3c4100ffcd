"""Folders of a version with how much lies below each."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from memory_stores import PLAIN, memory_store

import cas
from cas.operations.list_tree import TreeOptions
from cas.testing.trees import write_tree

TREE = {
    b"a/x": b"1",
    b"a-b": b"22",
    b"a.txt": b"333",
    b"a/y/z": b"4444",
    b"a/y/w/v": b"55555",
    b"c0": b"666666",
}


@pytest.fixture
def version(tmp_path):
    """A version of a few folders, one of them empty, and a link."""
    tree = write_tree(tmp_path / "data", TREE)
    (tree / "b").mkdir()
    (tree / "a" / "link").symlink_to("x")
    store = memory_store()
    store.put(tree, "data", PLAIN)
    return store.version("data")


def shape(folder):
    """Return a folder as (files, others, bytes, entries, folders)."""
    folders = {name: shape(one) for name, one in folder.folders.items()}
    names = [entry.path for entry in folder.entries]
    return folder.files, folder.others, folder.size, names, folders


def test_each_folder_knows_what_lies_below_it(version):
    """Files, links and empty folders, and the bytes of the files."""
    below_w = (1, 0, 5, ["a/y/w/v"], {})
    below_y = (2, 0, 9, ["a/y/z"], {"w": below_w})
    below_a = (3, 1, 10, ["a/link", "a/x"], {"y": below_y})

    top = version.tree()

    assert shape(top) == (6, 2, 21, ["a-b", "a.txt", "b", "c0"], {"a": below_a})
    assert shape(version.tree("a/y")) == below_y
    assert (top.folders["a"].name, top.folders["a"].path) == ("a", "a")


def test_what_lies_deeper_is_counted_only(version):
    """The last folders shown have totals and no members."""
    top = version.tree("", TreeOptions(depth=1))

    assert shape(top)[4] == {"a": (3, 1, 10, [], {})}


def test_some_entries_of_each_folder_can_be_kept(version):
    """The first by path; how many others there are is known."""
    top = version.tree("", TreeOptions(limit=1))

    assert ([one.path for one in top.entries], top.more_entries) == (["a-b"], 3)


def test_what_lies_right_below_a_folder_is_told_apart(version):
    """Names of folders, the empty one too; files and links as entries."""
    folders, entries = version.children()

    assert (folders, [one.path for one in entries]) == (["a", "b"], ["a-b", "a.txt", "c0"])
    assert version.children("a")[0] == ["y"]
    assert version.children("no") == ([], [])


def test_only_what_is_wanted_counts(version):
    """Folders without any of it are left out."""
    top = version.tree("", TreeOptions(wanted=lambda entry: entry.size == 6))

    assert shape(top) == (1, 0, 6, ["c0"], {})


@pytest.mark.parametrize("path", ["no", "c", "a.tx"])
def test_a_folder_that_is_not_there_is_an_error(version, path):
    """Though something begins with its name."""
    with pytest.raises(cas.NotFoundError):
        version.tree(path)


def test_a_tree_a_thousand_folders_deep_is_no_problem():
    """No recursion is left to a hostile version."""
    store = memory_store()
    deep = "/".join(["d"] * 1500 + ["f"])
    store.put(io.BytesIO(b"1"), "data", replace(PLAIN, path=deep))

    assert store.version("data").tree().size == 1
