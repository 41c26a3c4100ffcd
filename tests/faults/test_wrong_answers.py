"""A storage that answers wrongly without an error: reads cut, lengthened or changed, short listings.

specs/protocol/backend.md says which of this is survived.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

import cas
from cas.backend.fsspec_backend import FsspecBackend
from cas.format import keys
from cas.format.collection import encode_floor
from cas.format.config import StoreConfig, check_features, decode_config
from cas.format.segment import decode_segment, encode_segment
from cas.objects.collection_log import list_log
from cas.testing.corpora import random_content
from cas.testing.fault_plan import WRONG_READS, Fault, FaultPlan
from cas.testing.faulty_filesystem import FaultyFileSystem
from cas.testing.trees import read_tree

READS = {"cat_file"}
LISTINGS = {"find", "ls"}
FIELDS = [field.name for field in fields(StoreConfig)]


@pytest.fixture
def told(make_scene, first, second):
    """A store with two versions, the second one tagged."""
    scene = make_scene("object store")
    scene.put(first)
    scene.put(second)
    scene.store().tag("data:v1", ["best"])
    return scene


def get(scene, ref, store):
    target = scene.folder / f"got-{len(list(scene.folder.iterdir()))}"
    store.get(ref, target)
    return read_tree(target)


def read_one(scene, store):
    return store.version("data:v1").read("a/one.bin")


def compare(scene, store):
    return store.diff("data:v0", "data:v1").changes


def show(scene, store):
    return [(one.number, one.digest) for one in store.versions("data")]


QUESTIONS = {
    "get by number": lambda scene, store: get(scene, "data:v1", store),
    "get the latest": lambda scene, store: get(scene, "data", store),
    "get by alias": lambda scene, store: get(scene, "data:best", store),
    "read one file": read_one,
    "compare": compare,
    "show": show,
}


def attempt(act):
    """What an act answers, or the error of cas that it ends with; nothing else may come out."""
    try:
        return act(), None
    except cas.CasError as error:
        return None, error


def operations_of(scene, act, kinds):
    """The answer when nothing fails, and the numbers of the operations of some kinds."""
    plan = FaultPlan()
    answer = act(scene.store(scene.faulty(plan)))
    return answer, [one.number for one in plan.log if one.kind in kinds]


@pytest.mark.parametrize("fault", WRONG_READS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_answer_rests_on_a_wrong_read(told, question, fault):
    """Each read of each question is spoilt once: the answer is the right one or an error."""
    act = partial(QUESTIONS[question], told)
    right, numbers = operations_of(told, act, READS)
    for number in numbers:
        for seed in range(3):
            plan = FaultPlan(seed=seed).fail_at(number, fault)
            answer, error = attempt(lambda p=plan: act(told.store(told.faulty(p))))

            assert str(error) if error else answer == right

    assert numbers


@pytest.mark.parametrize("fault", WRONG_READS)
@pytest.mark.parametrize("question", sorted(QUESTIONS.keys() - {"show"}))
def test_what_is_read_wrongly_twice_is_taken_for_damage(told, question, fault):
    """The second read of the same object is spoilt as well: then it is an error, mostly."""
    act = partial(QUESTIONS[question], told)
    right, numbers = operations_of(told, act, READS)
    refused = 0
    for number in numbers:
        for seed in range(3):
            plan = FaultPlan(seed=seed).fail_at(number, fault).fail_at(number + 1, fault)
            answer, error = attempt(lambda p=plan: act(told.store(told.faulty(p))))

            assert str(error) if error else answer == right
            refused += error is not None

    assert refused > 0


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.WRONG])
@pytest.mark.parametrize("question", ["get by number", "read one file", "compare"])
def test_what_goes_wrong_on_the_way_is_no_damage(told, question, fault):
    """A range of a page or blob that is cut short or changed is read once more, and is right."""
    act = partial(QUESTIONS[question], told)
    plan = FaultPlan()
    right = act(told.store(told.faulty(plan)))
    ranges = [
        one.number for one in plan.log if one.kind in READS and re.search("/(blobs|meta)/", one.key)
    ]
    for number in ranges:
        plan = FaultPlan(seed=number).fail_at(number, fault)

        assert act(told.store(told.faulty(plan))) == right

    assert ranges


@pytest.mark.parametrize("fault", WRONG_READS)
def test_nothing_wrong_is_published_after_a_wrong_read(make_scene, first, second, fault):
    """Each read of a put that reuses most of its base is spoilt once."""

    def prepare():
        scene = make_scene("object store")
        scene.put(first)
        return scene

    scene = prepare()
    plan = FaultPlan()
    scene.put(second, scene.faulty(plan))
    numbers = [one.number for one in plan.log if one.kind in READS]
    assert len(numbers) > 3
    for number in numbers:
        scene = prepare()
        client = scene.faulty(FaultPlan(seed=number).fail_at(number, fault))
        _, error = attempt(lambda s=scene, c=client: s.put(second, c))

        assert error is None or str(error)
        assert all(scene.held(f"data:v{n}") == (second if n else first) for n in scene.live())
        assert scene.held(scene.put(second).ref) == second
        assert scene.held("data:v0") == first


def test_a_wrong_bit_of_the_configuration_is_refused_or_harmless(scene, first, second):
    """It has no checksum: what may be believed is its id, its time, or the size of new frames."""
    scene.put(first)
    content = scene.truth.get(keys.CONFIG)
    right = decode_config(content)
    believed = {}
    for bit in range(8 * len(content)):
        wrong = bytearray(content)
        wrong[bit // 8] ^= 1 << bit % 8
        config, error = attempt(lambda w=wrong: accepted(bytes(w)))
        if error is None:
            differing = {one for one in FIELDS if getattr(config, one) != getattr(right, one)}
            believed[frozenset(differing)] = bytes(wrong)

    assert set().union(*believed) == {"store_id", "created_ns", "frame_bytes"}
    for wrong in believed.values():
        scene.truth.put(keys.CONFIG, [wrong])
        assert scene.held(scene.put(second).ref) == second
        assert scene.held("data:v0") == first


def accepted(content):
    """The configuration, if this version of cas may read and write a store that has it."""
    config = decode_config(content)
    check_features(config, "read")
    check_features(config, "write")
    return config


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.SHORT])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_listing_that_fails_or_is_short_gives_no_wrong_content(
    told, first, second, question, fault
):
    """A failed listing is an error; a short one may hide what is new, never change what is read."""
    act = partial(QUESTIONS[question], told)
    right, numbers = operations_of(told, act, LISTINGS)
    for number in numbers:
        plan = FaultPlan().fail_at(number, fault)
        answer, error = attempt(lambda p=plan: act(told.store(told.faulty(p))))

        older = {"get the latest": first, "show": list(right)[1:]}
        assert str(error) if error else answer in (right, older.get(question))
        assert error or fault is Fault.SHORT


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.SHORT])
def test_a_put_that_is_not_told_of_versions_replaces_none(make_scene, first, second, fault):
    """Where a listing leaves out the newest version, its slot is found taken, read, and passed."""

    def prepare():
        scene = make_scene("object store")
        scene.put(first)
        scene.put(second)
        return scene

    scene = prepare()
    plan = FaultPlan()
    changed = second | {b"new": b"new"}
    scene.put(changed, scene.faulty(plan))
    for number in [one.number for one in plan.log if one.kind in LISTINGS]:
        scene = prepare()
        client = scene.faulty(FaultPlan().fail_at(number, fault))
        outcome, error = attempt(lambda s=scene, c=client: s.put(changed, c))
        if error:
            assert fault is not Fault.SHORT
            outcome = scene.put(changed)

        assert (outcome.number, scene.live()) == (2, [0, 1, 2])
        held = [scene.held(f"data:v{n}") for n in range(3)]
        assert held == [first, second, changed]


@pytest.mark.parametrize("kind", ["find", "ls"])
def test_moves_that_are_not_told_of_earlier_ones_replace_none(told, first, second, kind):
    """Generations of aliases and moves of versions are created, so a taken one is noticed."""
    store = told.store()
    store.tag("data:v0", ["best"])
    acts = [
        lambda store: store.tag("data:v1", ["best"]),
        lambda store: store.delete("data:v1", force=True),
        lambda store: store.restore("data:v1"),
        lambda store: store.delete("data:v1", force=True),
    ]
    for act in acts:
        for nth in (1, 2, 3):
            plan = FaultPlan().fail_nth(kind, nth, Fault.SHORT)
            before = told.listed("artifacts")
            _, error = attempt(lambda a=act, p=plan: a(told.store(told.faulty(p))))

            assert error is None or str(error)
            assert before.items() <= told.listed("artifacts").items()

    if 1 not in told.live():
        store.restore("data:v1")
    assert [told.held("data:v0"), told.held("data:v1")] == [first, second]


def test_a_run_that_one_of_two_listings_leaves_out_is_seen(tmp_path):
    """Where a listing is no snapshot the log is listed twice, and the union counts."""
    truth = FsspecBackend(LocalFileSystem(), str(tmp_path), url="test://store")
    for run in range(1, 5):
        truth.put(keys.floor_key(run), [encode_floor(run)])
    for nth in (1, 2):
        plan = FaultPlan().fail_nth("ls", nth, Fault.SHORT, key="gc")
        faulty = FaultyFileSystem(LocalFileSystem(), plan=plan)

        listing = list_log(FsspecBackend(faulty, str(tmp_path), url="test://store"))

        assert listing.floor == 4
        assert [one.fault for one in plan.log].count(Fault.SHORT) == 1


def test_an_index_that_says_wrongly_where_a_table_lies_gets_into_no_page(scene):
    """Not even where the writer has the right table in memory: readers have not."""
    tree = {b"a": random_content(1, 300_000)}
    store = scene.store()
    store.put(scene.source(tree), "data", cas.PutOptions(provenance=False))
    assert store.version("data:v0").read("a") == tree[b"a"]
    for key in scene.listed("index"):
        segment = decode_segment(scene.truth.get(key), what=key)
        moved = replace(segment, table_offsets=segment.table_offsets - np.uint32(1))
        scene.truth.put(key, [encode_segment(moved)])

    store.put(scene.source(tree, "again"), "other", cas.PutOptions(provenance=False))

    assert scene.held("other:v0") == tree
