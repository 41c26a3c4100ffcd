"""Verification finds whatever is wrong with any object, names it, and changes nothing that counts."""

from __future__ import annotations

import pytest
from memory_stores import open_on
from stored_objects import (
    Objects,
    backend_of,
    flipped,
    objects_of,
    places,
    shortened,
    store_of,
    three_versions,
)

import cas
from cas.backend.memory import MemoryBackend
from cas.errors import BackendError
from cas.format import keys
from cas.model.progress import Cancel, Cancelled

WHOLE = cas.VerifyOptions(level=cas.VerifyLevel.DATA, remember=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Objects:
    """Every object of a store with three versions, aliases, expiries, a deletion and results."""
    store = three_versions(tmp_path_factory.mktemp("sound"))
    store.tag("data:v1", ["best"])
    store.set_ttl("data:v0", "30d")
    store.set_ttl("data:v0", "never")
    store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA))
    return objects_of(store.parts.backend)


def verify(objects: Objects, options: cas.VerifyOptions = WHOLE) -> cas.VerifyOutcome:
    """Verify the store of these objects."""
    return store_of(objects).verify(None, options)


def content_of(objects: Objects) -> dict[str, dict[str, bytes]]:
    """Read all that a store holds."""
    store = store_of(objects)
    versions = {number: store.version(f"data:v{number}") for number in (0, 1)}
    return {
        one.ref: {path: one.read(path) for path in one if path != "zeros"}
        for one in versions.values()
    }


@pytest.mark.parametrize("level", list(cas.VerifyLevel))
def test_a_sound_store_has_no_problems(sound, level):
    """On every level, and everything was looked at."""
    outcome = verify(sound, cas.VerifyOptions(level=level, remember=False))

    blobs = [key for key in sound if key.startswith(("blobs/", "meta/"))]
    assert (outcome.problems, outcome.unread) == ((), ())
    assert (outcome.versions, outcome.blobs) == (3, len(blobs))
    assert outcome.blob_bytes == sum(len(sound[key]) for key in blobs)
    assert outcome.read_tables == (len(blobs) if level == "tables" else 0)
    assert outcome.read_blobs == (len(blobs) if level == "data" else 0)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_found_and_the_object_named(sound):
    """Every kind of object; a bit that changes nothing of what is stored may pass."""
    found = silent = 0
    for key, content in sound.items():
        if key == keys.CONFIG:
            continue
        for at in places(content, 24, 8):
            damaged = sound | {key: flipped(content, at, at % 8)}
            outcome = verify(damaged)
            if any(one.key == key for one in outcome.problems) or outcome.unread:
                found += 1
                continue
            silent += 1
            # Bits that zstd does not look at, and hints without a checksum.
            assert key.startswith(("blobs/", "meta/", "index/"))
            assert content_of(damaged) == content_of(sound)

    assert found + silent > 300
    assert silent < (found + silent) // 4


@pytest.mark.parametrize("level", list(cas.VerifyLevel))
@pytest.mark.parametrize("keep", [0, 10, 0.5, -1], ids=str)
def test_a_truncated_object_is_found_without_reading_data(sound, keep, level):
    """Sizes are compared, records decoded."""
    for key, content in sound.items():
        if key == keys.CONFIG:
            continue
        cut = sound | {key: shortened(content, keep)}
        outcome = verify(cut, cas.VerifyOptions(level=level, remember=False))
        assert key in [one.key for one in outcome.problems]


def test_a_missing_object_is_found(sound):
    """Unless it is a hint, or the newest of its kind, of which nobody can know."""
    untold = {keys.CONFIG}
    for key in sound:
        if key.startswith(("index/", "sessions/", "verify/", "gc/")):
            untold.add(key)
        if key.endswith((".m0001", ".e0002", "best/00000001")):
            untold.add(key)
    for key in sound.keys() - untold:
        left = {other: content for other, content in sound.items() if other != key}
        found = [one.key for one in verify(left, cas.VerifyOptions(remember=False)).problems]
        assert key in found, key


def test_swapped_objects_are_found(sound):
    """Two objects of one kind in each other's place."""
    for folder in ("blobs/", "meta/", "artifacts/data/versions/"):
        one, other = sorted(key for key in sound if key.startswith(folder))[:2]
        found = [p.key for p in verify(sound | {one: sound[other], other: sound[one]}).problems]
        assert {one, other} & set(found)


