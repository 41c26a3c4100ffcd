"""A copy between stores under faults of the target: crashes, lost replies, collections, damage."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.collection import CondemnRecord, VerdictRecord, encode_condemn, encode_verdict
from cas.format.session import decode_intent
from cas.model.ids import SessionId
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.faulty import LOSSES, CrashError, Fault, FaultyBackend
from cas.testing.trees import write_tree

PLAIN = cas.PutOptions(provenance=False)
ALIASED = cas.PutOptions(provenance=False, aliases=("best",))
ALL = cas.CopyOptions(all_versions=True)
COLLECTOR = SessionId(b"c" * 16)


@pytest.fixture(scope="module")
def trees():
    """What the two versions of the source hold."""
    first = {b"a.bin": random_content(1, 300_000), b"b.txt": b"two\n" * 200, b"tiny": b"t"}
    return first, first | {b"a.bin": random_content(2, 300_000), b"new": b"new" * 1000}


@pytest.fixture(scope="module")
def source(tmp_path_factory, trees):
    """A store with two versions of `data`; smaller chunks than the target's."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=16 << 10)
    store = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
    folder = tmp_path_factory.mktemp("source")
    for tree, options in zip(trees, (PLAIN, ALIASED), strict=True):
        store.put(write_tree(folder, tree), "data", options)
    return store


def copy_all(source, scene, backend=None, *, journal=False):
    """Copy both versions into the store of a scene."""
    return source.copy("data", scene.store(backend, journal=journal), ALL)


def check_whole(scene, trees):
    """Both versions are there once, in order and whole, and the alias points to the second."""
    live = scene.live()
    assert len(live) == 2
    for number, tree in zip(live, trees, strict=True):
        assert scene.held(f"data:v{number}") == tree
    assert scene.store().aliases("data") == {"best": live[1]}


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_copy_killed_at_any_operation_loses_nothing_and_can_be_run_again(
    make_scene, source, trees, fault
):
    """After every crash what is there is whole; the next copy adds what is missing, once."""
    counting = FaultyBackend((scene := make_scene()).truth)
    copy_all(source, scene, counting)
    assert counting.operations > 20
    for number in range(1, counting.operations + 1):
        scene = make_scene()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)

        with contextlib.suppress(CrashError):
            copy_all(source, scene, backend)

        for at, live in enumerate(scene.live()):
            assert scene.held(f"data:v{live}") == trees[at]
        copy_all(source, scene)
        check_whole(scene, trees)


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
def test_one_lost_reply_anywhere_never_publishes_twice_or_half(make_scene, source, trees, fault):
    """Either the copy succeeds, or it fails with an error of cas and the next one succeeds."""
    counting = FaultyBackend((scene := make_scene()).truth)
    copy_all(source, scene, counting)
    for number in range(1, counting.operations + 1):
        scene = make_scene()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)

        try:
            copy_all(source, scene, backend)
        except cas.CasError:
            backend.deliver_late()
            copy_all(source, scene)
        backend.deliver_late()

        check_whole(scene, trees)


@pytest.mark.parametrize("journal", [True, False], ids=["by its journal", "on another machine"])
def test_a_copy_that_died_before_its_slot_sends_no_blob_again(scene, source, trees, journal):
    """What is durable is found by the journal, or by the index segment that was written."""
    backend = FaultyBackend(scene.truth).fail_nth("create", 1, Fault.CRASH_BEFORE)
    with pytest.raises(CrashError):
        copy_all(source, scene, backend, journal=journal)

    first, second = copy_all(source, scene, journal=journal).versions

    assert first.new_bytes == 0
    assert (first.resumed_bytes > 0) == journal
    assert second.created
    check_whole(scene, trees)


def test_a_copy_killed_between_blobs_sends_only_the_rest(make_scene, tmp_path):
    """At every crash point, bytes counted: what the dead copy knew to be stored stays stored."""
    tree = {b"%d.bin" % n: random_content(n, 400_000) for n in range(6)}
    total = sum(map(len, tree.values()))
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    source = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
    source.put(write_tree(tmp_path / "tree", tree), "data", PLAIN)

    def copy(scene, backend):
        cache = str(scene.folder / "cache")
        options = cas.StoreOptions(jobs=2, cache_dir=cache, memory_bytes=3_000_000)
        return source.copy("data", cas.Store.on(backend, options=options))

    counting = FaultyBackend((scene := make_scene()).truth)
    copy(scene, counting)
    assert len(scene.listed("blobs")) > 2
    for number in range(1, counting.operations + 1):
        scene = make_scene()
        faulty = FaultyBackend(scene.truth).fail_at(number, Fault.CRASH_AFTER)
        with contextlib.suppress(CrashError):
            copy(scene, faulty)
        before = scene.listed("blobs")
        known = sum(
            before.get(one.key, 0)
            for one in faulty.log
            if one.kind == "put" and one.key in before and one.fault is None
        )

        copy(scene, scene.truth)

        sent = sum(scene.listed("blobs").values()) - sum(before.values())
        assert sent <= total - known + total // 100
        assert scene.held("data:v0") == tree


def test_the_intent_stands_before_the_log_is_read_and_everything_before_the_slot(scene, source):
    """W1 before W2, W0 and W2 before W3, and the intent goes only after W3; as a put does it."""
    backend = scene.recording()
    source.copy("data:v0", scene.store(backend))

    backend.check_order_of_a_commit()


