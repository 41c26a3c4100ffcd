"""A writer may die at any instant: every single operation of a put is tried, before and after."""

from __future__ import annotations

import contextlib

import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.faulty import CrashError, Fault, FaultyBackend


def crash_points(make_scene, prepare, tree):
    """How many operations the put takes when nothing fails."""
    scene = make_scene()
    prepare(scene)
    backend = FaultyBackend(scene.truth)
    scene.put(tree, backend)
    return backend.operations


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("has_base", [False, True], ids=["first version", "second version"])
def test_a_put_killed_at_any_operation_loses_nothing_and_can_be_run_again(
    make_scene, first, second, has_base, fault
):
    """After every crash the old version is whole, and the next put publishes the new one."""

    def prepare(scene):
        if has_base:
            scene.put(first)

    tree = second if has_base else first
    count = crash_points(make_scene, prepare, tree)
    assert count > 8
    for number in range(1, count + 1):
        scene = make_scene()
        prepare(scene)
        backend = FaultyBackend(scene.truth).fail_at(number, fault)

        died = False
        try:
            scene.put(tree, backend)
        except CrashError:
            died = True

        # Dying after the version was published leaves it published; what died before leaves none.
        published = scene.live()
        assert published in ([0, 1], [0]) if has_base else published in ([0], [])
        assert died or published[-1] == int(has_base)
        if has_base:
            assert scene.held("data:v0") == first
        outcome = scene.put(tree)
        assert scene.held(outcome.ref) == tree
        assert scene.live()[-1] == outcome.number


def test_a_put_killed_after_its_blobs_sends_none_of_them_again(make_scene, first):
    """The journal of the dead put names its durable blobs; the next one only adds what is missing."""
    scene = make_scene()
    source = scene.source(first)
    backend = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        scene.store(backend, journal=True).put(source, "data", cas.PutOptions(provenance=False))

    outcome = scene.store(journal=True).put(source, "data", cas.PutOptions(provenance=False))

    assert outcome.new_bytes == 0
    assert outcome.resumed_bytes > 0
    assert scene.held(outcome.ref) == first


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_resumed_put_sends_no_blob_again_whose_storing_was_acknowledged(make_scene, fault):
    """At every crash point, bytes counted: what the dead put knew to be stored stays stored."""
    tree = {b"%d.bin" % n: random_content(n, 400_000) for n in range(6)}
    total = sum(map(len, tree.values()))

    def put(scene, backend):
        options = cas.StoreOptions(
            jobs=2, cache_dir=str(scene.folder / "cache"), memory_bytes=3_000_000
        )
        return cas.Store.on(backend, options=options).put(
            scene.source(tree), "data", cas.PutOptions(provenance=False)
        )

    counting = FaultyBackend((scene := make_scene()).truth)
    put(scene, counting)
    assert len(scene.listed("blobs")) > 2
    for number in range(1, counting.operations + 1):
        scene = make_scene()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)
        with contextlib.suppress(CrashError):
            put(scene, backend)
        before = scene.listed("blobs")
        known = sum(
            before.get(one.key, 0)
            for one in backend.log
            if one.kind == "put" and one.key in before and one.fault is None
        )

        outcome = put(scene, scene.truth)

        sent = sum(scene.listed("blobs").values()) - sum(before.values())
        # Heads and tables of blobs take about 1 in 500 bytes here.
        assert sent <= total - known + total // 100
        assert outcome.new_bytes + outcome.resumed_bytes <= total
        assert scene.held(outcome.ref) == tree


def test_another_machine_finds_what_a_dead_put_announced(make_scene, first):
    """Without its journal, the index segment that the dead put wrote leads to its blobs."""
    scene = make_scene()
    backend = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        scene.put(first, backend)

    outcome = scene.put(first)

    assert outcome.new_bytes == 0
    assert scene.held(outcome.ref) == first