def test_the_versions_that_damage_touches_are_named(sound):
    """A blob that two versions share, and one that only the second needs."""
    named = set()
    for key in sound:
        if key.startswith("blobs/"):
            damaged = flipped(sound[key], len(sound[key]) // 2)
            (problem,) = verify(sound | {key: damaged}).problems
            named.add(problem.versions)

    assert named == {("data:v0", "data:v1", "data:v2"), ("data:v1",)}


def test_only_what_is_asked_for_is_looked_at(sound):
    """Damage of another version is nobody's business."""
    store = store_of(sound)
    only = [
        key
        for key in sound
        if key.startswith("blobs/")
        and store.verify("data:v0", WHOLE).blobs < store.verify("data", WHOLE).blobs
    ]
    assert only
    for key in only:
        backend = backend_of({k: v for k, v in sound.items() if k != key})
        store = open_on(backend, jobs=1)
        first = store.verify("data:v0", cas.VerifyOptions(remember=False))
        second = store.verify("data:v1", cas.VerifyOptions(remember=False))
        assert not second.is_sound
        assert first.versions == second.versions == 1

    with pytest.raises(cas.NotFoundError):
        store.verify("data:v7")
    with pytest.raises(cas.NotFoundError):
        store.verify("other")


class OnceWrong(MemoryBackend):
    """Gives each object's first read a wrong byte, as a bad network might."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def get(self, key, start=0, stop=None):
        content = super().get(key, start, stop)
        if key.startswith(("blobs/", "meta/")) and key not in self.seen and len(content) > 1000:
            self.seen.add(key)
            content = content[:500] + bytes([content[500] ^ 1]) + content[501:]
        return content


def test_a_read_that_failed_once_is_no_damage(sound):
    """It is done once more before anything is concluded."""
    backend = backend_of(sound, OnceWrong())

    outcome = open_on(backend, jobs=1).verify(None, WHOLE)

    assert outcome.is_sound
    assert backend.seen


class Refusing(MemoryBackend):
    """A bucket that fails for one object, and takes nothing."""

    broken = ""

    def get(self, key, start=0, stop=None):
        if key == self.broken:
            raise BackendError(f"{key}: the disk does not answer")
        return super().get(key, start, stop)


def test_what_cannot_be_read_is_not_called_damaged(sound):
    """A request that fails concludes nothing."""
    backend = backend_of(sound, Refusing())
    backend.broken = next(key for key in sound if key.startswith("blobs/"))

    outcome = open_on(backend, jobs=1).verify(None, WHOLE)

    assert outcome.is_sound
    assert len(outcome.unread) == 1
    assert backend.broken in outcome.unread[0]


def test_small_runs_cover_everything_in_turn(sound):
    """Each takes what was read longest ago, one blob at least, and the next goes on from there."""
    backend = backend_of({k: v for k, v in sound.items() if not k.startswith("verify/")})
    options = cas.VerifyOptions(level=cas.VerifyLevel.DATA, budget_bytes=1, max_age_seconds=3600)
    total = open_on(backend, jobs=1).verify(None, options).blobs

    left = [open_on(backend, jobs=1).verify(None, options).left_blobs for _ in range(total)]

    assert left == [*range(total - 2, -1, -1), 0]


def test_no_time_reads_nothing(sound):
    """A run whose time is over when it begins to read leaves everything for the next."""
    options = cas.VerifyOptions(level=cas.VerifyLevel.DATA, seconds=0, remember=False)

    outcome = verify(sound, options)

    assert (outcome.read_blobs, outcome.left_blobs) == (0, outcome.blobs)


def test_damage_is_remembered_until_the_blob_is_whole_again(sound):
    """Restored from a backup, it is read and taken off the record."""
    backend = backend_of(sound)
    key = max((k for k in sound if k.startswith("blobs/")), key=lambda k: len(sound[k]))
    backend.put(key, [sound[key][:-1]])
    structure = cas.VerifyOptions()
    store = open_on(backend, jobs=1)
    assert not store.verify(None, structure).is_sound
    assert [one.key for one in backend.list_objects("gc")] != []

    backend.put(key, [sound[key]])
    assert store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA)).is_sound

    assert [one.key for one in backend.list_objects("gc")] == []


def test_a_damaged_record_of_results_is_gone_after_two_runs(sound):
    """The first supersedes it, the second deletes it; nothing depends on it."""
    backend = backend_of(sound)
    store = open_on(backend, jobs=1)
    data = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
    keys_before = [one.key for one in backend.list_objects("verify")]
    for key in keys_before:
        backend.put(key, [b"no results"])

    first = store.verify(None, data)
    store.verify(None, data)

    assert [one.key for one in first.problems] == keys_before
    assert len(keys_before) == 1
    assert not {one.key for one in backend.list_objects("verify")} & set(keys_before)
    assert store.verify(None, data).is_sound


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_run_keeps_what_it_read(sound, after):
    """What was found whole, and what was found damaged; the next one goes on from there."""
    backend = backend_of({k: v for k, v in sound.items() if not k.startswith("verify/")})
    blobs = [key for key in sound if key.startswith(("blobs/", "meta/"))]
    for key in blobs[:1]:
        backend.put(key, [flipped(sound[key], len(sound[key]) // 2)])
    cancel = Cancel()
    read: list[int] = []

    def stop(progress: cas.Progress) -> None:
        if progress.phase == "verify":
            read.append(progress.done_files)
            if progress.done_files >= after:
                cancel.set()

    level = cas.VerifyLevel.DATA
    store = open_on(backend, jobs=1)
    options = cas.VerifyOptions(level=level, progress=stop, cancel=cancel, jobs=1)
    with pytest.raises(Cancelled):
        store.verify(None, options)
    rest = store.verify(None, cas.VerifyOptions(level=level, max_age_seconds=3600))

    assert after <= len(read) < len(blobs)
    assert rest.recent_blobs + rest.read_blobs == rest.blobs
    assert rest.recent_blobs >= len(read) - 1
    assert [one.key for one in rest.problems] == blobs[:1]
