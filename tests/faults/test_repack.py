"""Repacking a store, and whatever may happen meanwhile. Spec: specs/protocol/repack.md."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from moved_blobs import collect, ids_in, needed_by

import cas
from cas.environment import SystemClock
from cas.format import keys
from cas.format.blob import decode_tail, decode_trailer
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_verdict,
)
from cas.format.session import decode_intent
from cas.format.version import MoveKind
from cas.model.ids import BlobId, SessionId
from cas.model.names import ArtifactName
from cas.objects.versions import add_move
from cas.operations.plan_repack import RepackLimits
from cas.operations.put import put
from cas.operations.repack import RepackOptions, plan_repack, repack
from cas.testing.corpora import random_content, text_content
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import Tree, read_tree

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)
SLOW_FAULTS = [
    pytest.param(fault, marks=pytest.mark.slow) for fault in (Fault.FAIL_BEFORE, Fault.FAIL_AFTER)
]

FULL: Tree = {b"%02d.bin" % number: random_content(number, 90_000) for number in range(12)}
FULL[b"99.txt"] = text_content(1, 60_000)
FULL[b"tiny"] = b"t"
# What stays of it: pieces from all over one blob.
FEWER: Tree = {path: FULL[path] for path in (b"03.bin", b"07.bin", b"99.txt", b"tiny")}
FEWEST: Tree = FEWER | {b"07.bin": random_content(40, 1000)}


def purge(scene, number):
    add_move(scene.truth, NAME, number, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, number, 2, MoveKind.PURGE, 0)


# The objects of a store with two versions, the newer one in the trash, of a blob that is mostly dead.
FILLED: dict[str, bytes] = {}


def fill(scene):
    for tree in (FULL, FEWER, FEWEST):
        scene.put(tree)
    scene.store().delete("data:v2")
    purge(scene, 0)
    FILLED.update({key: scene.truth.get(key) for key in scene.listed("")})


@pytest.fixture
def make_filled(make_scene):
    """Make as many copies of that store as a test needs."""

    def make():
        scene = make_scene()
        if not FILLED:
            fill(scene)
        for key, content in FILLED.items():
            scene.truth.put(key, [content])
        return scene

    return make


@pytest.fixture
def scene(make_filled):
    """One such store."""
    return make_filled()


@pytest.fixture
def empty(make_scene):
    """A store without any version."""
    return make_scene()


def assert_whole(scene):
    assert scene.held("data:v1") == FEWER
    if 2 not in scene.live():
        scene.store().restore("data:v2")
    assert scene.held("data:v2") == FEWEST


def run(scene, backend=None, **limits):
    return repack(scene.store(backend).parts, RepackOptions(limits=RepackLimits(**limits)))


def plan(scene, **limits):
    return plan_repack(scene.store().parts, RepackOptions(limits=RepackLimits(**limits)))


def used(scene):
    return sum(scene.listed("blobs").values())


def table_of(scene, key):
    content = scene.truth.get(key)
    offset, _, _ = decode_trailer(content, what=key)
    blob_id = keys.parse_blob_key(key)
    return decode_tail(content[offset:], blob_id, blob_size=len(content), table_offset=offset)


def test_a_blob_that_is_mostly_dead_is_emptied(scene):
    """Every version that named it reads the same from new places, the trash included."""
    planned = plan(scene)
    collect(scene)
    before = used(scene)
    old = needed_by(scene)

    outcome = run(scene)
    collect(scene)

    assert (len(planned.data), planned.versions) == (1, 2)
    assert (outcome.plan, outcome.revised, outcome.is_complete) == (planned, 2, True)
    emptied = {one.blob_id for one in planned.data}
    assert emptied <= old
    assert not emptied & needed_by(scene)
    assert_whole(scene)
    assert abs(before - used(scene) - planned.freed_bytes) < 20_000
    assert scene.listed("sessions") == {}


def test_what_was_repacked_is_not_repacked_again(scene):
    """Otherwise a nightly repack would copy for ever."""
    run(scene)
    collect(scene)
    before = scene.listed("")

    outcome = run(scene)

    assert outcome.plan.is_empty
    assert (outcome.new_bytes, outcome.sent_bytes, outcome.revisions) == (0, 0, ())
    assert scene.listed("") == before


def test_tiny_blobs_that_are_live_are_left_alone(empty):
    """Heads and tables take more than such chunks; that does not make the blob dead."""
    empty.put({b"a": b"x" * 300})
    empty.put({b"a": b"x" * 300, b"b": b"y" * 300})

    assert plan(empty, live_share=1.0).data == ()
    assert plan(empty).is_empty


def test_a_plan_writes_nothing(scene):
    """It only says what a repack would do."""
    before = scene.listed("")

    assert not plan(scene).is_empty
    assert scene.listed("") == before


def test_live_chunks_are_laid_out_in_the_order_of_paths(scene):
    """Each once, though two versions name them: what is read together lies together."""
    (old,) = plan(scene).data
    before = set(scene.listed("blobs"))

    run(scene)

    (key,) = set(scene.listed("blobs")) - before
    moved = [row.tobytes() for row in table_of(scene, key).chunk_ids]
    whole = table_of(scene, keys.blob_key(BlobId(old.blob_id)))
    assert len(set(moved)) == len(moved)
    assert set(moved) < {row.tobytes() for row in whole.chunk_ids}
    # The newest version first, then what only older ones have.
    scene.store().restore("data:v2")
    ends = [chunks_in(scene, "data:v2", path, key) for path in ("03.bin", "99.txt")]
    ends.append(chunks_in(scene, "data:v1", "07.bin", key))
    assert [row for rows in ends for row in rows] == list(range(len(moved)))


def chunks_in(scene, ref, path, key):
    """Return which chunks of a blob a file consists of."""
    page, row = scene.store().version(ref)._pages.find(path.encode())
    found = []
    for at in range(*page.extent_starts[row : row + 2].tolist()):
        assert page.blob_ids[page.extent_blobs[at]].tobytes() == keys.parse_blob_key(key).raw
        first = int(page.extent_first[at])
        found += range(first, first + int(page.extent_chunks[at]))
    return found


def test_whole_frames_go_as_they_are(empty):
    """A frame of which all chunks live is copied with its payload, not compressed again."""
    tree = {b"a.txt": text_content(3, 300_000), b"b.bin": random_content(5, 2_000_000)}
    empty.put(tree)
    empty.put({b"a.txt": tree[b"a.txt"]})
    purge(empty, 0)
    (old,) = empty.listed("blobs")

    run(empty)

    (new,) = set(empty.listed("blobs")) - {old}
    first, second = table_of(empty, old), table_of(empty, new)
    assert first.frame_stored[0] == second.frame_stored[0]
    start, length = int(first.frame_offsets[0]), int(first.frame_stored[0])
    assert empty.truth.get(old, start, start + length) == empty.truth.get(
        new, start, start + length
    )
    assert empty.held("data:v1") == {b"a.txt": tree[b"a.txt"]}


def test_a_damaged_blob_is_left_where_it_is(empty):
    """The others are emptied; what cannot be verified is never copied, and it is said."""
    empty.put(FULL)
    other = {b"x%02d" % number: random_content(60 + number, 90_000) for number in range(6)}
    empty.put(FULL | other)
    kept = FEWER | {b"x03": other[b"x03"]}
    empty.put(kept)
    purge(empty, 0)
    purge(empty, 1)
    chosen = plan(empty).data
    (bad,) = [one for one in chosen if one.blob_id not in blobs_of(empty, b"03.bin")]
    key = keys.blob_key(BlobId(bad.blob_id))
    content = bytearray(empty.truth.get(key))
    at = content.index(other[b"x03"][:64])
    content[at] ^= 1
    empty.truth.put(key, [bytes(content)])

    outcome = run(empty)

    assert len(chosen) == 2
    assert [one.blob_id for one in outcome.plan.data] == [
        one.blob_id for one in chosen if one is not bad
    ]
    assert key in outcome.problems[0]
    assert not outcome.is_complete
    collect(empty)
    version = empty.store().version("data:v2")
    assert version.read("03.bin") == FULL[b"03.bin"]
    with pytest.raises(cas.CorruptionError):
        version.read("x03")


def blobs_of(scene, path):
    version = scene.store().version("data")
    page, row = version._pages.find(path)
    start, stop = page.extent_starts[row : row + 2].tolist()
    return {page.blob_ids[blob].tobytes() for blob in page.extent_blobs[start:stop]}


# -- failures


def collect_for_real(scene):
    """Collect, taking every session for dead and no blob for young."""
    options = cas.CollectOptions(
        grace_seconds=0, overrides=frozenset(cas.BrakeKind), policy=None, threads=1
    )
    return scene.store().collect_garbage(options)


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


def test_a_repack_that_died_between_two_versions_stores_nothing_again(scene):
    """The next one finds the chunks by the dead one's index segment."""
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