def rows(ids: list[bytes]) -> np.ndarray:
    """Sorted ids as the records of collections take them."""
    return np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)


def data_blobs(truth) -> list[bytes]:
    """Ids of the data blobs there are."""
    found = (keys.parse_blob_key(one.key) for one in truth.list_objects(keys.BLOBS))
    return [blob_id.raw for blob_id in found if blob_id is not None]


def blob_keys(truth) -> list[str]:
    """Keys of the blobs there are, of both kinds."""
    return [one.key for prefix in (keys.BLOBS, keys.META) for one in truth.list_objects(prefix)]


def condemn(truth, blobs: list[str], *, finally_: bool) -> None:
    """Condemn blobs in run 1; `finally_`, with a verdict that clears none of them."""
    ids = rows([bytes.fromhex(key.rpartition("/")[2]) for key in blobs])
    truth.create(keys.condemn_key(1), encode_condemn(CondemnRecord(1, COLLECTOR, ids)))
    if finally_:
        verdict = VerdictRecord(1, rows([]), all=False)
        truth.create(keys.verdict_key(1), encode_verdict(verdict))


def final_intents(backend) -> int:
    """How often a copy told what it needs: once a try."""
    return sum(one.kind == "put" and one.key.startswith("sessions/") for one in backend.log)


@pytest.mark.parametrize("finally_", [False, True], ids=["open run", "run with a verdict"])
@pytest.mark.parametrize(
    ("ref", "options", "prefix"),
    [
        ("data:v0", cas.CopyOptions(force=True), keys.META),
        ("data:v0", cas.CopyOptions(force=True), keys.BLOBS),
        ("data:v1", cas.CopyOptions(), keys.BLOBS),
        ("data:v0", cas.CopyOptions(name="other"), keys.BLOBS),
    ],
    ids=["shared pages", "data behind shared pages", "shared files", "shared chunks"],
)
def test_what_is_condemned_before_the_log_check_is_stored_again(
    scene, source, trees, ref, options, prefix, finally_
):
    """Pages, files and chunks that the copy found in the target are killed by a collection."""
    source.copy("data:v0", scene.store())
    old = [key for key in blob_keys(scene.truth) if key.startswith(prefix)]
    backend = scene.meddling(
        "put", "sessions/", lambda: condemn(scene.truth, old, finally_=finally_)
    )

    (copied,) = source.copy(ref, scene.store(backend), options).versions

    for key in old:
        scene.truth.delete(key)
    assert final_intents(backend) == 2
    assert scene.held(copied.ref) == trees[int(ref[-1])]


@pytest.mark.parametrize("ref", ["data:v0", "data:v1"])
def test_what_an_open_run_condemns_is_not_shared_in_the_first_place(scene, source, trees, ref):
    """One try is enough: the copy looks at the runs before it shares anything."""
    source.copy("data:v0", scene.store())
    old = blob_keys(scene.truth)
    condemn(scene.truth, [key for key in old if key.startswith(keys.BLOBS)], finally_=False)
    backend = FaultyBackend(scene.truth)

    (copied,) = source.copy(ref, scene.store(backend), cas.CopyOptions(force=True)).versions

    for key in old:
        scene.truth.delete(key)
    assert final_intents(backend) == 1
    assert scene.held(copied.ref) == trees[int(ref[-1])]


def test_a_long_copy_tells_what_it_stored_so_far(scene, tmp_path):
    """By plain intents and index segments on the way, so that another machine can go on."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=16 << 10)
    source = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
    tree = {b"%d.bin" % n: random_content(n, 300_000) for n in range(12)}
    source.put(write_tree(tmp_path / "tree", tree), "data", PLAIN)
    faulty = FaultyBackend(scene.truth)
    options = cas.StoreOptions(jobs=2, journal=False, memory_bytes=300_000)

    source.copy("data", cas.Store.on(faulty, options=options))

    assert len(scene.listed("blobs")) > 32
    assert final_intents(faulty) >= 3
    assert len(scene.listed("index")) >= 3
    assert scene.listed("sessions") == {}
    assert scene.held("data:v0") == tree


def test_the_final_intent_names_every_blob_and_the_slot(scene, source):
    """Seen by whoever looks just before the slot is taken."""
    seen = []

    def look():
        seen.extend(
            decode_intent(scene.truth.get(key), what=key) for key in scene.listed("sessions")
        )

    source.copy("data:v0", scene.store(scene.meddling("create", "versions/", look)))

    (intent,) = seen
    assert (intent.final, intent.artifact, intent.slot) == (True, "data", 0)
    assert intent.blob_ids == b"".join(sorted(data_blobs(scene.truth)))


def test_a_source_that_goes_away_leaves_no_version(scene, source, trees):
    """Every read of the source fails once; the target has whole versions or none, then both."""
    counting = FaultyBackend(source.parts.backend)
    opened = cas.Store.on(counting, options=cas.StoreOptions(jobs=2, journal=False))
    opened.plan_copy("data", scene.store(), ALL)
    count = counting.operations + 4
    for number in range(2, count):
        backend = FaultyBackend(source.parts.backend).fail_at(number, Fault.FAIL_BEFORE)
        reading = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
        with contextlib.suppress(cas.BackendError):
            copy_all(reading, scene)
        for at, live in enumerate(scene.live()):
            assert scene.held(f"data:v{live}") == trees[at]
    copy_all(source, scene)
    check_whole(scene, trees)
