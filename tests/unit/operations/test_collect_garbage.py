"""What a collection decides by itself: who is gone, how many runs it takes, what may expire."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from collected import (
    AT_ONCE,
    NAME,
    OPTIONS,
    TREES,
    assert_clean,
    collect,
    copied,
    die_at,
    held,
    purge,
    put,
)

import cas
from cas.backend.base import Capabilities
from cas.backend.forwarding import ForwardingBackend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.config import decode_config, encode_config
from cas.format.session import Intent, decode_intent, encode_intent
from cas.format.version import (
    RevisionRecord,
    VersionRecord,
    VoidRecord,
    decode_revision,
    encode_revision,
)
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.collection_log import list_log
from cas.objects.collections import give_verdict, open_run, put_done, put_floor, read_condemned
from cas.objects.id_sets import ids_of, no_ids
from cas.objects.versions import list_slots, read_slot
from cas.operations.expire_log import next_floor
from cas.operations.init import init_store
from cas.operations.plan_collection import plan_collection
from cas.testing.corpora import random_content

SESSION = SessionId(b"s" * 16)


@pytest.fixture
def backend(tmp_path):
    """A store of v0 and v1."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    for tree in TREES[:2]:
        put(backend, tmp_path, tree)
    return backend


def announce(backend, k=0, **named):
    """Put an intent of a session that then dies."""
    intent = Intent(
        session=SESSION,
        k=k,
        final=named.get("slot") is not None,
        artifact=named.get("artifact"),
        slot=named.get("slot"),
        revision=named.get("revision"),
        blob_ids=named.get("blob_ids", b""),
        meta_ids=b"",
        pages=named.get("pages", ()),
        stamp=0,
        created_ns=named.get("created_ns", 0),
    )
    backend.put(keys.intent_key(SESSION, k), [encode_intent(intent)])


# -- sessions


def test_a_dead_session_is_settled_behind_the_versions_of_others(backend):
    """It walks up from the slot that it named to the first that is free."""
    announce(backend, artifact="data", slot=0)

    outcome = collect(backend)

    assert outcome.voided == ("data:v2",)
    assert read_slot(backend, NAME, 2) == VoidRecord(SESSION)
    assert_clean(backend)


def test_a_session_that_has_published_is_settled_by_its_version(backend):
    """It died before it deleted its intents."""
    record = read_slot(backend, NAME, 1)
    intent = Intent(
        session=record.session,
        k=0,
        final=True,
        artifact="data",
        slot=1,
        revision=None,
        blob_ids=b"",
        meta_ids=b"",
        pages=(),
        stamp=0,
        created_ns=0,
    )
    backend.put(keys.intent_key(record.session, 0), [encode_intent(intent)])

    outcome = collect(backend)

    assert outcome.voided == ()
    assert outcome.settled == (record.session,)
    assert_clean(backend)


def test_a_revision_that_a_dead_session_meant_to_make_is_void(backend):
    """And the version is read by the record that it had."""
    announce(backend, artifact="data", slot=1, revision=1)

    outcome = collect(backend)

    key = keys.revision_key(NAME, 1, 1)
    assert decode_revision(backend.get(key), what=key) == VoidRecord(SESSION)
    assert outcome.voided == ("data:v1 revision 1",)
    assert held(backend, "data:v1") == TREES[1]


def test_a_revision_that_another_made_settles_a_session(backend):
    """Nothing is left for it to create."""
    record = read_slot(backend, NAME, 1)
    revision = RevisionRecord(
        session=record.session, root=record.root, stamp=0, digest=record.digest
    )
    backend.create(keys.revision_key(NAME, 1, 1), encode_revision(revision))
    announce(backend, artifact="data", slot=1, revision=1)

    assert collect(backend).voided == ()
    assert held(backend, "data:v1") == TREES[1]


def test_a_pin_of_a_reader_keeps_a_purged_version(backend):
    """Until the reader unpins, or is taken for gone."""
    root = read_slot(backend, NAME, 0).root
    purge(backend, 0)
    announce(backend, pages=(root,), created_ns=SystemClock().now_ns())

    pinned = collect(backend, replace(AT_ONCE, grace_seconds=3600))
    gone = collect(backend)

    assert pinned.deleted.blobs == 0
    assert pinned.plan.announced.blobs > 0
    assert gone.deleted.blobs > 0
    assert_clean(backend)


