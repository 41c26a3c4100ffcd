"""A get onto older files takes from them what has not changed."""

from __future__ import annotations

import pytest
from memory_stores import open_on

import cas
from cas.backend.memory import MemoryBackend
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

OVERWRITE = cas.GetOptions(overwrite=True)
OLD = random_content(1, 3 << 20)
NEW = OLD[: 1 << 20] + b"inserted" + OLD[1 << 20 :]
# What a change of a few bytes costs: the chunks it touches, and the neighbours in their frames.
FEW_BYTES = 800_000


def test_a_replaced_file_gives_the_chunks_that_it_has(store, put, target):
    """Only what differs is fetched; the rest is copied, and the file is right."""
    put({b"big": OLD, b"same": b"s" * 5000})
    put({b"big": NEW, b"same": b"s" * 5000})
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, OVERWRITE)

    assert read_tree(target) == {b"big": NEW, b"same": b"s" * 5000}
    assert outcome.fetched_bytes < FEW_BYTES
    assert len(NEW) - FEW_BYTES < outcome.copied_bytes < len(NEW)
    assert (outcome.written_bytes, outcome.unchanged_files) == (len(NEW), 1)


def test_a_file_that_only_grew_or_shrank_is_not_fetched_again(store, put, target):
    """A log with more lines costs its new lines; a file cut short costs its last chunk."""
    put({b"log": OLD})
    put({b"log": OLD + b"more\n"})
    store.get("data:v0", target)

    grown = store.get("data:v1", target, OVERWRITE)
    shrunk = store.get("data:v0", target, OVERWRITE)

    assert grown.fetched_bytes < FEW_BYTES
    assert shrunk.fetched_bytes < FEW_BYTES
    assert read_tree(target) == {b"log": OLD}


def test_without_overwrite_files_that_differ_are_refused_as_ever(store, put, target, tmp_path):
    """Seeds or not, nothing is written."""
    put({b"big": OLD, b"new": b"n" * 5000})
    write_tree(target, {b"big": NEW})
    options = cas.GetOptions(seeds=(str(target),))

    with pytest.raises(cas.AlreadyExistsError):
        store.get("data", target, options)

    assert read_tree(target) == {b"big": NEW}


def test_out_of_a_store_on_this_machine_replaced_files_are_fetched(backend, put, target):
    """Fetching takes half the time of cutting there."""
    put({b"big": OLD})
    put({b"big": NEW})
    near = MemoryBackend()
    for one in backend.list_objects(""):
        near.put(one.key, [backend.get(one.key)])
    store = open_on(near)
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, OVERWRITE)

    assert outcome.copied_bytes == 0
    assert read_tree(target) == {b"big": NEW}


def test_other_names_of_a_replaced_file_keep_its_content(store, put, target, tmp_path):
    """A hard link elsewhere, and what a link points to, are not the target's to change."""
    put({b"big": OLD, b"link": OLD[: 1 << 20]})
    put({b"big": NEW, b"link": NEW[: 2 << 20]})
    store.get("data:v0", target)
    (tmp_path / "twin").hardlink_to(target / "big")
    (target / "link").rename(tmp_path / "pointed")
    (target / "link").symlink_to(tmp_path / "pointed")

    store.get("data:v1", target, OVERWRITE)

    assert (tmp_path / "twin").read_bytes() == OLD
    assert (tmp_path / "pointed").read_bytes() == OLD[: 1 << 20]
    assert not (target / "link").is_symlink()
    assert read_tree(target) == {b"big": NEW, b"link": NEW[: 2 << 20]}
