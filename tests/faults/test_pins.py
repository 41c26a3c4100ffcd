"""Pins: what a version needs stays while it is read. Rule R4 of specs/protocol/reading.md."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from collected import Interrupted
from moved_blobs import ids_in, move_blobs, needed_by

import cas
from cas.format import keys
from cas.format.collection import CondemnRecord, encode_condemn
from cas.format.session import decode_intent
from cas.format.version import MoveKind
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.sessions import WriterSession
from cas.objects.versions import add_move
from cas.operations.hold_version import KEPT_INTENTS, Hold, hold_version
from cas.operations.revise import Reviser
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import read_tree

NAME = ArtifactName("data")
OVERRIDES = frozenset(cas.BrakeKind)


def purge(scene, number=0):
    add_move(scene.truth, NAME, number, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, number, 2, MoveKind.PURGE, 0)


def collect(scene, **given):
    return scene.store().collect_garbage(cas.CollectOptions(overrides=OVERRIDES, **given))


def read(version):
    return {path.encode(): version.read(path) for path in version}


def test_a_pinned_version_is_read_to_its_end_though_it_is_purged(scene, first):
    """The collection clears all that it needs; when the pin is gone, so is the version."""
    scene.put(first)
    with scene.store().pin("data:v0") as version:
        purge(scene)
        collect(scene)

        assert read(version) == first

    collect(scene)
    assert ids_in(scene, "blobs", "meta") == set()
    assert scene.listed("sessions") == {}


def test_a_pin_names_the_root_and_no_slot_that_its_reader_could_take(scene, first):
    """It is an intent like another, not final, that says for people which version it is."""
    scene.put(first)

    with scene.store().pin("data:v0") as version:
        (key,) = scene.listed("sessions")
        intent = decode_intent(scene.truth.get(key), what=key)

        assert intent.pages == (version.record.root,)
        assert (intent.final, intent.artifact, intent.slot) == (False, "data", 0)
    assert scene.listed("sessions") == {}


def test_a_pin_holds_what_was_repacked_meanwhile(scene, first):
    """The reader goes on in the old places, which nobody else needs any more."""
    scene.put(first)
    with scene.store().pin("data:v0") as version:
        parts = scene.store().parts
        old = needed_by(scene)
        Reviser(parts, move_blobs(parts)).revise(NAME, 0)
        collect(scene)

        assert old <= ids_in(scene, "blobs", "meta")
        assert read(version) == first
    collect(scene, grace_seconds=0)
    assert not old & ids_in(scene, "blobs", "meta")
    assert scene.held("data:v0") == first


def test_a_reader_that_is_taken_for_dead_is_told_that_the_version_was_deleted(scene, first):
    """Any guess of a collector's is safe: the reading ends, with the reason."""
    scene.put(first)
    with scene.store().pin("data:v0") as version:
        purge(scene)
        collect(scene, grace_seconds=0)

        with pytest.raises(cas.NotFoundError, match="deleted for good while"):
            version.read("a/one.bin")


@pytest.mark.parametrize("moment", ["before", "after it was resolved"])
def test_a_purged_version_cannot_be_pinned(scene, first, moment):
    """There may be nothing left of it, and what is left is about to go."""
    scene.put(first)
    version = scene.store().version("data:v0")
    purge(scene)

    def pin():
        return scene.store().pin("data:v0") if moment == "before" else version.pinned()

    with pytest.raises(cas.NotFoundError, match="deleted for good"), pin():
        pass
    assert scene.listed("sessions") == {}


def test_a_version_in_the_trash_can_be_pinned_by_whoever_has_it(scene, first):
    """The trash is live; it may be purged a moment later."""
    scene.put(first)
    version = scene.store().version("data:v0")
    scene.store().delete("data:v0")

    with version.pinned() as held:
        add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)
        collect(scene)

        assert read(held) == first


def test_a_purge_and_a_collection_may_come_between_any_two_steps_of_pinning(make_scene, first):
    """Either the pin holds all, or the reader is told that the version is gone."""
    outcomes = set()
    for number in range(1, 40):
        scene = make_scene()
        scene.put(first)
        version = scene.store().version("data:v0")

        def act(scene=scene):
            purge(scene)
            collect(scene)

        backend = Interrupted(scene.truth, number, lambda _: act())
        parts = scene.store(backend).parts
        try:
            with hold_version(parts, version._pinned) as held:
                if backend._left > 0:
                    break
                list(held.pages.iter_pages())
                assert read(type(version)(scene.store(), held)) == first
                outcomes.add("held")
        except cas.NotFoundError as error:
            outcomes.add(error.code)
        assert scene.listed("sessions") == {}
    assert outcomes <= {"held", cas.ErrorCode.VERSION_DELETED}
    assert cas.ErrorCode.VERSION_DELETED in outcomes