def test_intents_put_after_a_session_was_settled_stay(backend, tmp_path):
    """Only what was listed is deleted; the next collection sees the rest."""
    announce(backend, artifact="data", slot=0)

    class Continuing(ForwardingBackend):
        def create(self, key, content):
            if "versions" in key:
                announce(self._backend, k=1, artifact="data", slot=0)
            super().create(key, content)

    collect(Continuing(backend))

    (left,) = backend.list_objects("sessions")
    assert decode_intent(backend.get(left.key), what=left.key).k == 1


def test_an_intent_that_names_no_possible_artifact_brakes(backend):
    """Whose slot it means cannot be told."""
    announce(backend, artifact="../evil", slot=0)

    with pytest.raises(cas.RefusedError):
        collect(backend)

    assert list_slots(backend, NAME).slots == {0, 1}


# -- runs


def test_more_candidates_than_a_run_may_have_are_taken_by_several(backend, tmp_path):
    """One after the other, each with its own look at what is needed."""
    for number in range(5):
        put(backend, tmp_path, {b"f": random_content(60 + number, 5000)})
        purge(backend, 2 + number)

    outcome = collect(backend, replace(AT_ONCE, run_ids=4))

    assert outcome.runs == (1, 2, 3)
    assert outcome.deleted.blobs == 10
    assert_clean(backend)


def test_nothing_to_do_writes_nothing(backend):
    """No record, and the log stays empty."""
    before = {one.key for one in backend.list_objects("")}

    outcome = collect(backend)

    assert outcome.runs == ()
    assert {one.key for one in backend.list_objects("")} == before


def test_a_number_that_is_taken_meanwhile_is_passed_over(backend):
    """Both records stand, each under its own number."""
    open_run(backend, 1, ids_of([b"a" * 32]))

    assert open_run(backend, 1, ids_of([b"b" * 32])) == 2
    assert (read_condemned(backend, 1) == ids_of([b"a" * 32])).all()


def test_a_run_of_somebody_at_work_is_left_to_it(backend, tmp_path):
    """It is open for a minute; after an hour nobody is waited for."""
    open_run(backend, 1, ids_of([b"a" * 32]))
    purge(backend, 0)
    options = replace(AT_ONCE, grace_seconds=7 * 86_400)

    class Dated(ForwardingBackend):
        age_ns = 60 * 10**9

        def list_objects(self, prefix):
            for one in self._backend.list_objects(prefix):
                yield replace(one, modified_ns=SystemClock().now_ns() - self.age_ns)

    dated = Dated(backend)
    assert collect(dated, options).ended_runs == ()
    dated.age_ns = 3700 * 10**9
    assert collect(dated, options).ended_runs == (1,)


# -- expiry


def logged(runs):
    """Make a log: for each run whether it is open, decided, or done."""
    backend = MemoryBackend()
    for number, state in enumerate(runs, 1):
        open_run(backend, number, ids_of([bytes([number]) * 32]))
        if state != "open":
            give_verdict(backend, number, no_ids())
        if state == "done":
            put_done(backend, number)
    return backend


@pytest.mark.parametrize(
    ("runs", "kept", "floor"),
    [
        (["done"] * 5, 0, 5),
        (["done"] * 5, 2, 3),
        (["done"] * 5, 64, 0),
        (["done", "decided", "done"], 0, 1),
        (["open", "done", "done"], 0, 0),
        ([], 0, 0),
    ],
)
def test_only_runs_that_are_done_and_old_expire(runs, kept, floor):
    """One that is not holds up all that came after it."""
    assert next_floor(list_log(logged(runs)), kept) == floor


def test_what_turns_up_under_the_floor_is_deleted(backend):
    """Records of expired runs that landed late, and older floors."""
    put_floor(backend, 3)
    put_floor(backend, 5)
    open_run(backend, 2, no_ids())
    put_done(backend, 5)

    assert collect(backend).floor == 5

    assert [one.key for one in backend.list_objects("gc")] == [keys.floor_key(5)]


def test_the_newest_runs_stay_in_the_log(backend, tmp_path):
    """So that writers who know less need not learn everything afresh."""
    for number in range(2, 5):
        put(backend, tmp_path, {b"f": random_content(70 + number, 5000)})
        purge(backend, number)
        collect(backend, replace(AT_ONCE, kept_runs=2))

    log = list_log(backend)
    assert (log.floor, sorted(log.runs)) == (1, [2, 3])


# -- stores that keep no two writers apart


class Weak(ForwardingBackend):
    """Replaces what it is asked to create, as some servers do."""

    capabilities = Capabilities(create_if_absent=False, atomic_listing=False, local=True)

    def create(self, key, content):
        self._backend.put(key, [content])


