"""Any request may succeed and report failure, or fail and succeed later."""

from __future__ import annotations

import random

import pytest

import cas
from cas.testing.faulty import LOSSES, Fault, FaultyBackend
from cas.testing.trees import read_tree


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
def test_one_lost_reply_anywhere_never_publishes_twice_or_half(make_scene, first, second, fault):
    """Either the put succeeds, or it fails with an error of cas and the next one succeeds."""
    scene = make_scene()
    scene.put(first)
    counting = FaultyBackend(scene.truth)
    scene.put(second, counting)
    for number in range(1, counting.operations + 1):
        scene = make_scene()
        scene.put(first)
        backend = FaultyBackend(scene.truth).fail_at(number, fault)
        try:
            outcome = scene.put(second, backend)
        except cas.CasError:
            backend.deliver_late()
            outcome = scene.put(second)
        backend.deliver_late()

        assert scene.held(outcome.ref) == second
        assert scene.held("data:v0") == first
        # One put, at most one version: what was published is found, not published again.
        assert scene.live() == [0, outcome.number]
        assert [scene.held(f"data:v{number}") for number in scene.live()] == [first, second]


def test_a_create_that_was_done_and_reported_as_existing_is_recognised(scene, first):
    """The slot is read back, and the record in it is this writer's own."""
    backend = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.EXISTS_AFTER)

    outcome = scene.put(first, backend)

    assert outcome.number == 0
    assert scene.live() == [0]
    assert scene.held("data:v0") == first


def test_a_writer_that_gives_up_settles_its_slot_before_its_intents_go(scene, first):
    """A slot that may still become ours is voided, so a late request finds it taken."""
    backend = FaultyBackend(scene.truth)
    for nth in range(1, 5):
        backend.fail_nth("create", nth, Fault.LATE)
    with pytest.raises(cas.BackendError):
        scene.put(first, backend)

    backend.deliver_late()

    assert scene.live() == []
    assert list(scene.truth.list_objects("sessions")) == []
    assert scene.put(first).number == 1


@pytest.mark.parametrize("seed", range(60))
def test_nothing_acknowledged_is_lost_whatever_fails(make_scene, first, second, seed):
    """Puts, tags, deletions and gets under random faults: errors are clear, answers are right."""
    scene = make_scene()
    rng = random.Random(seed)
    trees = [first, second, {b"x": b"x" * 500}]
    backend = FaultyBackend(scene.truth, seed=seed, rate=0.04, faults=[*LOSSES, Fault.LATE])
    acknowledged: dict[int, dict[bytes, bytes]] = {}
    hidden: set[int] = set()
    for step in range(6):
        tree = rng.choice(trees)
        try:
            outcome = scene.put(tree, backend)
            acknowledged[outcome.number] = tree
            if step % 3 == 1:
                scene.store(backend).tag(outcome.ref, ["best"])
            if step % 3 == 2:
                hidden.add(outcome.number)
                scene.store(backend).delete(outcome.ref, force=True)
            target = scene.folder / f"out-{step}"
            scene.store(backend).get("data:v0", target)
            assert read_tree(target) == acknowledged.get(0, read_tree(target))
        except cas.CasError:
            continue
    backend.deliver_late()

    for number, tree in acknowledged.items():
        if number in hidden and number not in scene.live():
            scene.store().restore(f"data:v{number}")
        assert scene.held(f"data:v{number}") == tree
