"""A get that may leave holes writes all the rest, and tells which bytes are missing."""

from __future__ import annotations

import numpy as np
import pytest

import cas
from cas.testing.corpora import random_content, text_content
from cas.testing.trees import read_tree

TREE = {
    b"a/large.bin": random_content(7, 2_000_000),
    b"a/more.bin": random_content(8, 900_000) + bytes(500_000) + random_content(9, 300_000),
    b"b/text": text_content(9, 90_000),
    b"tiny": b"tiny",
}
HOLES = cas.GetOptions(allow_holes=True)


def largest(scene):
    listed = scene.listed("blobs")
    return max(listed, key=lambda key: listed[key])


def spoil(scene, how):
    key = largest(scene)
    content = bytearray(scene.truth.get(key))
    if how == "missing":
        scene.truth.delete(key)
        return
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "table":
        content[-30] ^= 1
    else:
        for at in range(len(content) // 3, len(content), 700_000):
            content[at] ^= 1
    scene.truth.put(key, [bytes(content)])


def check(tree, got, holes, ref="data:v0"):
    """Whether holes are zeros, and all other bytes are right."""
    assert got.keys() == tree.keys()
    for path, content in tree.items():
        expected = np.frombuffer(content, np.uint8).copy()
        for hole in holes:
            assert hole.version == ref
            if hole.path == path.decode():
                assert 0 <= hole.start < hole.stop <= len(content)
                expected[hole.start : hole.stop] = 0
        assert got[path] == expected.tobytes()


@pytest.mark.parametrize("how", ["missing", "cut", "table", "chunk"])
def test_the_rest_is_written_and_the_holes_are_told(scene, how):
    """To the byte, with zeros in their places; files without any are as they must be."""
    scene.put(TREE)
    spoil(scene, how)
    target = scene.folder / "out"
    with pytest.raises(cas.CorruptionError):
        scene.store().get("data:v0", target)

    outcome = scene.store().get("data:v0", target, HOLES)

    assert outcome.holes
    check(TREE, read_tree(target), outcome.holes)
    if how == "chunk":
        assert sum(hole.stop - hole.start for hole in outcome.holes) < 1_500_000


def test_where_nothing_is_damaged_there_are_no_holes(scene):
    """The option changes nothing then."""
    scene.put(TREE)
    target = scene.folder / "out"

    assert scene.store().get("data:v0", target, HOLES).holes == ()
    assert read_tree(target) == TREE


def test_holes_are_those_that_a_repair_tells_of(scene):
    """Both count the same bytes as lost."""
    scene.put(TREE)
    spoil(scene, "chunk")
    scene.store().verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))

    lost = scene.store().repair(None, cas.RepairOptions(apply=True)).lost

    outcome = scene.store().get("data:v0", scene.folder / "out", HOLES)
    assert outcome.holes == lost


def test_a_page_that_is_lost_leaves_out_its_files(scene):
    """The others are written; between which names the lost ones stood is told."""
    deep = b"/".join([b"d" * 200] * 8)  # a page is full after 4 MiB of names
    many = {deep + b"/f%05d" % n: b"%d" % n for n in range(3_000)}
    scene.put(many)
    version = scene.store().version("data:v0")
    assert len(version) == len(many)
    (meta,) = scene.listed("meta")
    content = bytearray(scene.truth.get(meta))
    content[300] ^= 1  # in the first page; the root is the last
    scene.truth.put(meta, [bytes(content)])
    target = scene.folder / "out"

    outcome = scene.store().get("data:v0", target, HOLES)

    (hole,) = outcome.holes
    got = read_tree(target)
    assert 0 < len(got) < len(many)
    assert got == {p: c for p, c in many.items() if p >= hole.last.encode()}
    assert (hole.path, hole.first) == ("", f"{deep.decode()}/f00000")


def test_bytes_that_are_there_come_out_of_a_seed_all_the_same(scene):
    """What a local file holds leaves no hole, if the table is known."""
    scene.put(TREE)
    spoil(scene, "chunk")
    seed = scene.source(TREE, "seed")
    options = cas.GetOptions(allow_holes=True, seeds=(str(seed),))

    outcome = scene.store().get("data:v0", scene.folder / "out", options)

    assert outcome.holes == ()
    assert read_tree(scene.folder / "out") == TREE
