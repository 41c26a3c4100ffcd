"""`cas diff` of one path: of two versions, or of a version's folder with a local one."""

from __future__ import annotations

import pytest


@pytest.fixture
def edited(cas, data):
    """Two versions of a folder; files inside and outside of `train` differ."""
    cas("put", "data", "set")
    (data / "train" / "a.txt").write_text("changed\n")
    (data / "train-notes").write_text("new, and no part of train\n")
    (data / "readme.md").write_text("about something else\n")
    cas("put", "data", "set")
    return data


def _changed(cas, *words):
    return cas("diff", *words, "--name-only").out.split()


def test_only_what_is_at_or_below_the_path_counts(cas, edited):
    """As a third word, or in both references."""
    assert _changed(cas, "set:v0", "set:v1") == ["readme.md", "train-notes", "train/a.txt"]
    assert _changed(cas, "set:v0", "set:v1", "train/") == ["train/a.txt"]
    assert _changed(cas, "set:v0/train", "set:v1/train") == ["train/a.txt"]
    assert _changed(cas, "set:v0", "set:v1", "readme.md") == ["readme.md"]
    assert _changed(cas, "set:v0", "set:v1", "train-notes") == ["train-notes"]
    assert _changed(cas, "set:v0", "set:v1", "link") == []


def test_a_folder_of_a_version_is_compared_with_a_local_one(cas, edited):
    """Paths are those below both; a file is compared with a file of its name."""
    (edited / "train" / "c.txt").write_text("not put yet\n")

    assert _changed(cas, "set:v0/train", "data/train") == ["a.txt", "c.txt"]
    assert _changed(cas, "set:v1/train", "data/train") == ["c.txt"]
    assert _changed(cas, "set:v0/train/a.txt", "./data/train/a.txt") == ["a.txt"]
    assert cas("status", "set:v1/train", "data/train", "--name-only").out.split() == ["c.txt"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("set:v0", "set:v1", "nowhere"), 3, "neither set:v0 nor set:v1 has 'nowhere'"),
        (("set:v0/train", "set:v1"), 2, "name different paths"),
        (("set:v0/train", "set:v1/link"), 2, "name different paths"),
        (("set:v0/nowhere", "data"), 3, "set:v0 has no 'nowhere'"),
        (("set:v0", "./data", "train"), 2, "a folder is compared with REF/train"),
        (("--tensors", "set:v0/train", "data"), 2, "names a path of one side only"),
        (("--tensors", "set:v0", "set:v1", "nowhere"), 3, "neither"),
    ],
)
def test_paths_that_fit_nothing_are_refused(cas, edited, words, code, told):
    """Rather than called equal."""
    refused = cas("diff", *words, code=code)

    assert told in refused.err
    assert refused.out == ""
