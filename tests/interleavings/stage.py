"""Stores and clients to interleave, and what must be true after every schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from collected import AT_ONCE, OPTIONS, collect, copied, purge, put
from interleavings.ended import Ended, Told
from interleavings.scheduler import Actor, Chooser, run_schedule

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.objects.collections import give_verdict, put_floor
from cas.objects.id_sets import sort_ids
from cas.operations.collect_garbage import _Collection
from cas.operations.collection_outcomes import CollectOptions
from cas.operations.delete import Deletion
from cas.operations.init import init_store
from cas.operations.survey import Survey
from cas.testing.corpora import random_content
from cas.testing.fault_plan import LOSSES, Fault, FaultPlan
from cas.testing.trees import Tree, write_tree

FAULTS = (*LOSSES, Fault.LATE)
FORCED = cas.PutOptions(provenance=False, force=True)
OLD: Tree = {b"a": random_content(1, 2000), b"b": random_content(2, 1500)}
NEWER: Tree = OLD | {b"c": random_content(3, 1000)}
OTHER: Tree = {b"b": OLD[b"b"], b"d": random_content(4, 1200)}


TINY: Tree = {b"n": b"tiny"}
LARGE: Tree = OLD | {b"z": random_content(5, 30_000)}
DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA)


class _Reckless(_Collection):
    """Makes no good guess what is garbage: any set of candidates must be safe."""

    def _batches(self, planning, plan):
        return [sort_ids(planning.stored.ids)]


class _Blind(_Collection):
    """Makes no guess at all: one run, from the condemn record to the deletion."""

    def run(self):
        stored = self._survey.list_blobs()
        self._collect(sort_ids(stored.ids), stored)


@dataclass
class Stage:
    """One store, put together once, and clients of it for each schedule."""

    folder: Path
    begin: MemoryBackend = field(default_factory=MemoryBackend)
    trees: list[Tree] = field(default_factory=list)
    versions: int = 0
    sound: MemoryBackend | None = None  # a copy elsewhere, if this one is damaged

    @classmethod
    def with_versions(cls, folder: Path, *trees: Tree) -> Stage:
        """Make a store that holds these versions of `data`."""
        stage = cls(folder)
        init_store(stage.begin, SystemClock(), chunk_average=4 << 10)
        for tree in trees:
            put(stage.begin, folder, tree)
            stage.trees.append(tree)
        stage.versions = len(trees)
        return stage

    @classmethod
    def mostly_dead(cls, folder: Path) -> Stage:
        """Make a store whose only version needs little of its blob."""
        stage = cls.with_versions(folder, LARGE, OLD)
        purge(stage.begin, 0)
        return stage

    @classmethod
    def trashed(cls, folder: Path) -> Stage:
        """Make a store whose only version lies in the trash."""
        stage = cls.with_versions(folder, OLD)
        cas.Store.on(stage.begin, options=OPTIONS).delete(stage.ref, force=True)
        return stage

    @classmethod
    def damaged(cls, folder: Path) -> Stage:
        """Make a store whose only version is damaged, and known to be; a copy of it is whole."""
        stage = cls.with_versions(folder, OLD)
        stage.sound = MemoryBackend()
        init_store(stage.sound, SystemClock(), chunk_average=4 << 10)
        store = cas.Store.on(stage.begin, options=OPTIONS)
        store.copy(stage.ref, cas.Store.on(stage.sound, options=OPTIONS))
        key = next(one.key for one in stage.begin.list_objects(keys.BLOBS))
        content = bytearray(stage.begin.get(key))
        content[len(content) // 3] ^= 1
        stage.begin.put(key, [bytes(content)])
        assert not store.verify(None, DATA).is_sound
        return stage

    @property
    def number(self) -> int:
        """The newest version there is to begin with."""
        return self.versions - 1

    @property
    def ref(self) -> str:
        """What it is called."""
        return f"data:v{self.number}"

    @property
    def tree(self) -> Tree:
        """What it holds."""
        return self.trees[self.number]

    @property
    def source(self) -> Path:
        """A folder that holds the same."""
        return self.folder / f"source-{self.number}"

    def repair(self, backend: Backend) -> cas.RepairOutcome:
        """Repair all that is damaged, from the copy that is whole."""
        others = [cas.Store.on(self.sound, options=OPTIONS)] if self.sound else []
        store = cas.Store.on(backend, options=OPTIONS)
        return store.repair(None, cas.RepairOptions(apply=True), stores=others)

    # Clients ---------------------------------------------------------------------------------

    def writer(self, name: str, tree: Tree) -> Actor:
        """Return a client that puts a tree as a new version, whatever there is."""
        source = self.folder / "-".join(path.decode() for path in sorted(tree))
        if not source.exists():
            write_tree(source, tree)
            self.trees.append(tree)

        def act(backend: Backend) -> Told:
            outcome = cas.Store.on(backend, options=OPTIONS).put(source, "data", FORCED)
            return Told(outcome.number, tree)

        return Actor(name, act)

    def collector(self, name: str, options: CollectOptions = AT_ONCE) -> Actor:
        """Return a client that collects garbage; it takes everybody for dead."""
        return Actor(name, lambda backend: collect(backend, options))

    def reckless(self, name: str = "reckless") -> Actor:
        """Return a collector that condemns all there is, and takes nobody for dead."""
        return _collector(name, _Reckless, grace_seconds=3600)

    def blind(self, name: str = "blind") -> Actor:
        """Return one that does so without looking first, in one run and nothing beside it."""
        return _collector(name, _Blind, grace_seconds=3600)

    def settler(self, name: str = "settler") -> Actor:
        """Return the same, but one that takes everybody for dead."""
        return _collector(name, _Blind, grace_seconds=0)

    def abandoner(self, name: str = "abandoner") -> Actor:
        """Return a client that ends run 1 by clearing all, and lets its records expire."""

        def act(backend: Backend) -> None:
            give_verdict(backend, 1, None)
            put_floor(backend, 1)
            for key in (keys.condemn_key(1), keys.verdict_key(1)):
                backend.delete(key)

        return Actor(name, act)

    def purger(self, name: str = "purger") -> Actor:
        """Return a client that deletes the newest version for good."""

        def act(backend: Backend) -> list[Deletion]:
            return cas.Store.on(backend, options=OPTIONS).delete(self.ref, force=True, now=True)

        return Actor(name, act)

    # Schedules -------------------------------------------------------------------------------

    def run(self, actors: Sequence[Actor], choose: Chooser) -> Ended:
        """Run the actors on a fresh copy of the store."""
        truth = copied(self.begin)
        schedule = run_schedule(truth, actors, choose)
        repair = self.repair if self.sound else None
        trees = tuple(self.trees)
        return Ended(truth, tuple(actors), tuple(schedule), self.number, trees, repair)


def _collector(name: str, kind: type[_Collection], grace_seconds: float) -> Actor:
    def act(backend: Backend) -> None:
        parts = cas.Store.on(backend, options=OPTIONS).parts
        with Survey(parts, replace(AT_ONCE, grace_seconds=grace_seconds)) as survey:
            kind(survey).run()

    return Actor(name, act)


def disturb(actors: Sequence[Actor], seed: int) -> None:
    """Give each actor faults by chance: lost replies and late effects, and sometimes its death."""
    chance = random.Random(seed)
    for actor in actors:
        rate = chance.choice((0.0, 0.05, 0.15))
        actor.plan = FaultPlan(seed=chance.randrange(1 << 30), rate=rate, faults=FAULTS)
        if chance.random() < 0.4:
            crash = chance.choice((Fault.CRASH_BEFORE, Fault.CRASH_AFTER))
            actor.plan.fail_at(chance.randrange(1, 40), crash)
