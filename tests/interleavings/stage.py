"""Stores and clients to interleave, and what must be true after every schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from collected import AT_ONCE, OPTIONS, assert_clean, collect, copied, held, put
from interleavings.scheduler import Actor, Chooser, run_schedule

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.errors import CasError, NotFoundError
from cas.format import keys
from cas.objects.collections import give_verdict, put_floor
from cas.objects.id_sets import sort_ids
from cas.operations.collect_garbage import _Collection
from cas.operations.collection_outcomes import CollectOptions
from cas.operations.init import init_store
from cas.operations.survey import Survey
from cas.testing.corpora import random_content
from cas.testing.fault_plan import LOSSES, CrashError, Fault, FaultPlan
from cas.testing.trees import Tree, write_tree

FAULTS = (*LOSSES, Fault.LATE)
FORCED = cas.PutOptions(provenance=False, force=True)
OLD: Tree = {b"a": random_content(1, 2000), b"b": random_content(2, 1500)}
NEWER: Tree = OLD | {b"c": random_content(3, 1000)}
OTHER: Tree = {b"b": OLD[b"b"], b"d": random_content(4, 1200)}


class _Reckless(_Collection):
    """Makes no good guess what is garbage: any set of candidates must be safe."""

    def _batches(self, planning, plan):
        return [sort_ids(planning.stored.ids)]


@dataclass(frozen=True, slots=True)
class Told:
    """What an actor was told of a version: the number, and what is in it."""

    number: int
    tree: Tree


@dataclass
class Stage:
    """One store, put together once, and clients of it for each schedule."""

    folder: Path
    begin: MemoryBackend = field(default_factory=MemoryBackend)
    trees: list[Tree] = field(default_factory=list)

    @classmethod
    def with_versions(cls, folder: Path, *trees: Tree) -> Stage:
        """Make a store that holds these versions of `data`."""
        stage = cls(folder)
        init_store(stage.begin, SystemClock(), chunk_average=4 << 10)
        for tree in trees:
            put(stage.begin, folder, tree)
            stage.trees.append(tree)
        return stage

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

        def act(backend: Backend) -> None:
            parts = cas.Store.on(backend, options=OPTIONS).parts
            with Survey(parts, replace(AT_ONCE, grace_seconds=3600)) as survey:
                _Reckless(survey).run()

        return Actor(name, act)

    def abandoner(self, name: str = "abandoner") -> Actor:
        """Return a client that ends run 1 by clearing all, and lets its records expire."""

        def act(backend: Backend) -> None:
            give_verdict(backend, 1, None)
            put_floor(backend, 1)
            for key in (keys.condemn_key(1), keys.verdict_key(1)):
                backend.delete(key)

        return Actor(name, act)

    def purger(self, name: str = "purger", number: int = 0) -> Actor:
        """Return a client that deletes a version for good."""
        ref = f"data:v{number}"

        def act(backend: Backend) -> None:
            cas.Store.on(backend, options=OPTIONS).delete(ref, force=True, now=True)

        return Actor(name, act)

    def reader(self, name: str = "reader", number: int = 0) -> Actor:
        """Return a client that reads a version whole, if it is there."""
        tree = self.trees[number]

        def act(backend: Backend) -> None:
            with suppress(NotFoundError):
                assert held(backend, f"data:v{number}") == tree

        return Actor(name, act)

    # Schedules -------------------------------------------------------------------------------

    def run(self, actors: Sequence[Actor], choose: Chooser) -> Ended:
        """Run the actors on a fresh copy of the store."""
        truth = copied(self.begin)
        schedule = run_schedule(truth, actors, choose)
        return Ended(truth, tuple(actors), tuple(schedule), tuple(self.trees))


def disturb(actors: Sequence[Actor], seed: int) -> None:
    """Give each actor faults by chance: lost replies and late effects, and sometimes its death."""
    chance = random.Random(seed)
    for actor in actors:
        rate = chance.choice((0.0, 0.05, 0.15))
        actor.plan = FaultPlan(seed=chance.randrange(1 << 30), rate=rate, faults=FAULTS)
        if chance.random() < 0.4:
            crash = chance.choice((Fault.CRASH_BEFORE, Fault.CRASH_AFTER))
            actor.plan.fail_at(chance.randrange(1, 40), crash)


@dataclass(frozen=True, slots=True)
class Ended:
    """A store after a schedule."""

    truth: MemoryBackend
    actors: tuple[Actor, ...]
    schedule: tuple[str, ...]
    trees: tuple[Tree, ...]

    def failure(self) -> str | None:
        """Say what is wrong, with what it takes to run it again."""
        try:
            self._check()
        except (AssertionError, CasError) as error:
            told = {actor.name: actor.error or actor.answer for actor in self.actors}
            return f"{error!r}\nschedule = {list(self.schedule)!r}\nactors: {told}"
        return None

    def _check(self) -> None:
        for actor in self.actors:
            if actor.error is not None and not isinstance(actor.error, CasError | CrashError):
                raise AssertionError(f"{actor.name} ended with {actor.error!r}")
            # A collector that reads v0 while that is purged and collected may stop for it, needlessly.
            needless = self._purges() and "data:v0 needs" in str(actor.error)
            braked = isinstance(actor.error, cas.RefusedError) and not needless
            assert not braked, f"{actor.name}: {actor.error}"
            # A version that is purged while it is read looks damaged to its reader.
            may_miss = actor.name == "reader" and self._purges()
            damaged = isinstance(actor.error, cas.CorruptionError) and not may_miss
            assert not damaged, f"{actor.name} found damage: {actor.error}"
        self._check_versions()
        self._settle()
        self._check_versions()
        assert_clean(self.truth)

    def _check_versions(self) -> None:
        """What was acknowledged is there whole, and nothing is visible that is not whole."""
        store = cas.Store.on(self.truth, options=OPTIONS)
        try:
            visible = {one.number for one in store.versions("data")}
        except NotFoundError:
            visible = set()
        told = {a.answer.number: a.answer for a in self.actors if isinstance(a.answer, Told)}
        assert len(told) == sum(isinstance(a.answer, Told) for a in self.actors)
        assert set(told) <= visible, f"told of {sorted(told)}, visible are {sorted(visible)}"
        published = [store.version(f"data:v{number}").record.session for number in visible]
        assert len(published) == len(set(published)), "one session published twice"
        for number in visible:
            tree = held(self.truth, f"data:v{number}")
            assert tree in ([told[number].tree] if number in told else self.trees)
        purged = any(a.name == "purger" and a.error is None for a in self.actors)
        assert not (purged and 0 in visible), "a purged version is visible"

    def _purges(self) -> bool:
        return any(actor.name == "purger" for actor in self.actors)

    def _settle(self) -> None:
        """Everybody is gone, and what is under way lands before, between and after collections."""
        late = [actor.plan.deliver_late for actor in self.actors]
        for deliver in late[::2]:
            deliver()
        collect(self.truth)
        for deliver in late:
            deliver()
        collect(self.truth)
        collect(self.truth)
