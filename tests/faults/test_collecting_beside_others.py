"""A real collector beside real writers, readers and other collectors, one acting between any two
steps of the other.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from collected import (
    AT_ONCE,
    OPTIONS,
    TREES,
    Interrupted,
    SlowPut,
    TwiceInterrupted,
    assert_clean,
    assert_whole,
    collect,
    copied,
    die_at,
    held,
    littered,
    purge,
    put,
)

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.objects.collection_log import list_log
from cas.objects.collections import give_verdict, open_run, put_done, put_floor
from cas.objects.id_sets import ids_of, no_ids, sort_ids
from cas.operations.init import init_store
from cas.testing.fault_plan import CrashError, Fault
from cas.testing.faulty import FaultyBackend


@pytest.fixture(scope="module")
def litter(tmp_path_factory):
    """A store with every kind of garbage; copy it."""
    return littered(tmp_path_factory.mktemp("litter"))


@pytest.fixture
def purged(tmp_path):
    """A store of v0, just purged and not collected: all its blobs can still be shared."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    put(backend, tmp_path, TREES[0])
    purge(backend, 0)
    return backend


def count(act, backend):
    """How many operations something takes."""
    counting = FaultyBackend(backend)
    act(counting)
    return counting.operations


def test_a_put_between_any_two_steps_of_a_collection_stays_whole(litter, tmp_path):
    """It puts what v0 held, which the collection is about to delete or has deleted."""
    puts = []

    def put_again(backend):
        puts.append(put(backend, tmp_path, TREES[0]))

    total = count(collect, copied(litter))
    for number in range(1, total + 1):
        backend = copied(litter)
        collect(Interrupted(backend, number, put_again))

        ref = puts[-1].ref
        assert held(backend, ref) == TREES[0]
        collect(backend)
        assert held(backend, ref) == TREES[0]
        assert_whole(backend)
        assert_clean(backend)


@pytest.mark.parametrize("name", ["data", "other"])
def test_a_collection_between_any_two_steps_of_a_put_harms_nothing(purged, tmp_path, name):
    """The put shares what it finds, is condemned, settled or too late, and ends whole."""
    total = count(lambda backend: put(backend, tmp_path, TREES[0], name), copied(purged))
    for number in range(1, total + 1):
        backend = copied(purged)

        outcome = put(Interrupted(backend, number, collect), tmp_path, TREES[0], name)

        assert held(backend, outcome.ref) == TREES[0]
        collect(backend)
        assert held(backend, outcome.ref) == TREES[0]
        assert_clean(backend)


def test_half_a_collection_before_a_put_and_the_rest_between_its_steps(purged, tmp_path):
    """A run that was open when the put began is ended by another collector meanwhile."""
    total = count(collect, copied(purged))
    for number in range(1, total + 1, 3):
        half = copied(purged)
        with pytest.raises(CrashError):
            collect(FaultyBackend(half).fail_at(number, Fault.CRASH_AFTER))
        steps = count(lambda backend: put(backend, tmp_path, TREES[0]), copied(half))
        for step in range(1, steps + 1, 3):
            backend = copied(half)

            outcome = put(Interrupted(backend, step, collect), tmp_path, TREES[0])

            assert held(backend, outcome.ref) == TREES[0]


def test_two_collections_at_once_do_the_work_of_one(litter):
    """One begins and ends between any two steps of the other, and ends its run for it, too."""
    total = count(collect, copied(litter))
    for number in range(1, total + 1):
        backend = copied(litter)

        collect(Interrupted(backend, number, collect))

        assert_whole(backend)
        collect(backend)
        assert_whole(backend)
        assert_clean(backend)


def test_a_writer_that_is_taken_for_dead_publishes_under_another_id(purged, tmp_path):
    """Its slot is void: it goes on in the next one, and its version is whole."""
    fenced = []

    def fence(backend):
        fenced.extend(collect(backend).voided)

    total = count(lambda to: put(to, tmp_path, TREES[1]), copied(purged))
    for number in range(1, total + 1):
        backend = copied(purged)
        outcome = put(Interrupted(backend, number, fence), tmp_path, TREES[1])
        assert held(backend, outcome.ref) == TREES[1]

    assert "data:v1" in fenced


def test_a_stale_journal_leads_to_nothing_that_was_collected(tmp_path):
    """Collected, and the log expired: what a machine remembers from before is below the floor."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    options = replace(OPTIONS, journal=True, cache_dir=str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    for path, content in TREES[0].items():
        (source / path.decode()).write_bytes(content)
    store = cas.Store.on(backend, options=options)
    store.put(source, "data", cas.PutOptions(provenance=False))
    purge(backend, 0)
    assert collect(backend).floor == 1

    outcome = store.put(source, "data", cas.PutOptions(provenance=False))

    assert held(backend, outcome.ref) == TREES[0]
    assert_clean(backend)


def test_a_dead_put_is_resumed_after_its_session_was_ended(tmp_path):
    """The journal knows its blobs; those that are gone are stored again."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    die_at(backend, tmp_path, TREES[0], "create", "versions/")
    assert collect(backend).voided == ("data:v0",)

    outcome = put(backend, tmp_path, TREES[0])

    assert outcome.ref == "data:v1"
    assert held(backend, "data:v1") == TREES[0]