@pytest.fixture
def weak(backend):
    config = decode_config(backend.get(keys.CONFIG))
    backend.put(keys.CONFIG, [encode_config(replace(config, create_if_absent=False))])
    return Weak(backend)


def test_without_create_if_absent_it_refuses(weak):
    """And says how a person may vouch for it."""
    with pytest.raises(cas.UnsupportedError) as caught:
        collect(weak)

    assert "cas gc --exclusive" in (caught.value.hint or "")


def test_exclusive_collects_there_and_replaces_no_version(weak, tmp_path):
    """Slots are looked at before a void is put into them."""
    die_at(weak, tmp_path, {b"dead": random_content(90, 900)}, "create", "versions/")
    announce(weak, artifact="data", slot=0)

    outcome = collect(weak, replace(AT_ONCE, exclusive=True))

    assert isinstance(read_slot(weak, NAME, 0), VersionRecord)
    assert isinstance(read_slot(weak, NAME, 1), VersionRecord)
    assert sorted(outcome.voided) == ["data:v2", "data:v3"]
    assert outcome.deleted.blobs > 0
    assert_clean(weak._backend)


# -- what is told


def test_a_plan_tells_where_garbage_came_from_and_why_versions_are_kept(backend, tmp_path):
    """By artifact where that can be told."""
    store = cas.Store.on(backend, options=OPTIONS)
    put(backend, tmp_path, TREES[2])
    store.tag("data:v1", ["production"])
    purge(backend, 0)
    store.delete("data:v1", force=True)
    die_at(backend, tmp_path, {b"x": random_content(91, 900)}, "create", "versions/", "other")

    plan = plan_collection(store.parts, replace(AT_ONCE, explain=True))

    assert [(one.why, one.artifact) for one in plan.shares] == [
        ("purged", "data"),
        ("interrupted", "other"),
    ]
    assert [(one.ref, one.reasons) for one in plan.kept] == [
        ("data:v1", ("in the trash", "alias production")),
        ("data:v2", ("newest",)),
    ]
    assert sum(one.space.bytes for one in plan.shares) == plan.garbage.bytes
    assert np.array_equal(plan.candidates, np.unique(plan.candidates, axis=0))


def test_versions_that_are_due_go_first(backend):
    """What lay in the trash for long enough is purged, and collected by the same call."""
    cas.Store.on(backend, options=OPTIONS).delete("data:v0")
    policy = cas.RetentionPolicy(trash_keep_ns=0)

    kept = collect(copied(backend), replace(AT_ONCE, policy=cas.RetentionPolicy()))
    gone = collect(backend, replace(AT_ONCE, policy=policy))

    assert kept.deleted.blobs == 0
    assert [one.number for one in gone.moved.purged] == [0]
    assert gone.deleted.blobs > 0
    assert_clean(backend)


def test_a_plan_counts_what_due_versions_would_give_up_by_artifact(backend, tmp_path):
    """It is what the collection then deletes, and what is purged already counts as that."""
    put(backend, tmp_path, {b"other": random_content(40, 3000)}, "other")
    put(backend, tmp_path, {b"third": random_content(41, 3000)}, "third")
    purge(backend, 0, ArtifactName("third"))
    store = cas.Store.on(backend, options=OPTIONS)
    store.delete("data:v0")
    store.delete("other:v0")
    options = replace(AT_ONCE, policy=cas.RetentionPolicy(trash_keep_ns=0), explain=True)

    plan = plan_collection(store.parts, options)
    outcome = collect(backend, options)

    assert [(one.why, one.artifact) for one in plan.shares] == [
        ("due", "data"),
        ("due", "other"),
        ("purged", "third"),
    ]
    assert all(one.space.bytes for one in plan.shares)
    assert [one.ref for one in plan.kept] == ["data:v1"]
    assert outcome.deleted == plan.garbage
    assert outcome.plan.shares == plan.shares
    assert_clean(backend)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_collection_stops_when_it_is_asked_to(backend, threads):
    """Before the next request; its run is abandoned, and nothing that is needed is gone."""
    purge(backend, 0)
    cancel = cas.Cancel()

    class Stopping(ForwardingBackend):
        def create(self, key, content):
            super().create(key, content)
            cancel.set()

    with pytest.raises(cas.Cancelled):
        collect(Stopping(backend), replace(AT_ONCE, threads=threads, cancel=cancel))

    assert list_log(backend).runs == {1: frozenset({"condemn", "verdict"})}
    assert held(backend, "data:v1") == TREES[1]
    assert collect(backend).ended_runs == (1,)
    assert_clean(backend)
