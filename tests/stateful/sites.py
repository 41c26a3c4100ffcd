"""Two stores and those who use them: clients that stay open, remember, and die at their storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cas
from cas.backend.base import Backend, Buffer, Capabilities, StoredObject
from cas.backend.memory import MemoryBackend
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_root_location, read_slot
from cas.opening import OpenedStore, StoreOptions, open_on
from cas.operations.init import init_store
from cas.operations.pinned import PinnedVersion
from cas.operations.version_pages import VersionPages
from cas.testing.fault_plan import CrashError
from cas.testing.trees import Tree
from cas.version import Version
from stateful.drawn import Death
from stateful.store_model import StoreModel

# Blobs of at most a third: a version has several, and shares some of them.
MEMORY_BYTES = 150_000
START_NS = 2_000_000_000 * 10**9

Answer = TypeVar("Answer")


class MovedClock:
    """Stands still until it is moved. Ahead of the files' times, so that the journal trusts those."""

    def __init__(self) -> None:
        self.time_ns = START_NS

    def now_ns(self) -> int:
        return self.time_ns


class DatedMemory(MemoryBackend):
    """A memory that tells when each object was stored; near, or as if it were far away."""

    def __init__(self, name: str, clock: MovedClock, *, local: bool) -> None:
        super().__init__(name)
        self.capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=local)
        self._clock = clock
        self._times: dict[str, int] = {}

    def put(self, key: str, parts: list[Buffer]) -> None:
        super().put(key, parts)
        self._times[key] = self._clock.now_ns()

    def create(self, key: str, content: bytes) -> None:
        super().create(key, content)
        self._times[key] = self._clock.now_ns()

    def list_objects(self, prefix: str):
        for one in super().list_objects(prefix):
            yield StoredObject(one.key, one.size, self._times[one.key])


class Client:
    """One machine: a store that stays open from step to step, with caches and a journal."""

    def __init__(self, backend: Backend, clock: MovedClock, state_dir: Path) -> None:
        self._backend = backend
        self._clock = clock
        self._state_dir = state_dir
        self.store = self._open(backend)

    def _open(self, backend: Backend) -> cas.Store:
        options = StoreOptions(
            jobs=1, memory_bytes=MEMORY_BYTES, cache_dir=str(self._state_dir), journal=True
        )
        opened = open_on(backend, options)
        parts = replace(opened.parts, clock=self._clock)
        return cas.Store(backend, None, options, OpenedStore(parts, opened.counter))

    def reopen(self) -> None:
        """End the process and begin another, with the same state on disk."""
        self.store = self._open(self._backend)

    def dying(self, death: Death, act: Callable[[cas.Store], Answer]) -> Answer | None:
        """Act, and die at an operation of the storage; return None if it came to that."""
        dying = death.of(self._backend)
        try:
            return act(self._open(dying))
        except CrashError:
            return None
        finally:
            self.reopen()


class Site:
    """A store, the model of it, and two machines that use it."""

    def __init__(self, name: str, clock: MovedClock, folder: Path, *, local: bool) -> None:
        self.name = name
        self.clock = clock
        self.folder = folder
        self.backend = DatedMemory(name, clock, local=local)
        self.config = init_store(self.backend, clock, chunk_average=4 << 10)
        self.model = StoreModel(name)
        self.clients = [Client(self.backend, clock, folder / f"state-{n}") for n in range(2)]

    def read(self, client: Client, artifact: str, number: int, *, hidden: bool) -> Tree:
        """Read a version back whole; one in the trash, too, as a restoration would find it."""
        store = client.store
        version = store.version(f"{artifact}:v{number}") if not hidden else None
        if version is None:
            backend = store.parts.backend
            listing = list_slots(backend, ArtifactName(artifact))
            record = read_slot(backend, listing.artifact, number)
            assert isinstance(record, VersionRecord)
            root = read_root_location(backend, listing, record)
            pages = VersionPages(store.parts, record, root)
            version = Version(store, PinnedVersion(record, root, pages, is_digest_pinned=False))
        return {path.encode(): version.read(path) for path in version}
