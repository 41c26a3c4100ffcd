"""A store with every kind of garbage, and what must be true of a store that was collected."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.segment import decode_segment
from cas.format.version import MoveKind, VersionRecord
from cas.model.ids import BlobId
from cas.model.names import ArtifactName
from cas.objects.closure import ClosureReader
from cas.objects.collection_log import LogListing, list_log
from cas.objects.collections import give_verdict, open_run
from cas.objects.id_sets import ids_of, no_ids, unite
from cas.objects.versions import add_move, list_artifacts, list_slots, read_last_move, read_slot
from cas.operations.brakes import BrakeKind
from cas.operations.collect_garbage import collect_garbage
from cas.operations.collection_outcomes import CollectionOutcome, CollectOptions
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.fault_plan import CrashError, Fault
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import Tree, write_tree

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)
OPTIONS = cas.StoreOptions(jobs=1, journal=False)
# Nothing is too young, and nobody is at work unless a test says so.
AT_ONCE = CollectOptions(
    grace_seconds=0, policy=None, threads=1, overrides=frozenset({BrakeKind.TOO_MUCH}), kept_runs=0
)

SHARED = random_content(1, 3000)
TREES: list[Tree] = [
    {b"shared": SHARED, b"own": random_content(10 + n, 2000), b"n": str(n).encode()}
    for n in range(4)
]


def copied(backend: MemoryBackend) -> MemoryBackend:
    """Return a store of the same content that goes its own way."""
    copy = MemoryBackend()
    copy.__setstate__(backend.__getstate__())
    return copy


def collect(backend: Backend, options: CollectOptions = AT_ONCE) -> CollectionOutcome:
    """Collect garbage through a backend, without anything remembered from before."""
    return collect_garbage(cas.Store.on(backend, options=OPTIONS).parts, options)


def purge(backend: Backend, number: int, name: ArtifactName = NAME) -> None:
    """Take a version out of the store for good."""
    add_move(backend, name, number, 1, MoveKind.TRASH, 0)
    add_move(backend, name, number, 2, MoveKind.PURGE, 0)


def put(backend: Backend, folder, tree: Tree, name: str = "data") -> cas.PutOutcome:
    """Put a tree as the next version."""
    source = write_tree(folder / f"source-{len(list(folder.iterdir()))}", tree)
    return cas.Store.on(backend, options=OPTIONS).put(source, name, PLAIN)


def die_at(backend: Backend, folder, tree: Tree, kind: str, key: str, name: str = "data") -> None:
    """Let a put die right before an operation."""
    client = FaultyBackend(backend).fail_nth(kind, 1, Fault.CRASH_BEFORE, key=key)
    with suppress(CrashError):
        put(client, folder, tree, name)
    assert client.crashed


def die_untold(backend: Backend, folder, tree: Tree, name: str = "data") -> None:
    """Let a put die that has stored everything, and of which no collector was told.

    Where it dies by itself before its intent, blobs of pages are under way beside that: some would be
    there, now or a moment later, and others not.
    """
    before = {one.key for one in backend.list_objects("sessions")}
    die_at(backend, folder, tree, "create", "versions/", name)
    for one in list(backend.list_objects("sessions")):
        if one.key not in before:
            backend.delete(one.key)


def littered(folder) -> MemoryBackend:
    """Return a store of v0 purged, v1 live, v2 in the trash, and much that is left over.

    Three puts died: one before its slot, one after it told collectors of it, one before it did
    that. One run was left open, one decided and not finished.
    """
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    for tree in TREES[:3]:
        put(backend, folder, tree)
    purge(backend, 0)
    add_move(backend, NAME, 2, 1, MoveKind.TRASH, 0)
    die_at(backend, folder, {b"dead": random_content(30, 2500)}, "create", "versions/")
    die_at(backend, folder, {b"dead": random_content(31, 2500)}, "create", "versions/", "other")
    die_untold(backend, folder, {b"dead": random_content(32, 2500)})
    orphan = keys.blob_key(BlobId(b"o" * 32))
    backend.put(orphan, [b"left over"])
    open_run(backend, 1, ids_of([b"o" * 32]))
    give_verdict(backend, 1, no_ids())
    open_run(backend, 2, ids_of([b"p" * 32]))
    return backend


def held(backend: Backend, ref: str) -> Tree:
    """Read a version back whole."""
    version = cas.Store.on(backend, options=OPTIONS).version(ref)
    return {path.encode(): version.read(path) for path in version}


def assert_whole(backend: MemoryBackend) -> None:
    """Every version that is not purged reads back, the one in the trash too; nothing is changed."""
    copy = copied(backend)
    if read_last_move(copy, list_slots(copy, NAME), 2) is MoveKind.TRASH:
        cas.Store.on(copy, options=OPTIONS).restore("data:v2")
    assert held(copy, "data:v1") == TREES[1]
    assert held(copy, "data:v2") == TREES[2]


def assert_clean(backend: MemoryBackend, *, index: bool = True) -> None:
    """Nothing is in the store but what versions need, and nothing else leads anywhere."""
    live = live_ids(backend)
    stored = {
        keys.parse_blob_key(one.key).raw
        for folder in (keys.BLOBS, keys.META)
        for one in backend.list_objects(folder)
    }
    assert stored == live
    assert list(backend.list_objects("sessions")) == []
    for one in backend.list_objects("index") if index else ():
        segment = decode_segment(backend.get(one.key), what=one.key)
        assert {row.tobytes() for row in segment.blob_ids} <= live
    log = list_log(backend)
    assert all("done" in kinds for kinds in log.runs.values())
    assert_no_litter(backend, log)


def assert_no_litter(backend: MemoryBackend, log: LogListing) -> None:
    """Below the floor there is nothing, and there is one floor."""
    parsed = [keys.parse_collection_key(one.key) for one in backend.list_objects("gc")]
    # What is no record of a run is one of damage.
    assert [one for one in parsed if one is not None and one[0] <= log.floor] == (
        [(log.floor, "floor")] if log.floor else []
    )


def live_ids(backend: Backend) -> set[bytes]:
    """The ids of all blobs that versions need."""
    parts = cas.Store.on(backend, options=OPTIONS).parts
    needed = [no_ids()]
    with ClosureReader(parts, threads=1) as reader:
        for name in list_artifacts(backend):
            listing = list_slots(backend, name)
            for number in listing.slots:
                record = read_slot(backend, name, number)
                purged = read_last_move(backend, listing, number) is MoveKind.PURGE
                if isinstance(record, VersionRecord) and not purged:
                    closure = reader.of_version(listing, record)
                    needed += [closure.data_ids, closure.meta_ids]
    return {row.tobytes() for row in unite(*needed)}


class Interrupted(FaultyBackend):
    """Lets somebody else act, start to end, right before one operation."""

    def __init__(self, backend: Backend, number: int, act: Callable[[Backend], object]) -> None:
        super().__init__(backend)
        self._left = number
        self._act = act

    def _begin(self, kind, key):
        self._left -= 1
        if self._left == 0:
            self._act(self._backend)
        return super()._begin(kind, key)


class Paused(FaultyBackend):
    """Waits right before its first operation of a kind on a key, until it is let go."""

    def __init__(self, backend: Backend, kind: str, part: str) -> None:
        super().__init__(backend)
        self._watched = (kind, part)
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def _begin(self, kind, key):
        if kind == self._watched[0] and self._watched[1] in key and not self.reached.is_set():
            self.reached.set()
            assert self.let_go.wait(60)
        return super()._begin(kind, key)


class SlowPut:
    """A put that stops where it is about to take its slot, and goes on when it is told to."""

    def __init__(self, folder, tree: Tree) -> None:
        self._folder = folder
        self._tree = tree
        self._pool = ThreadPoolExecutor(1)

    def begin(self, backend: Backend) -> None:
        """Put up to the slot; what there is to check was checked."""
        self._client = Paused(backend, "create", "versions/")
        self._future = self._pool.submit(put, self._client, self._folder, self._tree)
        assert self._client.reached.wait(60)

    def end(self, backend: Backend) -> None:
        """Let it publish, if it can, and wait for it."""
        self._client.let_go.set()
        self.outcome = self._future.result(60)
        self._pool.shutdown()


class TwiceInterrupted(FaultyBackend):
    """Lets one thing happen right before one operation, and another before a later one."""

    def __init__(self, backend: Backend, acts: dict[int, Callable[[Backend], object]]) -> None:
        super().__init__(backend)
        self._acts = acts
        self._number = 0

    def _begin(self, kind, key):
        self._number += 1
        act = self._acts.pop(self._number, None)
        if act is not None:
            act(self._backend)
        return super()._begin(kind, key)

    def finish(self) -> None:
        """Let happen what was meant to come after the last operation."""
        for _, act in sorted(self._acts.items()):
            act(self._backend)
