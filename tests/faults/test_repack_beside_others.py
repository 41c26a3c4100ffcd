"""A repack that fails, and others at work while one runs. Spec: specs/protocol/repack.md."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from collected import Interrupted
from moved_blobs import collect, ids_in, needed_by
from repacked import (
    FEWER,
    FEWEST,
    assert_whole,
    collect_for_real,
    fill,
    plan,
    purge,
    run,
    used,
)

import cas
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_verdict,
)
from cas.format.session import decode_intent
from cas.model.ids import SessionId
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import read_tree

PLAIN = cas.PutOptions(provenance=False)
SLOW_FAULTS = [
    pytest.param(fault, marks=pytest.mark.slow) for fault in (Fault.FAIL_BEFORE, Fault.FAIL_AFTER)
]


@pytest.fixture
def make_filled(make_scene):
    """Make as many stores with a blob that is mostly dead as a test needs."""
    return lambda: fill(make_scene())


def operations_of_a_repack(scene):
    faults = FaultPlan()
    run(scene, scene.faulty(faults))
    return faults.operations


@pytest.mark.parametrize("fault", [*CRASHES, *SLOW_FAULTS])
def test_a_repack_that_fails_at_any_operation_loses_nothing_and_the_next_one_goes_on(
    make_filled, fault
):
    """Killed or told of an error: versions stay whole, and in the end nothing is kept that is dead."""
    count = operations_of_a_repack(make_filled())
    assert count > 30
    for number in range(1, count + 1):
        scene = make_filled()

        with contextlib.suppress(CrashError, cas.BackendError):
            run(scene, scene.faulty(FaultPlan().fail_at(number, fault)))
        if number % 2:
            collect_for_real(scene)
            assert scene.held("data:v1") == FEWER
        outcome = run(scene)
        collect_for_real(scene)

        assert outcome.is_complete
        assert_whole(scene)
        assert plan(scene).is_empty
        assert ids_in(scene, "blobs", "meta") == needed_by(scene)
        assert scene.listed("sessions") == {}


def test_a_repack_that_died_between_two_versions_stores_nothing_again(make_filled):
    """The next one finds the chunks by the dead one's index segment."""
    scene = make_filled()
    backend = FaultyBackend(scene.truth).fail_nth("create", 2, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        run(scene, backend)
    between = used(scene)

    outcome = run(scene)

    assert (outcome.revised, outcome.new_bytes) == (1, 0)
    assert used(scene) == between
    collect(scene)
    assert_whole(scene)


# -- others at work


def packed(ids):
    return np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)


def collect_beside(scene):
    """Collect as the protocol has it, from G1 to G7, taking nobody for dead and no blob for young."""
    truth = scene.truth
    candidates = ids_in(scene, "blobs", "meta") - needed_by(scene)
    number = 1 + len(scene.listed("gc")) // 2
    record = CondemnRecord(number, SessionId(b"c" * 16), packed(candidates))
    truth.create(keys.condemn_key(number), encode_condemn(record))
    cleared = set()
    pages = scene.store().parts.pages
    for key in scene.listed("sessions"):
        intent = decode_intent(truth.get(key), what=key)
        named = intent.blob_ids + intent.meta_ids
        cleared |= {named[at : at + 32] for at in range(0, len(named), 32)}
        for location in intent.pages:
            cleared.add(location.blob_id.raw)
            cleared |= {row.tobytes() for row in pages.read_page(location).blob_ids}
    cleared |= needed_by(scene)
    verdict = VerdictRecord(number, packed(cleared & candidates), all=False)
    truth.create(keys.verdict_key(number), encode_verdict(verdict))
    for folder in ("blobs", "meta"):
        for key in scene.listed(folder):
            if keys.parse_blob_key(key).raw in candidates - cleared:
                truth.delete(key)


@pytest.mark.parametrize(
    "actor",
    [
        "fencing collector",
        "purge",
        "writer",
        pytest.param("collector", marks=pytest.mark.slow),
        pytest.param("repack", marks=pytest.mark.slow),
    ],
)
def test_others_may_act_between_any_two_steps(make_filled, actor):
    """Nobody loses anything by it, whoever is faster; and the next repack finishes."""
    acts = {
        "collector": collect_beside,
        "fencing collector": collect_for_real,
        "purge": lambda scene: purge(scene, 1),
        "writer": lambda scene: scene.store().put(
            scene.source(FEWER | {b"new": b"n" * 1000}, "other"), "data", PLAIN
        ),
        "repack": run,
    }
    for number in range(1, operations_of_a_repack(make_filled()) + 1):
        scene = make_filled()
        backend = Interrupted(scene.truth, number, lambda _, scene=scene: acts[actor](scene))

        run(scene, backend)
        collect_for_real(scene)
        outcome = run(scene)
        collect_for_real(scene)

        assert not any(one.outcome.is_worth_another_try for one in outcome.revisions)
        if actor == "purge":
            scene.store().restore("data:v2")
            assert scene.held("data:v2") == FEWEST
            continue
        assert_whole(scene)
        if actor == "writer":
            assert scene.held("data:v3") == FEWER | {b"new": b"n" * 1000}
        assert ids_in(scene, "blobs", "meta") == needed_by(scene)


def repack_and_collect(scene):
    run(scene)
    collect_beside(scene)


def test_a_repack_and_a_collection_may_come_between_any_two_steps_of_a_put(make_filled):
    """The put shares what the version before it has, wherever that lies by then, and is whole."""
    tree = FEWER | {b"new": b"n" * 1000}
    reached = 0
    for number in range(1, 100):
        scene = make_filled()
        backend = Interrupted(scene.truth, number, lambda _, scene=scene: repack_and_collect(scene))

        outcome = scene.put(tree, backend)
        collect_for_real(scene)

        assert scene.held(outcome.ref) == tree
        assert_whole(scene)
        if backend._left > 0:
            break
        reached += 1
    assert reached > 10


def test_a_repack_and_a_collection_may_come_between_any_two_steps_of_a_get(make_filled):
    """Wherever the get stands, it finds what it needs."""
    reached = 0
    for number in range(1, 100):
        scene = make_filled()
        backend = Interrupted(scene.truth, number, lambda _, scene=scene: repack_and_collect(scene))

        scene.store(backend).get("data:v1", scene.folder / "out")

        assert read_tree(scene.folder / "out") == FEWER
        if backend._left > 0:
            break
        reached += 1
    assert reached > 5
