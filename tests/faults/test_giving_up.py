"""A put that fails or is interrupted once its request for a slot may be under way."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager

import pytest

import cas
from cas.format import keys
from cas.format.session import decode_intent
from cas.format.version import VersionRecord, VoidRecord
from cas.model.names import ArtifactName
from cas.objects.versions import read_slot
from cas.testing.corpora import random_content
from cas.testing.faulty import Fault, FaultyBackend

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)


class Interrupted(FaultyBackend):
    """Ctrl-C in the middle of chosen creates, whose requests are sent and land whenever."""

    def __init__(self, backend, *nths):
        super().__init__(backend)
        self._nths = nths
        self._creates = 0
        self.under_way = []

    def create(self, key, content):
        self._creates += 1
        if self._creates in self._nths:
            self.under_way.append(lambda: self._backend.create(key, content))
            raise KeyboardInterrupt
        super().create(key, content)


def test_an_interrupted_put_voids_its_slot_before_its_intents_go(scene, first):
    """The request that was under way finds the slot taken, so nothing half protected appears."""
    backend = Interrupted(scene.truth, 1)
    with pytest.raises(KeyboardInterrupt):
        scene.put(first, backend)

    assert isinstance(read_slot(scene.truth, NAME, 0), VoidRecord)
    with pytest.raises(cas.AlreadyExistsError):
        backend.under_way[0]()
    assert scene.listed("sessions") == {}
    assert scene.put(first).number == 1


def test_a_put_interrupted_twice_leaves_its_intents_to_a_collector(scene, first):
    """The slot is not settled, so whoever settles it must know what the version needs."""
    backend = Interrupted(scene.truth, 1, 2)
    with pytest.raises(KeyboardInterrupt):
        scene.put(first, backend)

    (key,) = scene.listed("sessions")
    intent = decode_intent(scene.truth.get(key), what=key)
    assert (intent.final, intent.artifact, intent.slot) == (True, "data", 0)
    backend.under_way[0]()
    assert scene.held("data:v0") == first


@contextmanager
def interrupted_at(function):
    """Press Ctrl-C as soon as a function of this name is called."""

    def trace(frame, event, _):
        if event == "call" and frame.f_code.co_name == function:
            raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("function", ["_give_up", "leave_slot"])
def test_a_second_interruption_before_the_slot_is_settled_leaves_the_intents(
    scene, first, function
):
    """At whatever moment it comes: what was asked for may still land."""
    backend = Interrupted(scene.truth, 1)
    with pytest.raises(KeyboardInterrupt), interrupted_at(function):
        scene.put(first, backend)

    (key,) = scene.listed("sessions")
    assert decode_intent(scene.truth.get(key), what=key).slot == 0
    backend.under_way[0]()
    assert scene.held("data:v0") == first


def test_a_put_that_cannot_settle_its_slot_leaves_its_intents(scene, first):
    """Every create fails, the void too: the slot is still open, and the intents stay."""
    backend = FaultyBackend(scene.truth)
    for nth in range(1, 20):
        backend.fail_nth("create", nth, Fault.FAIL_BEFORE)
    with pytest.raises(cas.BackendError):
        scene.put(first, backend)

    assert read_slot(scene.truth, NAME, 0) is None
    assert len(scene.listed("sessions")) == 1
    assert scene.put(first).number == 0
    assert scene.held("data:v0") == first


def test_the_void_comes_before_the_intents_go(scene, first):
    """In the log of requests: slot, void, a look at the slot, and only then the deletions."""
    backend = Interrupted(scene.truth, 1)
    with pytest.raises(KeyboardInterrupt):
        scene.put(first, backend)

    slot = keys.version_key(NAME, 0)
    tail = [(one.kind, one.key.partition("/")[0]) for one in backend.log][-3:]
    assert tail == [("create", "artifacts"), ("get", "artifacts"), ("delete", "sessions")]
    assert [one.key for one in backend.log][-3:-1] == [slot, slot]


def test_an_intent_that_cannot_be_written_ends_the_put_before_its_slot(scene, first):
    """W1 is not known to be durable: no log check, no slot, and nothing is left to settle."""
    backend = FaultyBackend(scene.truth)
    watched = scene.meddling("put", "sessions/", lambda: fail(backend))
    with pytest.raises(cas.BackendError):
        scene.put(first, watched)

    assert [one for one in watched.log if one.kind == "create"] == []
    assert scene.live() == []
    assert scene.listed("sessions") == {}


def fail(backend):
    raise cas.BackendError(f"{backend.url} is away")


def test_a_deletion_of_intents_that_fails_does_not_fail_the_put(scene, first):
    """The version is published; a leftover intent only delays collection."""
    backend = FaultyBackend(scene.truth).fail_nth("delete", 1, Fault.FAIL_BEFORE)

    assert scene.put(first, backend).number == 0
    assert len(scene.listed("sessions")) == 1
    assert scene.held("data:v0") == first


def test_another_writers_record_in_the_slot_is_read_before_the_next_is_tried(scene, first, second):
    """Slots are walked one by one, and each that is taken is read."""
    other = scene.source(second, "other")

    def publish_three():
        for message in "abc":
            options = cas.PutOptions(provenance=False, force=True, message=message)
            scene.store().put(other, "data", options)

    backend = scene.meddling("create", "versions/", publish_three)
    outcome = scene.put(first, backend)

    tried = [(one.kind, one.key) for one in backend.log if "/versions/" in one.key]
    expected = []
    for number in range(3):
        key = keys.version_key(NAME, number)
        expected += [("create", key), ("get", key)]
    assert tried[-7:] == [*expected, ("create", keys.version_key(NAME, 3))]
    assert (outcome.number, scene.live()) == (3, [0, 1, 2, 3])
    assert isinstance(read_slot(scene.truth, NAME, 3), VersionRecord)


def test_threads_that_put_the_same_artifact_by_if_parent_have_one_winner(scene, first):
    """One of the puts that follow v0 is published, the others say that the parent moved."""
    scene.put(first)
    sources = [scene.source({b"f": bytes([n]) * 5000}, f"s{n}") for n in range(6)]
    store = scene.store()
    won, lost = [], []
    gate = threading.Barrier(6)

    def put(n):
        gate.wait()
        options = cas.PutOptions(provenance=False, if_parent="data:v0")
        try:
            won.append((n, store.put(sources[n], "data", options)))
        except cas.ConflictError as error:
            lost.append(error.code)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), set(lost), len(lost)) == (1, {cas.ErrorCode.PARENT_MOVED}, 5)
    assert scene.live() == [0, 1]
    assert scene.held("data:v1") == {b"f": bytes([won[0][0]]) * 5000}
    assert scene.listed("sessions") == {}


def test_a_long_put_tells_what_it_stored_long_before_its_end(scene):
    """Plain intents protect the blobs so far, and segments lead other machines to them."""
    # Each file is a step of its own, and the budget lets the next begin when blobs are sent.
    tree = {b"%02d.bin" % n: random_content(n, 1_200_000) for n in range(12)}
    source = scene.source(tree)
    stored = []

    def look():
        key = min(scene.listed("sessions"))
        stored.append((decode_intent(scene.truth.get(key), what=key), scene.listed("blobs")))

    backend = scene.meddling("put", "index/", look)
    options = cas.StoreOptions(jobs=2, journal=False, memory_bytes=900_000)
    outcome = cas.Store.on(backend, options=options).put(source, "data", PLAIN)

    ((intent, blobs),) = stored
    named = {intent.blob_ids[at : at + 32] for at in range(0, len(intent.blob_ids), 32)}
    assert (intent.final, intent.slot) == (False, None)
    assert len(named) >= 16
    assert named <= {keys.parse_blob_key(key).raw for key in blobs}
    written = [one.key for one in backend.log if one.kind == "put"]
    assert len(written) == len(set(written)), "a key was written twice"
    assert len([key for key in written if key.startswith("index/")]) > 1
    assert scene.held(outcome.ref) == tree
