"""The commit protocol on real code: its order, and what collectors and other writers may do.

Each rule of specs/protocol/put.md that a put follows has a test that fails without it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np
import pytest

import cas
from cas.errors import ErrorCode
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_floor,
    encode_verdict,
)
from cas.format.session import decode_intent
from cas.format.version import VersionRecord, VoidRecord, decode_slot, encode_slot
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.testing.faulty import Fault, FaultyBackend
from cas.transfer import journal
from cas.transfer.journal import Journal

NAME = ArtifactName("data")
COLLECTOR = SessionId(b"c" * 16)
PLAIN = cas.PutOptions(provenance=False)


class Interfering(FaultyBackend):
    """Lets somebody else act just before an operation of a kind on a key."""

    def __init__(self, backend, kind: str, part: str, act: Callable[[], None], nth: int = 1):
        super().__init__(backend)
        self._watch = (kind, part)
        self._act = act
        self._left = nth

    def _run(self, kind, key, effect, *args, **kwargs):
        if kind == self._watch[0] and self._watch[1] in key:
            self._left -= 1
            if self._left == 0:
                self._act()
        return super()._run(kind, key, effect, *args, **kwargs)


def data_blobs(truth) -> list[bytes]:
    """Ids of the data blobs there are."""
    found = (keys.parse_blob_key(one.key) for one in truth.list_objects(keys.BLOBS))
    return [blob_id.raw for blob_id in found if blob_id is not None]


def condemn(truth, ids: list[bytes], run: int = 1) -> None:
    """Open a collection that is about to delete the blobs."""
    rows = np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)
    truth.create(keys.condemn_key(run), encode_condemn(CondemnRecord(run, COLLECTOR, rows)))


def clear(truth, ids: list[bytes], run: int = 1) -> None:
    """Give the verdict of a collection: the blobs stay."""
    rows = np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)
    truth.create(keys.verdict_key(run), encode_verdict(VerdictRecord(run, rows, all=False)))


def test_the_intent_stands_before_the_log_is_read_and_everything_before_the_slot(scene, first):
    """W1 before W2, W0 and W2 before W3, and the intent goes only after W3."""
    backend = scene.recording()
    scene.put(first, backend)

    backend.check_order_of_a_commit()


def test_the_last_blobs_are_sent_beside_pages_intent_and_log_check(scene, first):
    """A blob that is stored only after the log was checked holds nothing up but the slot."""
    checked = threading.Event()

    class Slow(FaultyBackend):
        """Stores no blob before the log was listed for a second time."""

        def put(self, key, parts):
            if key.startswith("blobs/"):
                assert checked.wait(20)
            super().put(key, parts)

        def list_objects(self, prefix):
            found = super().list_objects(prefix)
            if sum(one.key == "gc" for one in self.log) > 1:
                checked.set()
            return found

    outcome = scene.put(first, Slow(scene.truth))

    assert scene.held(outcome.ref) == first


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
def test_a_blob_that_cannot_be_stored_ends_the_put_before_its_slot(scene, first, fault):
    """Though the log was checked: no slot, no segment, no intent, and no note of the blob."""
    backend = FaultyBackend(scene.truth).fail_nth("put", 1, fault, key="blobs/")
    with pytest.raises(cas.BackendError, match="blobs/"):
        scene.store(backend, journal=True).put(scene.source(first), "data", PLAIN)

    assert [one for one in backend.log if one.kind == "create"] == []
    assert (scene.listed("index"), scene.listed("sessions")) == ({}, {})
    with contextlib.closing(Journal(scene.folder / "cache", scene.store().store_id)) as notes:
        assert notes.unpublished_blobs(0) == []


@pytest.mark.parametrize("folder", ["meta/", "index/"])
def test_a_page_or_segment_that_cannot_be_stored_ends_the_put_before_its_slot(scene, first, folder):
    """The error says which object it was, and nothing is left to settle."""
    backend = FaultyBackend(scene.truth).fail_nth("put", 1, Fault.FAIL_BEFORE, key=folder)
    with pytest.raises(cas.BackendError, match=folder):
        scene.put(first, backend)

    assert [one for one in backend.log if one.kind == "create"] == []
    assert (scene.live(), scene.listed("sessions")) == ([], {})


def test_a_put_that_finds_nothing_changed_notes_only_blobs_that_are_stored(scene, first):
    """What an open run condemns is sent again, and is durable before the journal speaks of it."""
    scene.put(first)
    condemn(scene.truth, data_blobs(scene.truth))
    backend = scene.recording()

    outcome = scene.store(backend, journal=True).put(scene.source(first), "data", PLAIN)

    assert not outcome.created
    sent = backend.last("put", "blobs", "end")
    assert sent == len(backend.moments) - 1
    stored = [one.key for one in backend.log if one.kind == "put"]
    assert set(stored) <= set(scene.listed("blobs"))


def test_the_final_intent_names_the_slot_and_every_blob_of_the_version(scene, first, second):
    """By id, or behind the root of the version it shares pages with."""
    scene.put(first)
    seen: list[bytes] = []
    backend = FaultyBackend(scene.truth)
    put = backend.put

    def watching(key, parts):
        if key.startswith("sessions/"):
            seen.append(b"".join(bytes(part) for part in parts))
        put(key, parts)

    backend.put = watching
    outcome = scene.put(second, backend)

    intent = decode_intent(seen[-1], what="intent")
    key = keys.version_key(NAME, outcome.number)
    record = decode_slot(scene.truth.get(key), what=key, artifact=NAME, number=outcome.number)
    assert isinstance(record, VersionRecord)
    assert (intent.final, intent.artifact, intent.slot) == (True, "data", 1)
    assert record.root.blob_id.raw in intent.meta_ids
    version = scene.store().version(outcome.ref)
    needed = {row.tobytes() for page in version._pages.iter_pages() for row in page.blob_ids}
    named = {intent.blob_ids[at : at + 32] for at in range(0, len(intent.blob_ids), 32)}
    assert needed <= named


def test_a_blob_that_an_open_collection_condemns_is_not_shared(scene, first):
    """Its chunks are stored again in a new blob, so the collector may go on."""
    scene.put(first)
    old = data_blobs(scene.truth)
    condemn(scene.truth, old)

    outcome = scene.store().put(
        scene.source(first), "data", cas.PutOptions(provenance=False, force=True)
    )
    for blob_id in old:
        scene.truth.delete(keys.blob_key(cas_blob_id(blob_id)))

    assert outcome.new_bytes > 0
    assert scene.held(outcome.ref) == first


def test_a_blob_condemned_after_it_was_shared_is_found_by_the_log_check(scene, first, second):
    """Between the intent and the check a collection begins: the put stores those chunks anew."""
    scene.put(first)
    old = data_blobs(scene.truth)
    backend = Interfering(scene.truth, "put", "sessions/", lambda: condemn(scene.truth, old))

    outcome = scene.put(second, backend)
    for blob_id in old:
        scene.truth.delete(keys.blob_key(cas_blob_id(blob_id)))

    assert scene.held(outcome.ref) == second


def test_a_condemned_page_blob_is_not_shared_either(scene, first):
    """The log check looks behind reused pages and at the blobs that hold them."""
    scene.put(first)
    metas = [keys.parse_blob_key(one.key).raw for one in scene.truth.list_objects(keys.META)]
    backend = Interfering(scene.truth, "put", "sessions/", lambda: condemn(scene.truth, metas))

    outcome = scene.store(backend).put(
        scene.source(first), "data", cas.PutOptions(provenance=False, force=True)
    )
    for blob_id in metas:
        scene.truth.delete(keys.meta_key(cas_blob_id(blob_id)))

    assert scene.held(outcome.ref) == first


def test_a_cleared_blob_is_shared(scene, first):
    """A verdict that clears it ends the danger."""
    scene.put(first)
    old = data_blobs(scene.truth)
    condemn(scene.truth, old)
    clear(scene.truth, old)

    outcome = scene.store().put(
        scene.source(first), "data", cas.PutOptions(provenance=False, force=True)
    )

    assert outcome.new_bytes == 0
    assert scene.held(outcome.ref) == first


def test_a_floor_that_rose_during_the_put_makes_it_learn_afresh(scene, first, second):
    """Records under the floor are gone, so what is known with a lower stamp proves nothing."""
    scene.put(first)
    backend = Interfering(
        scene.truth,
        "put",
        "sessions/",
        lambda: scene.truth.put(keys.floor_key(3), [encode_floor(3)]),
    )

    outcome = scene.put(second, backend)

    assert scene.held(outcome.ref) == second
    assert scene.store().version(outcome.ref).record.stamp == 3


def test_a_fenced_writer_takes_a_new_session_and_publishes_elsewhere(scene, first):
    """A collector that took it for dead has voided its slot under its session id."""
    fenced: list[bytes] = []

    def fence() -> None:
        key = next(one.key for one in scene.truth.list_objects("sessions"))
        intent = decode_intent(scene.truth.get(key), what=key)
        fenced.append(intent.session.raw)
        scene.truth.create(keys.version_key(NAME, 0), encode_slot(VoidRecord(intent.session)))

    backend = Interfering(scene.truth, "create", "versions/", fence)

    outcome = scene.put(first, backend)

    assert outcome.number == 1
    assert scene.store().version("data").record.session.raw not in fenced
    assert scene.held("data:v1") == first


def test_a_void_of_another_session_only_costs_its_number(scene, first):
    """The writer walks on to the next slot, having read this one."""
    void = encode_slot(VoidRecord(SessionId(b"x" * 16)))
    backend = Interfering(
        scene.truth,
        "create",
        "versions/",
        lambda: scene.truth.create(keys.version_key(NAME, 0), void),
    )

    assert scene.put(first, backend).number == 1
    assert scene.held("data:v1") == first


def test_two_writers_at_once_make_two_versions(scene, first, second):
    """Another writer takes the slot just before: both are published, none is lost."""
    other = scene.source(second, "other")
    backend = Interfering(
        scene.truth,
        "create",
        "versions/",
        lambda: scene.store().put(other, "data", cas.PutOptions(provenance=False)),
    )

    outcome = scene.put(first, backend)

    assert (outcome.number, scene.live()) == (1, [0, 1])
    assert (scene.held("data:v0"), scene.held("data:v1")) == (second, first)


def test_if_parent_fails_when_somebody_else_was_faster(scene, first, second):
    """The put publishes nothing and leaves no intent behind."""
    scene.put(first)
    other = scene.source({b"other": b"o" * 1000}, "other")
    backend = Interfering(
        scene.truth,
        "create",
        "versions/",
        lambda: scene.store().put(other, "data", cas.PutOptions(provenance=False)),
    )

    with pytest.raises(cas.ConflictError) as caught:
        scene.store(backend).put(
            scene.source(second), "data", cas.PutOptions(provenance=False, if_parent="data:v0")
        )

    assert caught.value.code is ErrorCode.PARENT_MOVED
    assert scene.live() == [0, 1]
    assert list(scene.truth.list_objects("sessions")) == []


def test_many_threads_put_one_artifact_and_all_succeed(scene):
    """Eight puts at once end as eight versions, each whole."""
    sources = [scene.source({b"f": bytes([n]) * 5000}, f"s{n}") for n in range(8)]
    store = scene.store()
    outcomes: dict[int, cas.PutOutcome] = {}

    def put(n: int) -> None:
        outcomes[n] = store.put(sources[n], "data", cas.PutOptions(provenance=False))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert scene.live() == list(range(8))
    assert all(scene.held(outcomes[n].ref) == {b"f": bytes([n]) * 5000} for n in range(8))


def test_putting_the_newest_version_again_writes_nothing(scene, first):
    """No session, no object, no request that writes."""
    scene.put(first)
    backend = FaultyBackend(scene.truth)

    outcome = scene.put(first, backend)

    assert not outcome.created
    assert {one.kind for one in backend.log} <= {"get", "list_objects"}


def test_a_trashed_version_is_not_answered_for_another(scene, first, second):
    """Number, alias and `latest` either lead to live data or say what happened."""
    scene.put(first)
    scene.put(second)
    store = scene.store()
    store.tag("data:v1", ["best"])
    with pytest.raises(cas.RefusedError):
        store.delete("data:v1")
    store.delete("data:v1", force=True)

    with pytest.raises(cas.NotFoundError, match="best"):
        store.version("data:best")
    with pytest.raises(cas.NotFoundError, match="trash"):
        store.version("data:v1")
    assert store.version("data").number == 0
    store.restore("data:v1")
    assert scene.held("data:best") == second


def test_facts_from_a_longer_log_are_dropped_when_the_store_was_rolled_back(
    scene, first, monkeypatch
):
    """A store restored from a backup lacks blobs that the journal still speaks of."""
    # The files were made a moment ago; let the journal trust them.
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
    backup = {one.key: scene.truth.get(one.key) for one in scene.truth.list_objects("")}
    condemn(scene.truth, [b"n" * 32])
    clear(scene.truth, [b"n" * 32])
    source = scene.source(first)
    scene.store(journal=True).put(source, "data", cas.PutOptions(provenance=False))
    assert scene.store().version("data").record.stamp == 1
    for one in list(scene.truth.list_objects("")):
        if one.key not in backup:
            scene.truth.delete(one.key)

    outcome = scene.store(journal=True).put(source, "data", cas.PutOptions(provenance=False))

    assert outcome.new_bytes > 0
    assert scene.held(outcome.ref) == first


def cas_blob_id(raw: bytes):
    """Wrap the bytes of a blob id."""
    from cas.model.ids import BlobId

    return BlobId(raw)
