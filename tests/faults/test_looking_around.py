"""What a put over a network reads side by side before it starts, and what collectors do meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_floor,
    encode_verdict,
)
from cas.format.version import MoveKind, VoidRecord, encode_revision
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.versions import add_move
from cas.operations.init import init_store
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import write_tree

NAME = ArtifactName("data")
COLLECTOR = SessionId(b"c" * 16)
PLAIN = cas.PutOptions(provenance=False)
SLOTS = keys.versions_prefix(NAME)


class Distant(MemoryBackend):
    """A store that is not on this machine."""

    capabilities = replace(MemoryBackend.capabilities, local=False)


class Watched(FaultyBackend):
    """Lists the log only when `before_log` has returned."""

    def __init__(self, backend, before_log):
        super().__init__(backend)
        self._before_log = before_log

    def list_objects(self, prefix):
        if prefix == "gc":
            self._before_log()
        return super().list_objects(prefix)

    def count(self, kind, key):
        """How often there was such a request."""
        return sum((one.kind, one.key) == (kind, key) for one in self.log)


@pytest.fixture
def truth():
    backend = Distant()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    return backend


@pytest.fixture
def put(tmp_path):
    """A function that puts a tree through a backend, without a journal."""

    def put(backend, tree):
        store = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
        return store.put(write_tree(tmp_path / "source", tree), "data", PLAIN)

    return put


def held(truth, ref):
    version = cas.Store.on(truth, options=cas.StoreOptions(journal=False)).version(ref)
    return {path.encode(): version.read(path) for path in version}


def collect(truth, cleared=()):
    """Decide run 1 about everything there is; return the keys that it is about to delete."""
    found = [one.key for folder in ("blobs", "meta") for one in truth.list_objects(folder)]
    ids = sorted(keys.parse_blob_key(key).raw for key in found)
    rows = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)
    kept = rows if cleared else rows[:0]
    truth.create(keys.condemn_key(1), encode_condemn(CondemnRecord(1, COLLECTOR, rows)))
    truth.create(keys.verdict_key(1), encode_verdict(VerdictRecord(1, kept, all=False)))
    return found


def expire(truth):
    """Let the records of run 1 expire."""
    truth.put(keys.floor_key(1), [encode_floor(1)])
    truth.delete(keys.condemn_key(1))
    truth.delete(keys.verdict_key(1))


def test_log_and_newest_version_are_read_side_by_side(truth, put, first, second):
    """The log is listed only once the record was read, and nothing is asked for twice."""
    put(truth, first)
    is_read = threading.Event()
    backend = Watched(truth, lambda: is_read.wait(20))
    get = backend.get

    def watching(key, start=0, stop=None):
        content = get(key, start, stop)
        if key.startswith(SLOTS):
            is_read.set()
        return content

    backend.get = watching
    outcome = put(backend, second)

    assert is_read.is_set()
    assert backend.count("list_objects", SLOTS) == 1
    assert backend.count("get", keys.version_key(NAME, 0)) == 1
    assert held(truth, outcome.ref) == second


@pytest.mark.parametrize("expires", [False, True])
def test_a_version_that_is_collected_before_the_log_is_listed_is_not_shared(
    truth, put, first, second, expires
):
    """Its record was read when it was visible; the log already speaks of a time without it."""
    put(truth, first)
    is_read = threading.Event()
    gone = []

    def act():
        assert is_read.wait(20)
        if not gone:
            add_move(truth, NAME, 0, 1, MoveKind.TRASH, 0)
            add_move(truth, NAME, 0, 2, MoveKind.PURGE, 0)
            gone.extend(collect(truth))
            if expires:
                expire(truth)

    backend = Watched(truth, act)
    get = backend.get

    def watching(key, start=0, stop=None):
        content = get(key, start, stop)
        if key == keys.version_key(NAME, 0):
            is_read.set()
        return content

    backend.get = watching
    outcome = put(backend, second)
    for key in gone:  # late, as deletions may be
        truth.delete(key)

    assert gone
    assert held(truth, outcome.ref) == second


def test_a_version_older_than_the_last_run_is_looked_at_again_and_shared(truth, put, first, second):
    """What it needs was cleared: the slots are listed once more, the record is not read again."""
    put(truth, first)
    collect(truth, cleared=True)
    backend = Watched(truth, lambda: None)

    outcome = put(backend, second)

    assert backend.count("list_objects", SLOTS) == 2
    assert backend.count("get", keys.version_key(NAME, 0)) == 1
    assert outcome.new_bytes == len(second[b"a/one.bin"]) + len(second[b"b/new.bin"])
    assert held(truth, outcome.ref) == second


def test_a_version_with_revisions_is_looked_at_again(truth, put, first, second):
    """The stamp of its record says nothing of the blobs that it was moved to."""
    put(truth, first)
    truth.create(keys.revision_key(NAME, 0, 1), encode_revision(VoidRecord(COLLECTOR)))
    backend = Watched(truth, lambda: None)

    outcome = put(backend, second)

    assert backend.count("list_objects", SLOTS) == 2
    assert held(truth, outcome.ref) == second