class Between(FaultyBackend):
    """Lets somebody else act just before the operation of a number."""

    def __init__(self, backend, number, act):
        super().__init__(backend)
        self._left = number
        self._act = act

    def _begin(self, kind, key):
        self._left -= 1
        if self._left == 0:
            self._act()
        return super()._begin(kind, key)


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
        backend = Between(scene.truth, number, lambda scene=scene: acts[actor](scene))

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
        backend = Between(scene.truth, number, lambda scene=scene: repack_and_collect(scene))

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
        backend = Between(scene.truth, number, lambda scene=scene: repack_and_collect(scene))

        scene.store(backend).get("data:v1", scene.folder / "out")

        assert read_tree(scene.folder / "out") == FEWER
        if backend._left > 0:
            break
        reached += 1
    assert reached > 5


# -- readers and writers afterwards


def test_an_open_version_reads_on_through_a_repack(scene):
    """Old places are gone; the reader finds the new ones by itself."""
    version = scene.store().version("data:v1")
    with version.open("03.bin") as file:
        head = file.read(10)
        run(scene)
        collect(scene)

        assert head + file.read() == FULL[b"03.bin"]
    assert version.read("07.bin") == FULL[b"07.bin"]


@pytest.mark.parametrize("seen", ["meta/", "blobs/"], ids=["pages", "blobs"])
def test_a_get_goes_on_through_a_repack(scene, seen):
    """It plans again with the newest revision."""

    def act():
        run(scene)
        collect(scene)

    scene.store(scene.meddling("get", seen, act)).get("data:v1", scene.folder / "out")

    assert read_tree(scene.folder / "out") == FEWER


