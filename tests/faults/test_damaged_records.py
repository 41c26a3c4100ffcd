"""One damaged record stops nobody but who needs just that one, and something can be done about it."""

from __future__ import annotations

import pytest

import cas
from cas.errors import ErrorCode
from cas.testing.corpora import random_content

TREES = [{b"a": random_content(number, 80_000), b"tiny": b"%d" % number} for number in range(3)]
SLOT = "artifacts/data/versions/000000000{}"
PURGE = cas.CollectOptions(grace_seconds=0, policy=cas.RetentionPolicy(trash_keep_ns=0))


@pytest.fixture
def three(scene):
    """A store of three versions, the alias `best` on v1."""
    for tree in TREES:
        scene.put(tree)
    scene.store().tag("data:v1", ["best"])
    return scene


def flip(scene, key):
    content = bytearray(scene.truth.get(key))
    content[len(content) // 2] ^= 1
    scene.truth.put(key, [bytes(content)])


def states(scene):
    return {one.number: one.state for one in scene.store().versions("data", include_hidden=True)}


def test_a_damaged_version_is_listed_as_such_and_the_others_are_as_they_were(three):
    """By number, alias and digest the others can be read; nobody takes an older one for the newest."""
    flip(three, SLOT.format(2))
    digest = three.store().version("data:v0").digest.hex

    with pytest.raises(cas.CorruptionError) as newest:
        three.store().version("data")
    with pytest.raises(cas.CorruptionError) as itself:
        three.store().version("data:v2")

    assert three.held("data:v0") == three.held(f"data:{digest}") == TREES[0]
    assert three.held("data:best") == TREES[1]
    assert states(three) == {0: "live", 1: "live", 2: "damaged"}
    (artifact,) = three.store().artifacts()
    assert (artifact.versions, artifact.latest) == (3, None)
    assert "not known which version of data is the newest" in str(newest.value)
    assert "cas log data" in newest.value.hint
    assert SLOT.format(2) in str(itself.value)


def test_a_put_goes_on_after_a_damaged_version(three):
    """Under the next number, sharing what the last readable one has; it is the newest then."""
    flip(three, SLOT.format(2))

    same = three.put(TREES[1])
    again = three.put(TREES[1])

    assert (same.ref, same.created, same.new_bytes) == ("data:v3", True, 0)
    assert (again.ref, again.created) == ("data:v3", False)
    assert three.held("data") == TREES[1]
    flip(three, SLOT.format(3))
    with pytest.raises(cas.CorruptionError):
        three.store().put(three.source(TREES[0]), "data", cas.PutOptions(if_parent="data:v1"))


def test_a_copy_goes_on_after_a_damaged_version(three, make_scene):
    """As a put does."""
    other = make_scene()
    other.put(TREES[2])
    flip(three, SLOT.format(2))

    copied = other.store().copy(["data:v0"], three.store())

    assert copied.versions[0].ref == "data:v3"
    assert three.held("data:v3") == TREES[2]


def test_a_collection_stops_at_a_damaged_version_until_that_is_given_up(three):
    """It says which, and what to do; what was given up counts no more, anywhere."""
    flip(three, SLOT.format(2))
    with pytest.raises(cas.RefusedError) as braked:
        three.store().collect_garbage(PURGE)
    with pytest.raises(cas.RefusedError) as refused:
        three.store().delete("data:v2", now=True)

    three.store().delete("data:v2", now=True, force=True)

    assert SLOT.format(2) in str(braked.value)
    assert "cas rm --now --force data:v2" in str(braked.value)
    assert "cannot be read" in str(refused.value)
    three.store().collect_garbage(cas.CollectOptions(overrides=frozenset({cas.BrakeKind.TOO_MUCH})))
    assert states(three)[2] == "purged"
    assert three.held("data") == TREES[1]
    assert three.store().verify(None).is_sound
    assert three.store().repair(None).is_whole
    assert three.store().usage()


def test_other_versions_can_be_deleted_beside_a_damaged_one(three):
    """Who was made from them is not known of that one, and does not matter."""
    flip(three, SLOT.format(2))

    three.store().delete("data:v0")
    three.store().restore("data:v0")

    assert three.held("data:v0") == TREES[0]


def test_a_damaged_deletion_is_taken_for_what_it_must_have_been(three):
    """Nothing but the trash follows what is visible, so it can be brought back."""
    three.store().delete("data:v2")
    flip(three, SLOT.format(2) + ".m0001")

    with pytest.raises(cas.NotFoundError) as trashed:
        three.store().version("data:v2")
    assert three.store().version("data").number == 1
    collected = three.store().collect_garbage(PURGE)
    three.store().restore("data:v2")

    assert trashed.value.code is ErrorCode.VERSION_DELETED
    assert collected
    assert three.held("data") == TREES[2]
    outcome = three.store().verify(None)
    assert outcome.is_sound
    assert [one.is_settled for one in outcome.problems] == [True]


@pytest.mark.parametrize("last", ["restored", "purged"])
def test_after_a_damaged_end_of_the_trash_a_version_can_be_read_or_given_up(three, last):
    """Restored or purged, nobody knows: only its number leads there, and nothing restores it."""
    three.store().delete("data:v2")
    if last == "restored":
        three.store().restore("data:v2")
    else:
        three.store().delete("data:v2", now=True)
    flip(three, SLOT.format(2) + ".m0002")

    with pytest.raises(cas.CorruptionError):
        three.store().version("data")
    with pytest.raises(cas.CorruptionError):
        three.store().restore("data:v2")
    with pytest.raises(cas.CorruptionError) as refused:
        three.store().delete("data:v2", force=True)
    with pytest.raises(cas.RefusedError):
        three.store().collect_garbage(PURGE)

    assert "cas rm --now --force data:v2" in refused.value.hint
    assert states(three)[2] == "damaged"
    assert three.held("data:v2") == TREES[2]
    assert three.put(TREES[0]).ref == "data:v3"
    three.store().delete("data:v2", now=True, force=True)
    assert states(three)[2] == "purged"
    assert three.store().verify(None).is_sound


def test_a_damaged_alias_is_told_and_set_anew(three):
    """The rest of the artifact does not depend on it; afterwards nothing is left to do."""
    key = "artifacts/data/aliases/best/00000000"
    flip(three, key)

    with pytest.raises(cas.CorruptionError) as told:
        three.store().version("data:best")
    assert three.store().aliases("data") == {}
    assert states(three) == {0: "live", 1: "live", 2: "live"}
    assert three.held("data") == TREES[2]
    assert not three.store().verify(None).is_sound
    assert "cas tag sets data:best anew" in three.store().repair(None).unrepaired[0]
    with pytest.raises(cas.RefusedError, match="best is damaged and may point to data:v0"):
        three.store().delete("data:v0")
    three.store().delete("data:v2", force=True)
    three.store().restore("data:v2")
    three.store().tag("data:v0", ["best"])

    assert "cas tag data:v<NUMBER> best" in told.value.hint
    assert three.held("data:best") == TREES[0]
    outcome = three.store().verify(None)
    assert ([one.key for one in outcome.problems], outcome.is_sound) == ([key], True)
    assert three.store().repair(None).is_whole


def test_a_damaged_alias_can_be_removed_and_stays_protected(three):
    """As far as the move before it tells."""
    three.store().tag("data:v0", ["best"], protect=True)
    three.store().tag("data:v1", ["best"], force=True)
    flip(three, "artifacts/data/aliases/best/00000002")

    with pytest.raises(cas.RefusedError):
        three.store().tag("data:v2", ["best"])
    three.store().untag("data", ["best"], force=True)

    assert three.store().aliases("data") == {}
    with pytest.raises(cas.NotFoundError):
        three.store().version("data:best")


def test_a_version_whose_end_is_damaged_stays_until_another_is_said(three):
    """It can be read and collected around, and verification names it."""
    three.store().set_ttl("data:v0", "0s")
    key = SLOT.format(0) + ".e0001"
    assert three.store().verify(None).is_sound
    flip(three, key)

    (problem,) = three.store().verify(None).problems
    three.store().collect_garbage(PURGE)

    assert (problem.key, problem.is_harmless, problem.versions) == (key, True, ())
    assert three.held("data:v0") == TREES[0]
    assert three.store().version("data:v0").expires_ns is None
    three.store().set_ttl("data:v0", "30d")
    assert three.store().verify(None).is_sound
