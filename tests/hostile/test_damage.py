"""Everything read from a store is hostile until verified: damage is found, named, never passed on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from memory_stores import PLAIN, open_on
from stored_objects import (
    NEXT,
    TREE,
    Objects,
    backend_of,
    flipped,
    objects_of,
    places,
    shortened,
    store_of,
    three_versions,
)

import cas
from cas.testing.trees import read_tree, write_tree

ALLOWED = (cas.CorruptionError, cas.UnsupportedError, cas.NotFoundError)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Objects:
    """Every object of a store with three versions, an alias and a deletion."""
    return objects_of(three_versions(tmp_path_factory.mktemp("sound")).parts.backend)


def read_all(objects: Objects, folder: Path) -> None:
    """Read in every way there is: right bytes or an allowed error, nothing else."""
    try:
        store = store_of(objects)
        versions = {f"data:v{n}": tree for n, tree in enumerate((TREE, NEXT))}
        for ref, tree in versions.items():
            version = store.version(ref)
            assert {path: version.read(path) for path in version} == {
                path.decode(): content for path, content in tree.items()
            }
        store.diff("data:v0", "data:v1")
        store.artifacts()
        store.versions("data", include_hidden=True)
        store.get("data:best", folder)
        assert read_tree(folder) == TREE
    except ALLOWED:
        assert all(TREE.get(path) == content for path, content in read_tree(folder).items())


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere_is_never_passed_on(sound, tmp_path, step):
    """Every kind of object, bit by bit."""
    number = 0
    for key, content in sound.items():
        for at in places(content, 150, 24)[::step]:
            number += 1
            damaged = flipped(content, at, at % 8)
            read_all(sound | {key: damaged}, tmp_path / str(number))
    assert number > 500 // step


def test_a_flipped_bit_in_data_is_an_error_that_names_the_blob(sound, tmp_path):
    """A user learns which object to restore."""
    key = next(key for key in sound if key.startswith("blobs/") and len(sound[key]) > 100_000)
    store = store_of(sound | {key: flipped(sound[key], 60_000, 2)})

    with pytest.raises(cas.CorruptionError, match=key):
        store.get("data:v0", tmp_path / "out")

    assert not (tmp_path / "out" / "big.bin").exists()
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("keep", [0, 1, 10, 0.5, -1], ids=str)
def test_a_truncated_object_is_never_passed_on(sound, tmp_path, keep):
    """Empty, nearly empty, half, and one byte short."""
    for number, (key, content) in enumerate(sound.items()):
        read_all(sound | {key: shortened(content, keep)}, tmp_path / str(number))


def test_a_missing_object_is_never_made_up(sound, tmp_path):
    """A hole in the store is an error, or makes no difference."""
    for number, key in enumerate(sound):
        left = {other: content for other, content in sound.items() if other != key}
        read_all(left, tmp_path / str(number))


def test_swapped_objects_are_found_out(sound, tmp_path):
    """Two objects of one kind in each other's place, which are both well formed."""
    number = 0
    for folder in ("blobs/", "meta/", "artifacts/data/versions/", "artifacts/data/aliases/"):
        keys_of = sorted(key for key in sound if key.startswith(folder))
        for one, other in pairwise(keys_of):
            number += 1
            read_all(sound | {one: sound[other], other: sound[one]}, tmp_path / str(number))
    assert number >= 3


def test_a_put_on_a_damaged_store_still_makes_a_whole_version(sound, tmp_path):
    """What cannot be read is not shared: the index and the base version are only hints."""
    source = write_tree(tmp_path / "source", TREE | {b"new": b"n" * 9000})
    for folder in ("blobs/", "index/", "sessions/"):
        for key in [key for key in sound if key.startswith(folder)]:
            backend = backend_of(sound | {key: sound[key][: len(sound[key]) // 2]})
            outcome = open_on(backend, jobs=1).put(source, "other", PLAIN)

            version = open_on(backend, jobs=1).version(outcome.ref)
            assert version.read("big.bin") == TREE[b"big.bin"]
            assert version.read("new") == b"n" * 9000


def test_a_store_that_lies_is_found_out_by_a_typed_digest(sound, tmp_path):
    """The record and all below it are consistent, but it is another version's."""
    store = store_of(sound)
    wanted = store.version("data:v0").digest.hex
    store.get(f"data:{wanted}", tmp_path / "good")
    assert read_tree(tmp_path / "good") == TREE

    # v1's pages under v0's record: the digest that was typed does not fit what they hold.
    from dataclasses import replace

    from cas.format import keys
    from cas.format.version import decode_slot, encode_slot
    from cas.model.names import ArtifactName

    name = ArtifactName("data")
    records = [
        decode_slot(sound[keys.version_key(name, n)], what="slot", artifact=name, number=n)
        for n in (0, 1)
    ]
    lie = encode_slot(replace(records[0], root=records[1].root))
    lying = store_of(sound | {keys.version_key(name, 0): lie})

    with pytest.raises(cas.CorruptionError):
        lying.get(f"data:{wanted}", tmp_path / "bad")
    assert read_tree(tmp_path / "bad") == {}
