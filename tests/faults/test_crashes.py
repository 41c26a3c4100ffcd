"""A writer may die at any instant: every single operation of a put is tried, before and after."""

from __future__ import annotations

import contextlib

import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend

# What puts an object where it belongs, in a backend, an object store and a folder.
WRITES = {"put", "pipe_file", "mv"}


PLACES = ["backend", "object store", "folder"]


def undisturbed(make_scene, place, prepare, put):
    """How many operations a put takes when nothing fails, and the bytes of blobs that it sends."""
    scene = make_scene(place)
    prepare(scene)
    before = sum(scene.listed("blobs").values())
    plan = FaultPlan()
    put(scene, scene.faulty(plan))
    return plan.operations, sum(scene.listed("blobs").values()) - before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", CRASHES)
@pytest.mark.parametrize("has_base", [False, True], ids=["first version", "second version"])
def test_a_put_killed_at_any_operation_loses_nothing_and_can_be_run_again(
    make_scene, first, second, has_base, fault, place
):
    """After every crash the old version is whole, and the next put publishes the new one."""

    def prepare(scene):
        if has_base:
            scene.put(first)

    tree = second if has_base else first
    count, _ = undisturbed(make_scene, place, prepare, lambda scene, to: scene.put(tree, to))
    assert count > 8
    for number in range(1, count + 1):
        scene = make_scene(place)
        prepare(scene)
        client = scene.faulty(FaultPlan().fail_at(number, fault))

        died = False
        try:
            scene.put(tree, client)
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


def acknowledged(plan, blobs):
    """The bytes of those blobs whose storing was answered, according to the log of the put."""
    answered = {one.key for one in plan.log if one.fault is None and one.kind in WRITES}
    return sum(
        size
        for key, size in blobs.items()
        if any(answer == key or answer.endswith(f"/{key}") for answer in answered)
    )


@pytest.mark.parametrize(
    ("place", "has_base"),
    [
        ("backend", False),
        ("object store", True),
        pytest.param("folder", False, marks=pytest.mark.slow),
        pytest.param("folder", True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("fault", CRASHES)
def test_a_resumed_put_sends_no_blob_again_whose_storing_was_acknowledged(
    make_scene, fault, place, has_base
):
    """At every crash point, bytes counted: what the dead put knew to be stored stays stored."""
    new = {b"%d.bin" % n: random_content(n, 400_000) for n in range(6)}
    old = {b"0.bin": new[b"0.bin"], b"1.bin": new[b"1.bin"][:300_000] + bytes(9)}

    def put(scene, backend, tree=new):
        options = cas.StoreOptions(
            jobs=2, cache_dir=str(scene.folder / "cache"), memory_bytes=3_000_000
        )
        return cas.Store.on(backend, options=options).put(
            scene.source(tree), "data", cas.PutOptions(provenance=False)
        )

    def prepare(scene):
        if has_base:
            put(scene, scene.truth, old)

    count, total = undisturbed(make_scene, place, prepare, put)
    for number in range(1, count + 1):
        scene = make_scene(place)
        prepare(scene)
        at_first = scene.listed("blobs")
        plan = FaultPlan().fail_at(number, fault)
        with contextlib.suppress(CrashError):
            put(scene, scene.faulty(plan))
        before = scene.listed("blobs")
        left = {key: size for key, size in before.items() if key not in at_first}

        outcome = put(scene, scene.truth)

        sent = sum(scene.listed("blobs").values()) - sum(before.values())
        # Heads and tables of blobs take about 1 in 500 bytes here.
        assert sent <= total - acknowledged(plan, left) + total // 100
        assert outcome.new_bytes + outcome.resumed_bytes <= total
        assert scene.held(outcome.ref) == new


def test_a_put_with_little_memory_resumes_in_many_small_blobs(make_scene):
    """They are its own work, not places over which a version got scattered."""
    scene = make_scene()
    source = scene.source({b"big.bin": random_content(1, 12_000_000)})
    options = cas.StoreOptions(jobs=2, cache_dir=str(scene.folder / "cache"), memory_bytes=600_000)
    faulty = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        cas.Store.on(faulty, options=options).put(source, "data")
    count = len(scene.listed("blobs"))

    outcome = cas.Store.on(scene.truth, options=options).put(source, "data")

    assert count > 30
    assert (outcome.new_bytes, outcome.resumed_bytes) == (0, 12_000_000)


def test_another_machine_finds_what_a_dead_put_announced(make_scene, first):
    """Without its journal, the index segment that the dead put wrote leads to its blobs."""
    scene = make_scene()
    backend = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        scene.put(first, backend)

    outcome = scene.put(first)

    assert outcome.new_bytes == 0
    assert scene.held(outcome.ref) == first