def test_a_run_that_condemns_all_of_it_is_waited_for_and_then_given_up(scene, first):
    """Without a verdict nobody can tell whether the pin was seen."""
    scene.put(first)
    ids = sorted(ids_in(scene, "blobs", "meta"))
    rows = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)
    record = CondemnRecord(1, SessionId(b"c" * 16), rows)
    scene.truth.create(keys.condemn_key(1), encode_condemn(record))

    with pytest.raises(cas.ConflictError, match="times in a row"), scene.store().pin("data:v0"):
        pass

    assert scene.listed("sessions") == {}


def test_a_pin_is_renewed_under_new_keys_and_the_last_two_stay(scene, first):
    """So it stays young, and a collector that has listed one still finds it when it reads it."""
    scene.put(first)
    parts = scene.store().parts
    hold = Hold(parts, scene.store().version("data:v0").record, WriterSession(parts.backend))
    hold.take()

    seen = [set(scene.listed("sessions"))]
    for _ in range(3):
        assert hold.renew()
        seen.append(set(scene.listed("sessions")))

    assert [len(one) for one in seen] == [1, 2, KEPT_INTENTS, KEPT_INTENTS]
    assert all(later - earlier for earlier, later in pairwise(seen))
    hold.release()
    assert scene.listed("sessions") == {}


def test_a_pin_that_was_lost_says_so_when_it_is_renewed(scene, first):
    """Its reader was taken for dead, and the version is gone."""
    scene.put(first)
    parts = scene.store().parts
    hold = Hold(parts, scene.store().version("data:v0").record, WriterSession(parts.backend))
    hold.take()
    list(scene.store().version("data:v0"))
    purge(scene)
    scene.store().collect_garbage(cas.CollectOptions(overrides=OVERRIDES, grace_seconds=0))

    with pytest.raises(cas.CorruptionError, match="missing"):
        hold.renew()


def test_a_pin_is_renewed_while_it_lasts(scene, first):
    """By a thread of its own, which ends with it."""
    scene.put(first)
    puts = []

    class Watching(FaultyBackend):
        def put(self, key, parts):
            super().put(key, parts)
            puts.append(key)
            if len(puts) == 4:
                renewed.set()

    renewed = threading.Event()
    parts = scene.store(Watching(scene.truth)).parts
    pinned = scene.store().version("data:v0")._pinned

    with hold_version(parts, pinned, renew_seconds=0.001):
        assert renewed.wait(60)
        at_work = [one for one in threading.enumerate() if one.name == "cas-pin"]

    assert len(set(puts)) == len(puts)
    assert [one.is_alive() for one in at_work] == [False]
    assert scene.listed("sessions") == {}


@pytest.mark.parametrize("fault", [*CRASHES, Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
def test_a_reader_that_fails_while_it_pins_harms_nobody(make_scene, first, fault):
    """What it leaves is an intent that ends with the next collections."""
    for number in range(1, 12):
        scene = make_scene()
        scene.put(first)
        backend = scene.faulty(FaultPlan().fail_at(number, fault))
        try:
            with scene.store(backend).pin("data:v0") as version:
                assert read(version) == first
        except (CrashError, cas.BackendError):
            pass

        collect(scene, grace_seconds=0)
        assert scene.listed("sessions") == {}
        assert scene.held("data:v0") == first


def test_a_get_can_pin_what_it_gets(scene, first):
    """A purge and a collection halfway change nothing for it."""
    scene.put(first)

    def act():
        purge(scene)
        collect(scene)

    backend = scene.meddling("get", "blobs/", act)
    scene.store(backend).get("data:v0", scene.folder / "out", cas.GetOptions(pin=True))

    assert read_tree(scene.folder / "out") == first
    assert scene.listed("sessions") == {}


def test_a_version_gets_itself_pinned_too(scene, first):
    """The same option means the same."""
    scene.put(first)
    seen = []
    backend = scene.meddling("get", "blobs/", lambda: seen.extend(scene.listed("sessions")))

    scene.store(backend).version("data:v0").get(str(scene.folder / "out"), cas.GetOptions(pin=True))

    assert len(seen) == 1
    assert read_tree(scene.folder / "out") == first
