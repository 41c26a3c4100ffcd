"""Any request may succeed and report failure, or fail and succeed later."""

from __future__ import annotations

import pytest

import cas
from cas.testing.faulty import LOSSES, Fault, FaultyBackend


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
@pytest.mark.parametrize("has_base", [False, True], ids=["first version", "second version"])
def test_one_lost_reply_anywhere_never_publishes_twice_or_half(
    make_scene, first, second, has_base, fault
):
    """Either the put succeeds, or it fails with an error of cas and the next one succeeds."""

    def prepare():
        scene = make_scene()
        if has_base:
            scene.put(first)
        return scene

    tree, before = (second, [0]) if has_base else (first, [])
    scene = prepare()
    counting = FaultyBackend(scene.truth)
    scene.put(tree, counting)
    for number in range(1, counting.operations + 1):
        scene = prepare()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)
        try:
            outcome = scene.put(tree, backend)
        except cas.CasError:
            backend.deliver_late()
            outcome = scene.put(tree)
        backend.deliver_late()

        assert scene.held(outcome.ref) == tree
        # One put, at most one version: what was published is found, not published again.
        assert scene.live() == [*before, outcome.number]
        assert not has_base or scene.held("data:v0") == first


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