def test_who_stored_something_lately_is_left_in_peace(litter):
    """With the usual grace no session is ended, and what they announced stays."""
    backend = copied(litter)

    outcome = collect(backend, replace(AT_ONCE, grace_seconds=3600))

    assert outcome.settled == ()
    assert outcome.plan.live_sessions == 2
    assert outcome.plan.announced.blobs > 0
    assert len(list(backend.list_objects("sessions"))) == 2


@pytest.mark.parametrize("grace", [0, 3600], ids=["taken for dead", "taken for alive"])
def test_a_put_that_checked_the_log_before_and_publishes_during_a_collection(
    purged, tmp_path, grace
):
    """It shares what is condemned a moment later; begun and ended between any two steps."""
    options = replace(AT_ONCE, grace_seconds=grace)
    watching = FaultyBackend(copied(purged))
    collect(watching, options)
    begins = {one.number: 1 for one in watching.log if one.key.endswith(".condemn")}
    begins |= {one.number: 5 for one in watching.log if one.key == "sessions"}
    for begin, step in begins.items():
        for end in range(begin + 1, watching.operations + 6, step):
            backend = copied(purged)
            slow = SlowPut(tmp_path, TREES[0])
            client = TwiceInterrupted(backend, {begin: slow.begin, end: slow.end})

            collect(client, options)
            client.finish()

            assert held(backend, slow.outcome.ref) == TREES[0]
            collect(backend)
            assert held(backend, slow.outcome.ref) == TREES[0]
            assert_clean(backend)


@pytest.mark.parametrize("has_expired", [False, True], ids=["on record", "expired"])
def test_a_collector_whose_run_was_abandoned_deletes_nothing(purged, tmp_path, has_expired):
    """Somebody else cleared its candidates and a put shares them before it gives its verdict."""
    shared = []

    def overtake(backend):
        give_verdict(backend, 1, None)
        put_done(backend, 1)
        if has_expired:
            put_floor(backend, 1)
            for kind in (keys.condemn_key, keys.verdict_key, keys.done_key):
                backend.delete(kind(1))
        shared.append(put(backend, tmp_path, TREES[0]))

    watching = FaultyBackend(copied(purged))
    collect(watching)
    verdict = next(one.number for one in watching.log if one.key == keys.verdict_key(1))

    outcome = collect(Interrupted(purged, verdict, overtake))

    assert shared[0].new_bytes == 0 or has_expired
    assert outcome.deleted.blobs == 0
    assert held(purged, shared[0].ref) == TREES[0]


def test_a_version_about_to_be_purged_is_restored_between_any_two_steps(tmp_path):
    """It is whole if it was, and all that it needed is gone if the purge was faster."""
    truth = MemoryBackend()
    init_store(truth, SystemClock(), chunk_average=4 << 10)
    put(truth, tmp_path, TREES[0])
    cas.Store.on(truth, options=OPTIONS).delete("data:v0")
    options = replace(AT_ONCE, policy=cas.RetentionPolicy(trash_keep_ns=0))
    seen = set()

    def restore(backend):
        with suppress(cas.NotFoundError):
            cas.Store.on(backend, options=OPTIONS).restore("data:v0")

    for number in range(1, count(lambda b: collect(b, options), copied(truth)) + 1):
        backend = copied(truth)
        collect(Interrupted(backend, number, restore), options)
        is_back = bool(cas.Store.on(backend, options=OPTIONS).versions("data"))
        seen.add(is_back)
        if is_back:
            assert held(backend, "data:v0") == TREES[0]
        assert_clean(backend)

    assert seen == {True, False}


def test_a_run_that_expires_while_another_collector_would_finish_it_deletes_nothing(
    purged, tmp_path
):
    """It was abandoned, its blobs are shared again, and its records go; then its slow owner gives
    the verdict that it had in mind, on the empty key, before the other collector reads that.
    """
    log = list_log(purged)
    blobs = [one.key for folder in (keys.BLOBS, keys.META) for one in purged.list_objects(folder)]
    run = open_run(purged, log.newest + 1, sort_ids(ids_of(id_in(key) for key in blobs)))
    give_verdict(purged, run, None)
    shared = put(purged, tmp_path, TREES[0])

    def expire(backend):
        put_floor(backend, run)
        backend.delete(keys.verdict_key(run))
        give_verdict(backend, run, no_ids())  # the condemn record is about to be deleted, too

    watching = FaultyBackend(copied(purged))
    collect(watching)
    verdict = next(one.number for one in watching.log if one.key == keys.verdict_key(run))

    collect(Interrupted(purged, verdict, expire))

    assert shared.new_bytes == 0
    assert held(purged, shared.ref) == TREES[0]


def id_in(key: str) -> bytes:
    """The id of the blob under a key."""
    blob_id = keys.parse_blob_key(key)
    assert blob_id is not None
    return blob_id.raw
