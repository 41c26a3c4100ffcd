"""Paths as text and as stored bytes, and totals."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from cas.model.entry import EntryKind, Totals, path_to_bytes, path_to_text


@given(st.binary())
def test_any_bytes_are_a_path_and_come_back(path):
    """Names that are not UTF-8 lose nothing on the way through text."""
    assert path_to_bytes(path_to_text(path)) == path


def test_a_path_object_is_a_path():
    """A pathlib path is as good as text."""
    assert path_to_bytes(PurePosixPath("a/ü")) == "a/ü".encode()


def test_kinds_have_the_numbers_that_pages_hold():
    """These numbers are stored: they can be added to, never changed."""
    assert {kind.name: int(kind) for kind in EntryKind} == {
        "FILE": 0,
        "SYMLINK": 1,
        "DIRECTORY": 2,
        "EXTERNAL": 3,
    }


def test_entries_are_of_all_kinds():
    """The number of paths is the sum over kinds."""
    totals = Totals(files=5, symlinks=3, directories=2, externals=1, size=99)

    assert totals.entries == 11
