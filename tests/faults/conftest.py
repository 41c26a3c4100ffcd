"""A small store, clients of it that fail, trees to put, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import cas
from cas.backend.base import Backend
from cas.backend.fsspec_backend import FsspecBackend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.fault_plan import FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.faulty_filesystem import FaultyFileSystem
from cas.testing.trees import Tree, read_tree, write_tree

# No journal: what is in the store must be enough. Two threads: faults meet concurrency.
OPTIONS = cas.StoreOptions(jobs=2, journal=False)
PLAIN = cas.PutOptions(provenance=False)

FIRST: Tree = {
    b"a/one.bin": random_content(1, 300_000),
    b"a/two.txt": b"two\n" * 200,
    b"tiny": b"t",
}
SECOND: Tree = FIRST | {b"a/one.bin": random_content(2, 300_000), b"b/new.bin": b"new" * 1000}


class OwnMemory(MemoryFileSystem):
    """A memory of its own; fsspec's is one for the whole interpreter."""

    cachable = False

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.store = {}
        self.pseudo_dirs = [""]


class Meddling(FaultyBackend):
    """Lets somebody else act just before the nth operation of a kind on a key."""

    def __init__(
        self, backend: Backend, kind: str, part: str, act: Callable[[], object], nth: int = 1
    ) -> None:
        super().__init__(backend)
        self._watched = (kind, part)
        self._act = act
        self._left = nth

    def _begin(self, kind, key):
        if kind == self._watched[0] and self._watched[1] in key:
            self._left -= 1
            if self._left == 0:
                self._act()
        return super()._begin(kind, key)


class Recording(FaultyBackend):
    """Keeps when every operation begins and ends, as (kind, first folder, "begin" or "end")."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.moments: list[tuple[str, str, str]] = []

    def _begin(self, kind, key):
        self.moments.append((kind, key.split("/")[0], "begin"))
        return super()._begin(kind, key)

    def _finish(self, operation, effect):
        answer = super()._finish(operation, effect)
        self.moments.append((operation.kind, operation.key.split("/")[0], "end"))
        return answer

    def first(self, kind: str, folder: str, moment: str) -> int:
        """Return when the first such operation began or ended."""
        return self.moments.index((kind, folder, moment))

    def last(self, kind: str, folder: str, moment: str) -> int:
        """Return when the last such operation began or ended."""
        wanted = (kind, folder, moment)
        return max(at for at, one in enumerate(self.moments) if one == wanted)

    def check_order_of_a_commit(self) -> None:
        """Check what specs/protocol/put.md says of the order in which a version is stored."""
        slot = self.first("create", "artifacts", "begin")
        check = self.last("list_objects", "gc", "begin")
        for folder in ("blobs", "meta", "index", "sessions"):
            assert self.last("put", folder, "end") < slot, "something is not stored before W3"
        assert self.last("list_objects", "gc", "end") < slot, "W3 before W2 is over"
        assert self.last("put", "sessions", "end") < check, "W2 before W1 is over"
        stored = self.last("put", "blobs", "end")
        assert stored < self.first("put", "index", "begin"), "a segment before its blobs"
        assert self.last("create", "artifacts", "end") < self.first("delete", "sessions", "begin")


@dataclass
class Scene:
    """One store on `truth`, and a folder to work in."""

    folder: Path
    truth: Backend = field(default_factory=MemoryBackend)
    filesystem: AbstractFileSystem | None = None

    @classmethod
    def at(cls, place: str, folder: Path) -> Scene:
        """Make a scene on a backend of cas, or below its translation of errors, on a filesystem of
        fsspec: an object store in memory, or a folder that stands for sftp and the like.
        """
        if place == "backend":
            return cls(folder)
        filesystem = OwnMemory() if place == "object store" else LocalFileSystem()
        root = "/store" if place == "object store" else f"{folder}/store"
        return cls(folder, FsspecBackend(filesystem, root, url="test://store"), filesystem)

    def faulty(self, plan: FaultPlan) -> Backend:
        """Return a client of the store that fails as the plan says, as deep down as there is."""
        if self.filesystem is None:
            return FaultyBackend(self.truth, plan=plan)
        root = self.truth._root
        filesystem = FaultyFileSystem(self.filesystem, plan=plan)
        return FsspecBackend(filesystem, root, url="test://store")

    def store(self, backend: Backend | None = None, *, journal: bool = False) -> cas.Store:
        """Open the store, through another backend if one is given."""
        options = OPTIONS
        if journal:
            options = cas.StoreOptions(jobs=2, cache_dir=str(self.folder / "cache"))
        return cas.Store.on(backend or self.truth, options=options)

    def meddling(
        self, kind: str, part: str, act: Callable[[], object], nth: int = 1
    ) -> FaultyBackend:
        """Return a backend on which `act` happens just before the nth such operation."""
        return Meddling(self.truth, kind, part, act, nth)

    def recording(self) -> Recording:
        """Return a backend that keeps when its operations begin and end."""
        return Recording(self.truth)

    def listed(self, prefix: str) -> dict[str, int]:
        """Return the keys of a folder of the store, with the sizes of the objects."""
        return {one.key: one.size for one in self.truth.list_objects(prefix)}

    def source(self, tree: Tree, name: str = "source") -> Path:
        """Write a tree to disk."""
        return write_tree(self.folder / name, tree)

    def put(self, tree: Tree, backend: Backend | None = None) -> cas.PutOutcome:
        """Put a tree as the next version of `data`."""
        return self.store(backend).put(self.source(tree), "data", PLAIN)

    def held(self, ref: str) -> Tree:
        """Read a version back whole."""
        version = self.store().version(ref)
        return {path.encode("utf-8", "surrogateescape"): version.read(path) for path in version}

    def live(self) -> list[int]:
        """Return the numbers of the versions that are visible, the lowest first."""
        try:
            return sorted(one.number for one in self.store().versions("data"))
        except cas.NotFoundError:
            return []

    def got(self, ref: str) -> Tree:
        """Get a version into a fresh folder and return what is there."""
        target = self.folder / f"got-{len(list(self.folder.iterdir()))}"
        self.store().get(ref, target)
        return read_tree(target)


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Make as many fresh stores as a test needs."""
    made: list[Scene] = []

    def make(place: str = "backend") -> Scene:
        folder = tmp_path / f"scene-{len(made)}"
        folder.mkdir()
        scene = Scene.at(place, folder)
        init_store(scene.truth, SystemClock(), chunk_average=64 << 10)
        made.append(scene)
        return scene

    return make


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    """One fresh store."""
    return make_scene()


@pytest.fixture
def first() -> Tree:
    """What version 0 holds."""
    return FIRST


@pytest.fixture
def second() -> Tree:
    """What version 1 holds: one file changed, one added."""
    return SECOND
