"""A put that meets what is known to be damaged stores it again, and heals the version it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from collected import AT_ONCE, collect, purge

import cas
from cas.backend.counting import RequestCounter
from cas.format import manifest_paging
from cas.testing.corpora import random_content
from cas.transfer import journal

WHOLE = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
LARGE = {b"large.bin": random_content(7, 3_000_000), b"other": random_content(8, 200_000)}


def damage(scene, key, at=None):
    """Flip a bit of an object; in the middle unless told where."""
    content = bytearray(scene.truth.get(key))
    content[len(content) // 2 if at is None else at] ^= 1
    scene.truth.put(key, [bytes(content)])


def data_blobs(scene):
    return sorted(scene.listed("blobs"), key=lambda key: scene.listed("blobs")[key])


def test_an_unchanged_put_makes_a_damaged_version_whole_again(scene):
    """The version keeps its number; one chunk and the pages are sent, not the blob."""
    scene.put(LARGE)
    damage(scene, data_blobs(scene)[-1])
    assert scene.put(LARGE).healed is False  # nobody knows of it yet
    assert not scene.store().verify(None, WHOLE).is_sound

    outcome = scene.put(LARGE)

    assert (outcome.number, outcome.created, outcome.healed) == (0, False, True)
    assert 0 < outcome.new_bytes < 300_000
    assert scene.held("data:v0") == LARGE
    assert scene.listed("sessions") == {}
    assert scene.put(LARGE).healed is False


@pytest.mark.parametrize("journal", [False, True])
def test_files_that_the_journal_knows_are_read_again_where_they_are_damaged(scene, journal):
    """What the journal says of unchanged files holds only as long as their chunks are whole."""
    source = scene.source(LARGE)
    scene.store(journal=journal).put(source, "data")
    damage(scene, data_blobs(scene)[-1])
    scene.store().verify(None, WHOLE)

    assert scene.store(journal=journal).put(source, "data").healed

    assert scene.held("data:v0") == LARGE
    assert scene.store(journal=journal).put(source, "data").healed is False


def test_a_put_that_meets_a_damaged_chunk_stores_it_again(scene, first):
    """In another artifact, whose version shares no page with the damaged one."""
    scene.put(LARGE)
    damage(scene, data_blobs(scene)[-1])
    scene.store().verify(None, WHOLE)

    tree = first | LARGE
    scene.store().put(scene.source(tree, "second"), "second", cas.PutOptions(provenance=False))

    assert scene.held("second:v0") == tree


@pytest.mark.parametrize("kind", ["missing", "truncated", "table"])
def test_a_blob_that_is_of_no_use_is_stored_again(scene, kind):
    """As a whole; the structure alone shows most of it."""
    scene.put(LARGE)
    key = data_blobs(scene)[-1]
    if kind == "missing":
        scene.truth.delete(key)
    elif kind == "truncated":
        scene.truth.put(key, [scene.truth.get(key)[:-100]])
    else:
        damage(scene, key, at=-30)
    level = cas.VerifyLevel.TABLES if kind == "table" else cas.VerifyLevel.STRUCTURE
    scene.store().verify(None, cas.VerifyOptions(level=level))

    assert scene.put(LARGE).healed

    assert scene.held("data:v0") == LARGE


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_version_whose_pages_cannot_be_read_is_healed(scene, first, how):
    """Root and pages lie in one small blob here; a put finds out by itself that it is damaged."""
    scene.put(first)
    for key in scene.listed("meta"):
        if how == "missing":
            scene.truth.delete(key)
        else:
            damage(scene, key, at=200)
            damage(scene, key, at=-400)

    outcome = scene.put(first)

    assert (outcome.number, outcome.healed) == (0, True)
    assert scene.held("data:v0") == first


def test_a_put_of_other_data_goes_on_after_a_version_that_cannot_be_read(scene, first, second):
    """Damage of the past is no reason to refuse what comes."""
    scene.put(first)
    for key in scene.listed("meta"):
        scene.truth.delete(key)

    outcome = scene.put(second)

    assert outcome.number == 1
    assert scene.held("data:v1") == second


def test_damage_is_learned_of_without_a_listing(scene, first):
    """A put with nothing new lists what it always lists; it reads the record, and its own pages."""
    scene.put(first)

    def requests() -> tuple[int, int]:
        counter = RequestCounter(scene.truth)
        scene.store(counter).put(scene.source(first), "data", cas.PutOptions(provenance=False))
        return counter.counts.list, counter.counts.get

    lists, gets = requests()
    scene.store().put(scene.source(LARGE, "other"), "other", cas.PutOptions(provenance=False))
    damage(scene, data_blobs(scene)[-1])
    scene.store().verify("other:v0", WHOLE)

    assert requests() == (lists, gets + 2)


def test_known_damage_is_told_by_every_verification_until_it_is_healed(scene):
    """Even by one that looks at the structure only."""
    scene.put(LARGE)
    damage(scene, data_blobs(scene)[-1])
    assert scene.store().verify().is_sound
    assert not scene.store().verify(None, WHOLE).is_sound

    assert not scene.store().verify().is_sound
    assert not scene.store().verify("data:v0").is_sound
    scene.put(LARGE)

    healed = scene.store().verify(None, WHOLE)
    (left,) = healed.problems
    assert (left.versions, left.is_harmless, left.is_settled) == ((), True, True)
    assert healed.is_sound
    assert scene.store().repair(None, cas.RepairOptions(apply=True)).is_whole
    assert scene.store().verify(None, WHOLE).is_sound


def test_healing_says_nothing_of_pages_that_it_left_alone(scene, monkeypatch):
    """What a journal knows from before a collection is no newer after a put that healed another
    page: the blob of the first page is gone, and the page must not be shared.
    """
    monkeypatch.setattr(manifest_paging, "MIN_PAGE_ENTRIES", 1)
    monkeypatch.setattr(manifest_paging, "MAX_PAGE_ENTRIES", 1)
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
    alone = {b"a": random_content(1, 300_000)}
    both = alone | {b"b": random_content(2, 300_000)}
    source = scene.source(both)
    plain = cas.PutOptions(provenance=False)
    scene.store().put(scene.source(alone, "alone"), "data", plain)
    scene.store(journal=True).put(source, "data", plain)
    scene.store().put(scene.source({b"b": both[b"b"]}, "other"), "data", plain)
    for number in (0, 1):
        purge(scene.truth, number)
    assert collect(scene.truth, replace(AT_ONCE, kept_runs=64)).deleted.blobs > 0
    (kept,) = scene.listed("blobs")
    scene.put(both)
    damage(scene, kept)
    scene.store().verify(None, WHOLE)
    assert scene.store(journal=True).put(source, "data", plain).healed

    scene.store(journal=True).put(source, "second", plain)

    assert scene.held("second:v0") == both


@pytest.mark.parametrize("how", ["chunk", "missing", "page"])
def test_a_copy_makes_versions_whole_that_are_damaged_where_it_goes(make_scene, first, second, how):
    """The newest and one before it; of what is whole nothing is sent again."""
    scene, source = make_scene(), make_scene()
    for tree in (first, second):
        source.put(tree)
    refs = ["data:v0", "data:v1"]
    source.store().copy(refs, scene.store())
    key = max(data_blobs(scene), key=lambda one: len(scene.truth.get(one)))
    if how == "chunk":
        damage(scene, key)
    elif how == "missing":
        scene.truth.delete(key)
    else:
        for meta in scene.listed("meta"):
            damage(scene, meta, at=200)
    scene.store().verify(None, WHOLE)
    assert not scene.store().verify(None).is_sound

    outcome = source.store().copy(refs, scene.store())

    assert {one.created for one in outcome.versions} == {False}
    assert any(one.healed for one in outcome.versions)
    assert scene.held("data:v0") == first
    assert scene.held("data:v1") == second
    if how == "chunk":
        assert 0 < outcome.new_bytes < 300_000
    left = scene.store().verify(None, WHOLE).problems
    assert [one for one in left if not one.is_harmless] == []
    again = source.store().copy(refs, scene.store())
    assert not any(one.healed for one in again.versions)
    assert again.sent_bytes == 0
