"""A repair may die at any instant, or meet a store mangled in any way: nothing is ever lost by it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.testing.corpora import random_content, text_content
from cas.testing.fault_plan import CRASHES, CrashError, FaultPlan
from cas.testing.trees import write_tree

DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
SMALL = {b"a/big": random_content(1, 150_000), b"a/text": text_content(2, 30_000), b"tiny": b"t"}
NEXT = SMALL | {b"a/text": text_content(3, 30_000)}
OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)
HINTS = ("gc/damage-", "verify/")


def objects_of(backend):
    return {one.key: backend.get(one.key) for one in backend.list_objects("")}


def damaged(make_scene):
    """A scene with two versions that share a damaged blob and lost a segment, and a copy of it."""
    scene, other = make_scene(), make_scene()
    for tree in (SMALL, NEXT):
        scene.put(tree)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    listed = scene.listed("blobs")
    key = max(listed, key=lambda one: listed[one])
    content = bytearray(scene.truth.get(key))
    content[len(content) // 2] ^= 1
    scene.truth.put(key, [bytes(content)])
    scene.truth.delete(next(iter(scene.listed("index"))))
    scene.store().verify(None, DATA)
    return scene, other


@pytest.mark.parametrize("fault", CRASHES)
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_repair_killed_at_any_operation_is_finished_by_the_next(make_scene, fault, step):
    """After every crash nothing that was stored is gone, and the next run makes all whole."""
    options = cas.RepairOptions(apply=True)
    scene, other = damaged(make_scene)
    plan = FaultPlan()
    scene.store(scene.faulty(plan)).repair(None, options, stores=[other.store()])
    count = plan.operations
    assert count > 20
    # All writes are towards the end; of the many reads before them some are enough.
    for number in [*range(1, count // 2, 13), *range(count // 2, count + 1, step)]:
        scene, other = damaged(make_scene)
        before = objects_of(scene.truth)
        client = scene.faulty(FaultPlan().fail_at(number, fault))
        try:
            scene.store(client).repair(None, options, stores=[other.store()])
        except CrashError:
            pass
        after = objects_of(scene.truth)
        assert all(after[key] == before[key] for key in before if not key.startswith(HINTS))

        outcome = scene.store().repair(None, options, stores=[other.store()])

        assert outcome.is_whole
        assert (scene.held("data:v0"), scene.held("data:v1")) == (SMALL, NEXT)
        assert scene.store().verify(None, DATA).is_sound


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Every object of a store with two versions, and a folder with what they hold."""
    folder = tmp_path_factory.mktemp("sound")
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=16 << 10)
    store = cas.Store.on(backend, options=OPTIONS)
    for number, tree in enumerate((SMALL, NEXT)):
        store.put(write_tree(folder / f"v{number}", tree), "data", PLAIN)
    store.tag("data:v0", ["best"])
    return Sound(objects_of(backend), folder)


class Sound(NamedTuple):
    """The objects of a store, and where its sources are. Too many bytes to be shown."""

    objects: dict[str, bytes]
    folder: Path

    def __repr__(self) -> str:
        return "<sound>"


def mangle(objects, seed):
    """Flip, cut, delete and swap some objects, whatever they are but for `cas.json`."""
    chance = random.Random(seed)
    mangled = dict(objects)
    keys = sorted(key for key in objects if key != "cas.json")
    for key in chance.sample(keys, chance.randint(1, 4)):
        content = bytearray(mangled.get(key, b""))
        how = chance.choice(("flip", "flip", "cut", "delete", "grow", "swap", "garbage"))
        if how == "flip" and content:
            for _ in range(chance.randint(1, 5)):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        elif how == "cut":
            del content[chance.randrange(len(content) + 1) :]
        elif how == "grow":
            content += b"more"
        elif how == "swap":
            content = bytearray(objects[chance.choice(keys)])
        elif how == "garbage":
            content = bytearray(chance.randbytes(200))
        mangled[key] = bytes(content)
        if how == "delete":
            del mangled[key]
    return mangled


def store_of(objects):
    backend = MemoryBackend()
    for key, content in objects.items():
        backend.put(key, [content])
    return backend, cas.Store.on(backend, options=OPTIONS)


def try_read(store, ref):
    """Return what a version holds, file by file, None for what cannot be read."""
    try:
        version = store.version(ref)
        return {path: _try(lambda path=path: version.read(path)) for path in version}
    except (cas.CorruptionError, cas.NotFoundError, cas.UnsupportedError):
        return {}


def _try(read):
    try:
        return read()
    except (cas.CorruptionError, cas.UnsupportedError):
        return None


@pytest.mark.parametrize("helped", [False, True], ids=["alone", "with the files"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_repair_of_a_mangled_store_removes_nothing_and_never_publishes_wrong_bytes(
    sound, helped, seed
):
    """Whatever the damage: objects stay, what could be read can be, and what is read is right."""
    objects, folder = sound
    backend, store = store_of(mangle(objects, seed))
    before = objects_of(backend)
    readable = {ref: try_read(store, ref) for ref in ("data:v0", "data:v1")}
    paths = (str(folder / "v0"), str(folder / "v1")) if helped else ()
    try:
        cas.Store.on(backend, options=OPTIONS).verify(None, DATA)
        cas.Store.on(backend, options=OPTIONS).repair(
            None, cas.RepairOptions(paths=paths, apply=True)
        )
    except (cas.CorruptionError, cas.UnsupportedError, cas.NotFoundError):
        pass  # said, and nothing done
    after = objects_of(backend)

    assert all(after[key] == before[key] for key in before if not key.startswith(HINTS))
    fresh = cas.Store.on(backend, options=OPTIONS)
    for ref, tree in (("data:v0", SMALL), ("data:v1", NEXT)):
        now = try_read(fresh, ref)
        for path, content in now.items():
            assert content is None or content == tree[path.encode()]
        for path, content in readable[ref].items():
            assert content is None or now.get(path) == content


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_what_a_repair_with_all_files_calls_whole_is_whole(sound, seed):
    """Its answer can be relied on."""
    objects, folder = sound
    backend, store = store_of(mangle(objects, seed))
    paths = (str(folder / "v0"), str(folder / "v1"))
    store.verify(None, DATA)

    outcome = cas.Store.on(backend, options=OPTIONS).repair(
        None, cas.RepairOptions(paths=paths, apply=True)
    )

    if outcome.is_whole and not outcome.unread:
        again = cas.Store.on(backend, options=OPTIONS).verify(None, DATA)
        assert [one for one in again.problems if not one.is_harmless] == []
