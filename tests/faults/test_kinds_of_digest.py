"""Versions from before digests were made of groups: nothing is put again, and each keeps its kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from moved_blobs import collect, move_blobs

import cas
from cas.format.manifest import DigestBuilder
from cas.model.names import ArtifactName
from cas.operations.revise import Reviser, RevisionOutcome

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)
FORCED = replace(PLAIN, force=True)


def put_as_before(scene, tree):
    """Put a tree as releases did that knew digest 1 only."""
    with pytest.MonkeyPatch.context() as before:
        before.setattr("cas.operations.store_tree.GroupDigestBuilder", DigestBuilder)
        return scene.put(tree)


def kind_of(store, ref):
    version = store.version(ref)
    version._pages.verify_digest()
    return 1 if version._pages.root.groups is None else 2


@pytest.mark.parametrize("journal", [False, True])
def test_what_a_version_of_digest_1_holds_is_not_put_again(scene, first, journal):
    """An upgrade alone makes no version; a plan knows that, too."""
    old = put_as_before(scene, first)
    store = scene.store(journal=journal)

    plan = store.plan_put(scene.source(first), "data", PLAIN)
    again = store.put(scene.source(first), "data", PLAIN)

    assert not plan.changed
    assert (again.created, again.number, again.digest) == (False, 0, old.digest)
    assert kind_of(scene.store(), "data:v0") == 1


def test_the_next_version_has_digest_2(scene, first, second):
    """And the one after it shares its pages and root, if it is forced."""
    put_as_before(scene, first)

    forced = scene.store().put(scene.source(first), "data", FORCED)
    changed = scene.put(second)
    same = scene.store().put(scene.source(second), "data", FORCED)

    store = scene.store()
    assert [kind_of(store, f"data:v{number}") for number in range(4)] == [1, 2, 2, 2]
    assert forced.digest != store.version("data:v0").digest
    assert changed.digest == same.digest
    assert store.version("data:v2").record.root == store.version("data:v3").record.root
    assert scene.held("data:v1") == first
    assert store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA)).is_sound


@pytest.mark.parametrize("kind", [1, 2])
def test_a_copy_has_digest_and_kind_of_its_source(make_scene, first, kind):
    """Copying it again finds it there."""
    scene, other = make_scene(), make_scene()
    put = put_as_before if kind == 1 else type(scene).put
    put(scene, first)

    scene.store().copy("data:v0", other.store())
    again = scene.store().copy("data:v0", other.store())

    assert kind_of(other.store(), "data:v0") == kind
    assert not again.versions[0].created
    assert other.held("data:v0") == first
    assert other.store().verify(None).is_sound


@pytest.mark.parametrize("kind", [1, 2])
def test_a_revision_keeps_the_kind(scene, first, kind):
    """Its root lies elsewhere, and states the same."""
    put = put_as_before if kind == 1 else type(scene).put
    put(scene, first)
    parts = scene.store().parts

    revision = Reviser(parts, move_blobs(parts)).revise(NAME, 0)
    collect(scene)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    assert kind_of(scene.store(), "data:v0") == kind
    assert scene.held("data:v0") == first


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("how", ["put", "repair"])
def test_a_version_that_lost_its_pages_is_made_whole_by_its_files(scene, first, kind, how):
    """What is stored again says what its record says."""
    put = put_as_before if kind == 1 else type(scene).put
    put(scene, first)
    for key in scene.listed("meta"):
        scene.truth.delete(key)

    if how == "put":
        assert scene.put(first).healed
    else:
        assert not scene.store().verify(None).is_sound
        options = cas.RepairOptions(paths=(str(scene.source(first, "copy")),), apply=True)
        assert scene.store().repair(None, options).is_whole

    assert scene.live() == [0]
    assert kind_of(scene.store(), "data:v0") == kind
    assert scene.held("data:v0") == first


def test_other_files_do_not_make_it_whole(scene, first, second):
    """A digest of either kind tells them apart."""
    put_as_before(scene, first)
    for key in scene.listed("meta"):
        scene.truth.delete(key)

    outcome = scene.put(second)

    assert (outcome.number, outcome.healed) == (1, False)
    assert kind_of(scene.store(), "data:v1") == 2
