"""Storage that is full, or that does not give one object: one clear error, and nothing is lost."""

from __future__ import annotations

import pytest

import cas
from cas.errors import ErrorCode
from cas.format import keys
from cas.model.names import ArtifactName
from cas.objects.versions import read_slot
from cas.operations.plan_repack import RepackLimits
from cas.testing.corpora import random_content
from cas.testing.faulty import FaultyBackend

OLD = {b"%d" % number: random_content(number, 60_000) for number in range(6)}
NEW = {b"0": OLD[b"0"], b"new": random_content(9, 90_000)}
AT_ONCE = cas.CollectOptions(grace_seconds=0, overrides=frozenset({cas.BrakeKind.TOO_MUCH}))
NO_SPACE = "No space left on device"


class Full(FaultyBackend):
    """Takes so many more bytes below some folders, then nothing, until it is given room."""

    def __init__(self, backend, room=0):
        super().__init__(backend)
        self.room = room

    def put(self, key, parts):
        content = b"".join(parts)
        self._take(key, len(content))
        super().put(key, [content])

    def create(self, key, data):
        self._take(key, len(data))
        super().create(key, data)

    def _take(self, key, size):
        if size > self.room:
            raise cas.BackendError(
                f"{key}: {NO_SPACE}", code=ErrorCode.DISK_FULL, hint="free some space there"
            )
        self.room -= size


class Denied(FaultyBackend):
    """Does not let one object be read."""

    def __init__(self, backend, denied):
        super().__init__(backend)
        self._denied = denied

    def get(self, key, start=0, stop=None):
        if key == self._denied:
            raise cas.BackendError(f"{key}: Permission denied", code=ErrorCode.ACCESS_DENIED)
        return super().get(key, start, stop)


@pytest.fixture
def neglected(scene):
    """A store with a version that is gone for good, a blob mostly dead, and a damaged chunk."""
    scene.put(OLD)
    scene.put(NEW)
    scene.store().delete("data:v0", now=True)
    return scene


def damage_one(scene):
    listed = scene.listed("blobs")
    key = min(listed, key=lambda key: listed[key])
    content = bytearray(scene.truth.get(key))
    content[200] ^= 1
    scene.truth.put(key, [bytes(content)])
    assert not scene.store().verify(None, cas.VerifyOptions(level="data")).is_sound


def collect(scene, backend):
    scene.store(backend).collect_garbage(AT_ONCE)


def repack(scene, backend):
    limits = RepackLimits(live_share=0.9)
    options = cas.CollectOptions(
        grace_seconds=0, overrides=AT_ONCE.overrides, repack=cas.RepackOptions(limits=limits)
    )
    scene.store(backend).collect_garbage(options)


def put(scene, backend):
    scene.store(backend).put(scene.source(OLD), "data")


def repair(scene, backend):
    options = cas.RepairOptions(apply=True, paths=(str(scene.source(NEW)),))
    assert scene.store(backend).repair(None, options).is_whole


def failure_of(act, scene, backend):
    try:
        act(scene, backend)
    except cas.BackendError as error:
        return error
    return None


@pytest.mark.parametrize("room", [0, 1000, 50_000, 100_000])
@pytest.mark.parametrize("act", [put, collect, repack, repair])
def test_on_full_storage_nothing_is_lost_and_with_room_it_is_done(neglected, act, room):
    """It ends with one error that says so; the next run does it."""
    if act is repair:
        damage_one(neglected)
    full = Full(neglected.truth, room)

    error = failure_of(act, neglected, full)
    if act is not repair:
        assert neglected.held("data:v1") == NEW
    full.room = 1 << 30
    act(neglected, full)

    if error is not None or not room:
        assert (error.code, error.hint) == (ErrorCode.DISK_FULL, "free some space there")
        assert NO_SPACE in str(error)
    assert neglected.held("data:v1") == NEW
    assert neglected.store().verify(None, cas.VerifyOptions(level="data")).is_sound


def test_a_verification_says_that_the_store_does_not_remember_what_it_found(neglected):
    """Or a repair would be said to have nothing to do, and small runs would begin anew for ever."""
    damage_one(neglected)
    full = Full(neglected.truth)
    data = cas.VerifyOptions(level="data")

    unkept = neglected.store(full).verify(None, data)
    full.room = 1 << 30
    kept = neglected.store(full).verify(None, data)

    assert NO_SPACE in unkept.not_kept
    assert kept.not_kept is None
    assert not kept.is_sound


def test_what_cannot_be_read_is_not_repaired(neglected):
    """It may be whole; it is told apart, and once."""
    neglected.store().put(neglected.source(NEW), "twin")
    meta = keys.meta_key(read_slot(neglected.truth, ArtifactName("data"), 1).root.blob_id)
    denied = Denied(neglected.truth, meta)
    before = neglected.listed("")

    outcome = neglected.store(denied).repair(None, cas.RepairOptions(apply=True))
    tables = neglected.store(denied).verify(None, cas.VerifyOptions(level="tables"))

    assert (outcome.revised, outcome.rebuilt_pages) == ((), ())
    assert [one.count(meta) for one in outcome.unread] == [1]
    assert len(set(tables.unread)) == len(tables.unread) > 0
    assert neglected.listed("") == before
