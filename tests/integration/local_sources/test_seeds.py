"""A get takes from seeds, other local copies, what they have."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree
from cas.transfer.stamp import FileStamp

OVERWRITE = cas.GetOptions(overwrite=True)
OLD = random_content(1, 3 << 20)
NEW = OLD[: 1 << 20] + b"inserted" + OLD[1 << 20 :]
# What a change of a few bytes costs: the chunks it touches, and the neighbours in their frames.
FEW_BYTES = 800_000


def temporaries(folder):
    return list(folder.rglob(".cas-get-*"))


def test_a_seed_helps_whatever_its_files_are_called(store, put, target, tmp_path):
    """A new folder is filled from a copy of another version under other names."""
    put({b"a/big": NEW, b"b/text": b"word " * 5000})
    seed = write_tree(tmp_path / "seed", {b"other": OLD, b"deep/er": b"word " * 5000})

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert read_tree(target) == {b"a/big": NEW, b"b/text": b"word " * 5000}
    assert outcome.fetched_bytes < FEW_BYTES


def test_several_seeds_may_be_files(store, put, target, tmp_path):
    """Each gives what it has."""
    put({b"one": OLD, b"two": OLD[::-1]})
    write_tree(tmp_path, {b"x": OLD, b"y": OLD[::-1]})
    seeds = (str(tmp_path / "x"), str(tmp_path / "y"))

    outcome = store.get("data", target, cas.GetOptions(seeds=seeds))

    assert (outcome.fetched_bytes, outcome.copied_bytes) == (0, 2 * len(OLD))
    assert read_tree(target) == {b"one": OLD, b"two": OLD[::-1]}


def test_the_target_may_be_its_own_seed(store, put, target):
    """A file that was renamed is found under its old name."""
    put({b"old-name": OLD})
    put({b"new-name": OLD})
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, cas.GetOptions(seeds=(str(target),)))

    assert outcome.fetched_bytes == 0
    assert (target / "new-name").read_bytes() == OLD


def test_seeds_are_not_read_when_nothing_is_missing(store, put, target, tmp_path, monkeypatch):
    """A second get with the same seed looks at the target only."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    options = cas.GetOptions(seeds=(str(seed),))
    store.get("data", target, options)

    def cut(*_):
        raise AssertionError("a seed was cut")

    monkeypatch.setattr("cas.operations.get.cut_seeds", cut)
    assert store.get("data", target, options).unchanged_files == 1


def test_a_seed_that_does_not_exist_is_an_error(store, put, target, tmp_path):
    """A misspelt path must not silently cost a whole download; nothing is written."""
    put({b"big": OLD})

    with pytest.raises(cas.NotFoundError):
        store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "nowhere"),)))

    assert not target.exists()


def test_a_pipe_is_no_seed(store, put, target, tmp_path):
    """It is refused rather than waited for."""
    put({b"big": OLD})
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(cas.InvalidInputError):
        store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "pipe"),)))


def test_links_and_pipes_in_a_seed_are_passed_over(store, put, target, tmp_path):
    """A seed's links are not followed, except for the seed itself."""
    put({b"big": OLD, b"other": OLD[::-1]})
    write_tree(tmp_path, {b"outside": OLD, b"folder/good": OLD[::-1]})
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "folder" / "pipe")
    (tmp_path / "seed").symlink_to(tmp_path / "folder")

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "seed"),)))

    assert outcome.copied_bytes == len(OLD)
    assert read_tree(target) == {b"big": OLD, b"other": OLD[::-1]}


@pytest.mark.parametrize("is_noticed", [True, False], ids=["by its times", "only by its bytes"])
def test_a_seed_that_changes_after_it_was_cut_is_found_out(
    store, put, target, tmp_path, monkeypatch, is_noticed
):
    """Bytes are hashed where they arrived; what is wrong is fetched, and nothing is passed on."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    from cas.operations import get as module

    cut = module.cut_seeds

    def cut_and_change(*given):
        index = cut(*given)
        with (seed / "big").open("r+b") as file:
            file.seek(1 << 20)
            file.write(b"changed meanwhile")
        return index

    monkeypatch.setattr(module, "cut_seeds", cut_and_change)
    if not is_noticed:
        monkeypatch.setattr(FileStamp, "fits", lambda *_: True)

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert read_tree(target) == {b"big": OLD}
    assert temporaries(target) == []
    assert outcome.fetched_bytes > 0
    assert (outcome.fetched_bytes < FEW_BYTES) is not is_noticed


def test_copies_need_nothing_of_the_kernel(store, put, target, tmp_path, monkeypatch):
    """Where files cannot be copied inside the kernel they are read and written."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    monkeypatch.delattr("os.copy_file_range", raising=False)

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert (outcome.fetched_bytes, read_tree(target)) == (0, {b"big": OLD})


def test_a_digest_that_was_typed_vouches_for_copied_bytes_too(store, put, target, tmp_path):
    """The whole file is hashed before it appears, wherever its bytes came from."""
    digest = put({b"big": NEW}).digest.hex
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    options = replace(OVERWRITE, seeds=(str(seed),))

    outcome = store.get(f"data:{digest}", target, options)

    assert read_tree(target) == {b"big": NEW}
    assert outcome.copied_bytes > 0