class Later(SystemClock):
    """The files of a test are older than the two seconds in which a journal trusts no time."""

    def now_ns(self):
        return super().now_ns() + 10**10


def put_later(scene, source):
    parts = replace(scene.store(journal=True).parts, clock=Later())
    return put(parts, str(source), NAME, PLAIN)


@pytest.mark.parametrize("remembers", [True, False], ids=["journal", "no journal"])
def test_a_put_after_a_repack_builds_on_the_new_places(empty, remembers):
    """What the writer remembers of old places is not used: the old blobs stay dead."""
    source = empty.source(FULL)
    put_later(empty, source)
    empty.source(FEWER)
    put_later(empty, source)
    purge(empty, 0)
    emptied = {one.blob_id for one in plan(empty).data}
    run(empty)
    if not remembers:
        shutil.rmtree(empty.folder / "cache")

    empty.source(FEWER | {b"new": b"n" * 1000})
    outcome = put_later(empty, source)

    assert outcome.new_bytes == 1000
    assert outcome.read_files == (1 if remembers else 5)
    assert not emptied & needed_by(empty)
    collect(empty)
    assert empty.held(outcome.ref) == FEWER | {b"new": b"n" * 1000}
    assert empty.held("data:v1") == FEWER


def test_a_journal_whose_blobs_are_gone_is_led_to_what_another_machine_published(empty):
    """The log check finds them; the files that did not change are neither read nor sent again."""
    source = empty.source(FULL)
    put_later(empty, source)
    empty.source(FEWER)
    put_later(empty, source)
    purge(empty, 0)
    run(empty)
    other = FEWER | {b"other": b"o" * 1000}
    empty.store().put(empty.source(other, "other"), "data", PLAIN)
    collect_for_real(empty)

    empty.source(FEWER | {b"new": b"n" * 1000})
    outcome = put_later(empty, source)

    # The new file itself was stored by the try that the log check stopped.
    assert (outcome.number, outcome.new_bytes, outcome.read_files) == (3, 0, 1)
    collect_for_real(empty)
    assert empty.held("data:v3") == FEWER | {b"new": b"n" * 1000}
    assert empty.held("data:v2") == other
