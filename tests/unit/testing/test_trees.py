"""Test data is the same on every run, and trees go to disk and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.testing import corpora
from cas.testing.strategies import edited_trees, histories, trees
from cas.testing.trees import read_tree, write_tree


@pytest.mark.parametrize("make", [corpora.dataset, lambda: corpora.small_files(3, 60)])
def test_corpora_are_the_same_every_time(make):
    """Two calls give the same bytes."""
    assert make() == make()


def test_contents_have_the_size_asked_for():
    """Makers of a given size keep to it."""
    for maker in (corpora.random_content, corpora.text_content, corpora.sparse_content):
        assert [len(maker(1, size)) for size in (0, 1, 10_000)] == [0, 1, 10_000]
    assert len(corpora.periodic_content(7, 100)) == 100
    assert len(corpora.weights_content(1, 50)) == 100
    assert len(corpora.weights_content(1, 50, dtype="<f4")) == 200


def test_an_edit_keeps_most_of_the_content():
    """Edited content differs and still shares its beginning or end with the original."""
    content = corpora.random_content(5, 100_000)
    edited = corpora.edited_content(content, 1)

    assert edited != content
    assert abs(len(edited) - len(content)) <= 120


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=histories())
def test_no_path_of_a_tree_is_a_file_and_a_folder(states):
    """Every state can stand on a disk; paths are relative and safe."""
    for tree in states:
        for path in tree:
            parts = path.split(b"/")
            assert not {b"", b".", b".."} & set(parts)
            assert b"\0" not in path
            assert not any(b"/".join(parts[:count]) in tree for count in range(1, len(parts)))


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.data())
def test_a_tree_goes_to_disk_and_back(tmp_path: Path, choices):
    """The folder holds the tree and nothing else, also when it held another before."""
    first = choices.draw(trees(max_size=500))
    second = choices.draw(edited_trees(first))

    assert read_tree(write_tree(tmp_path / "t", first)) == first
    assert read_tree(write_tree(tmp_path / "t", second)) == second


def test_a_file_that_does_not_change_is_not_touched(tmp_path: Path):
    """Its times stay, as they would when a user edits another file."""
    write_tree(tmp_path, {b"a": b"1", b"b": b"1"})
    os.utime(tmp_path / "a", ns=(1, 1))

    write_tree(tmp_path, {b"a": b"1", b"b": b"2"})

    assert (tmp_path / "a").stat().st_mtime_ns == 1
