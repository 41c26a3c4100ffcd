"""Policy, repack, collection, index and log as one run, killed anywhere: the next run finishes it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from collected import (
    AT_ONCE,
    NAME,
    OPTIONS,
    assert_clean,
    copied,
    die_at,
    die_untold,
    held,
    purge,
    put,
)
from moved_blobs import ids_in, needed_by

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.version import MoveKind
from cas.model.ids import BlobId
from cas.model.names import ArtifactName
from cas.objects.collection_log import list_log
from cas.objects.collections import give_verdict, open_run
from cas.objects.id_sets import ids_of, no_ids
from cas.objects.index import list_segments
from cas.objects.versions import add_expiry, add_move, list_slots
from cas.operations.init import init_store
from cas.operations.plan_repack import RepackLimits
from cas.operations.retention import RetentionPolicy
from cas.testing.corpora import random_content
from cas.testing.fault_plan import CRASHES, CrashError, FaultPlan
from cas.testing.faulty import FaultyBackend

FULL = {b"%d" % n: random_content(n, 6000) for n in range(8)}
FEWER = {b"2": FULL[b"2"], b"5": FULL[b"5"], b"new": random_content(20, 3000)}
OVERDUE = {b"overdue": random_content(21, 5000)}
LITTLE = ArtifactName("little")
LITTLE_VERSIONS = 9
KEPT_RUNS = 1


def little(number):
    return {b"little": random_content(40 + number, 2000)}


@pytest.fixture(scope="module")
def neglected(tmp_path_factory):
    """A store that nobody looked after; copy it.

    A blob that is mostly dead; a version whose time is over, some that lay in the trash for decades;
    puts that died; runs that are done, open, and decided; many segments, some of which lead to
    blobs that go.
    """
    folder = tmp_path_factory.mktemp("neglected")
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    for tree in (FULL, FEWER, OVERDUE):
        put(backend, folder, tree)
    for number in range(LITTLE_VERSIONS):
        put(backend, folder, little(number), str(LITTLE))
    purge(backend, 0)
    add_expiry(backend, list_slots(backend, NAME), 2, 1, 0)
    for number in range(0, LITTLE_VERSIONS, 2):
        add_move(backend, LITTLE, number, 1, MoveKind.TRASH, 0)
    die_at(backend, folder, {b"dead": random_content(30, 2500)}, "create", "versions/")
    die_untold(backend, folder, {b"dead": random_content(31, 2500)})
    backend.put(keys.blob_key(BlobId(b"o" * 32)), [b"left over"])
    for run in (1, 2):
        open_run(backend, run, ids_of([b"o" * 32]))
    give_verdict(backend, 1, no_ids())
    return backend


def look_after(backend, **changes):
    """Do what `cas gc --repack --apply` does."""
    store = cas.Store.on(backend, options=OPTIONS)
    repack = cas.RepackOptions(limits=RepackLimits(live_share=0.9))
    policy = RetentionPolicy()
    options = replace(AT_ONCE, policy=policy, repack=repack, kept_runs=KEPT_RUNS, **changes)
    return store.collect_garbage(options)


def assert_whole(backend):
    """All that was not purged reads back, the trash too; nothing is changed."""
    store = cas.Store.on(copied(backend), options=OPTIONS)
    assert held(store.parts.backend, "data:v1") == FEWER
    with suppress(cas.NotFoundError):
        store.restore("data:v2")
    assert held(store.parts.backend, "data:v2") == OVERDUE
    for number in range(1, LITTLE_VERSIONS, 2):
        assert held(store.parts.backend, f"{LITTLE}:v{number}") == little(number)
    assert store.verify().is_sound


def assert_looked_after(backend):
    """Nothing is left of what nothing needs, and the log is as short as was asked for."""
    assert_whole(backend)
    assert_clean(backend)
    log = list_log(backend)
    assert log.newest - log.floor <= KEPT_RUNS
    assert len(list_segments(backend)) < 8
    store = cas.Store.on(backend, options=OPTIONS)
    states = {one.number: one.state for one in store.versions("data", include_hidden=True)}
    assert (states[0], states[1], states[2]) == ("purged", "live", "trashed")
    assert {one.number for one in store.versions(str(LITTLE))} == {1, 3, 5, 7}
    assert store.plan_repack(cas.RepackOptions(limits=RepackLimits(live_share=0.9))).is_empty


def test_one_run_looks_after_everything(neglected):
    """Emptied, expired, purged, settled, deleted, merged, forgotten."""
    backend = copied(neglected)

    outcome = look_after(backend)

    assert_looked_after(backend)
    assert outcome.repacked.revised
    assert outcome.moved.purged
    assert outcome.moved.trashed
    assert outcome.settled
    assert outcome.ended_runs == (1, 2)
    assert outcome.floor > 0


@pytest.mark.timeout(1800)  # a minute of CPU for every operation, on a busy machine five
@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", CRASHES)
def test_killed_at_any_operation_it_is_finished_by_the_next_run(neglected, fault, step):
    """Nothing that is kept is lost, and the garbage of both is gone."""
    watching = FaultyBackend(copied(neglected))
    look_after(watching)
    for number in range(1, watching.operations + 1, step):
        backend = copied(neglected)
        with suppress(CrashError):
            look_after(FaultyBackend(backend).fail_at(number, fault))
        assert_whole(backend)

        look_after(backend)

        assert_looked_after(backend)


@pytest.mark.parametrize("step", [17, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", CRASHES)
def test_killed_again_and_again_it_is_finished_in_the_end(neglected, fault, step):
    """Each run dies some operations later than the one before it; what they did adds up."""
    watching = FaultyBackend(copied(neglected))
    look_after(watching)
    backend = copied(neglected)
    for number in range(1, watching.operations + 1, step):
        with suppress(CrashError):
            look_after(FaultyBackend(backend).fail_at(number, fault))
        assert_whole(backend)

    look_after(backend)

    assert_looked_after(backend)


@pytest.mark.parametrize("fault", CRASHES)
def test_the_garbage_of_a_repair_that_died_goes_with_the_next_collection(make_scene, first, fault):
    """Blobs, pages and intents of the dead one, and the blob that was damaged."""
    number, has_died = 1, True
    while has_died:
        scene, other = make_scene(), make_scene()
        scene.put(first)
        scene.store().copy("data:v0", other.store())
        key = max(scene.listed("blobs"), key=lambda one: scene.listed("blobs")[one])
        scene.truth.put(key, [scene.truth.get(key)[:-4000] + bytes(4000)])
        scene.store().verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))
        client = scene.faulty(FaultPlan().fail_at(number, fault))
        repairing = cas.RepairOptions(apply=True)
        has_died = False
        try:
            scene.store(client).repair(None, repairing, stores=[other.store()])
        except CrashError:
            has_died = True

        assert scene.store().repair(None, repairing, stores=[other.store()]).is_whole
        scene.store().collect_garbage(AT_ONCE)

        assert scene.held("data:v0") == first
        assert ids_in(scene, "blobs", "meta") == needed_by(scene)
        assert scene.listed("sessions") == {}
        number += 3
