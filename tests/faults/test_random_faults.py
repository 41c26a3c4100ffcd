"""Long sequences of everything a user does, on a store where any request may go wrong."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import cas
from cas.backend.retrying import RetryingBackend, RetryPolicy
from cas.format import keys
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_slot
from cas.testing.corpora import random_content
from cas.testing.fault_plan import LOSSES, WRONG_READS, Fault, FaultPlan
from cas.testing.trees import read_tree

NAME = ArtifactName("data")
SHARED = random_content(9, 90_000)
TREES = [
    {b"a": SHARED, b"b": b"b" * 900},
    {b"a": SHARED, b"b": b"c" * 900, b"d/e": random_content(8, 40_000)},
    {b"x": b"x" * 500},
]
STEPS = 12
ACTS = ["put", "put", "put", "get", "get", "diff", "tag", "read_alias", "delete", "restore"]
DRIVER_FAULTS = (*LOSSES, *LOSSES, Fault.LATE, Fault.LOST, *WRONG_READS)


@dataclass(frozen=True)
class World:
    """Where the store is, what happens there how often, and whether cas asks again."""

    place: str
    faults: tuple[Fault, ...]
    rate: float = 0.05
    is_retried: bool = False
    seeds: int = 100


WORLDS = {
    # A backend answers the truth or raises, a driver may answer anything.
    "backend": World("backend", (*LOSSES, Fault.LATE)),
    "driver": World("object store", DRIVER_FAULTS, seeds=80),
    "retried driver": World("object store", DRIVER_FAULTS, rate=0.2, is_retried=True, seeds=40),
}
AT_ONCE = RetryPolicy(first_pause_seconds=0.0, longest_pause_seconds=0.0)


class Model:
    """What the user was told, and what therefore must be true. None: told nothing certain."""

    def __init__(self, make_scene, seed, name):
        world = WORLDS[name]
        self.scene = scene = make_scene(world.place)
        self.rng = random.Random(seed)
        # Two machines, each with requests of its own that come late.
        self.plans = [
            FaultPlan(seed=2 * seed + client, rate=world.rate, faults=world.faults)
            for client in range(2)
        ]
        self.backends = [scene.faulty(plan) for plan in self.plans]
        if world.is_retried:
            self.backends = [RetryingBackend(backend, AT_ONCE) for backend in self.backends]
        self.has_journal = seed % 2 == 0
        self.trees = {}
        self.hidden = {}
        self.alias = None
        self.puts = 0
        self.failures = []

    def store(self, client=None):
        """The store, opened anew as each command does, by either machine."""
        backend = self.backends[self.rng.randrange(2) if client is None else client]
        return self.scene.store(backend, journal=self.has_journal)

    def step(self, act):
        if not self.trees:
            act = "put"
        try:
            getattr(self, act)()
        except cas.CasError as error:  # whatever else comes out fails the test
            self.failures.append(error)

    def put(self):
        self.acknowledge(*self.put_by(None, self.rng.choice(TREES)))

    def race(self):
        """Both machines put at the same time."""
        trees = self.rng.sample(TREES, 2)
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(self.put_by, client, trees[client]) for client in range(2)]
        for future in futures:
            error = future.exception()
            if error is None:
                self.acknowledge(*future.result())
            elif isinstance(error, cas.CasError):
                self.failures.append(error)
            else:
                raise error

    def put_by(self, client, tree):
        source = self.scene.source(tree, f"source-{client}")
        self.puts += 1
        options = cas.PutOptions(provenance=False, message=f"{self.puts} by {client}")
        return self.store(client).put(source, "data", options), tree

    def acknowledge(self, outcome, tree):
        # "Unchanged" may find a version that an earlier put could not acknowledge.
        assert self.trees.setdefault(outcome.number, tree) == tree
        self.hidden.setdefault(outcome.number, False)

    def get(self):
        number = self.rng.choice(sorted(self.trees))
        target = self.scene.folder / f"out-{len(list(self.scene.folder.iterdir()))}"
        self.store().get(f"data:v{number}", target)
        assert self.hidden[number] is not True
        assert read_tree(target) == self.trees[number]

    def diff(self):
        old, new = self.rng.choices(sorted(self.trees), k=2)
        found = self.store().diff(f"data:v{old}", f"data:v{new}")
        assert self.hidden[old] is not True
        assert self.hidden[new] is not True
        assert found.is_empty == (self.trees[old] == self.trees[new])

    def tag(self):
        number = self.rng.choice(sorted(self.trees))
        self.alias = None
        self.store().tag(f"data:v{number}", ["best"])
        self.alias = number

    def read_alias(self):
        number = self.store().version("data:best").number
        assert self.alias in (None, number)
        assert self.hidden.get(number) is not True

    def delete(self):
        number = self.rng.choice(sorted(self.trees))
        was, self.hidden[number] = self.hidden.get(number), None
        try:
            self.store().delete(f"data:v{number}", force=True)
        except cas.NotFoundError:
            self.hidden[number] = was  # it is in the trash already, or never was
            raise
        self.hidden[number] = True

    def restore(self):
        number = self.rng.choice(sorted(self.trees))
        was, self.hidden[number] = self.hidden.get(number), None
        try:
            self.store().restore(f"data:v{number}")
        except cas.NotFoundError:
            self.hidden[number] = was
            raise
        self.hidden[number] = False

    def settle(self):
        """Let everything that is under way happen; then nothing fails any more."""
        for plan in self.plans:
            plan.deliver_late()

    def check(self):
        """Compare the store with what the user was told."""
        self.settle()
        scene, live = self.scene, self.scene.live()
        for number, hidden in self.hidden.items():
            if number in self.trees and hidden is not None:
                assert (number not in live) == hidden
        for number, tree in self.trees.items():
            if number not in live:
                scene.store().restore(f"data:v{number}")
            assert scene.held(f"data:v{number}") == tree
        assert all(scene.held(f"data:v{number}") in TREES for number in live)
        slots = [read_slot(scene.truth, NAME, n) for n in list_slots(scene.truth, NAME).slots]
        messages = [slot.message for slot in slots if isinstance(slot, VersionRecord)]
        assert len(messages) == len(set(messages)), "one put published two versions"
        for error in self.failures:
            assert len(str(error)) > 10, f"{type(error).__name__} says nothing"


def cases(seeds):
    """Each world with seeds of its own."""
    return [(name, seed) for name, world in WORLDS.items() for seed in seeds(world)]


@pytest.mark.parametrize(("world", "seed"), cases(lambda world: range(world.seeds)))
def test_nothing_acknowledged_is_lost_and_no_wrong_byte_is_returned(make_scene, world, seed):
    """Everything a user does, on two machines, under random faults, each failure a CasError."""
    model = Model(make_scene, seed, world)
    for _ in range(STEPS):
        model.step(model.rng.choice(ACTS))

    model.check()


@pytest.mark.slow
@pytest.mark.parametrize(("world", "seed"), cases(lambda _: range(100, 400)))
def test_nothing_is_lost_in_hundreds_of_longer_runs_either(make_scene, world, seed):
    """The same with more seeds and three times the steps."""
    model = Model(make_scene, seed, world)
    for _ in range(3 * STEPS):
        model.step(model.rng.choice([*ACTS, "race"]))

    model.check()


@pytest.mark.parametrize(("world", "seed"), cases(lambda _: range(10)))
def test_two_machines_that_put_at_once_lose_nothing(make_scene, world, seed):
    """Whoever is told that a version is published finds it whole, whatever the other one did."""
    model = Model(make_scene, seed, world)
    for _ in range(3):
        model.race()

    model.check()


@pytest.mark.parametrize("world", WORLDS)
def test_the_random_runs_meet_faults_and_get_something_done(make_scene, world):
    """The seeds are no use if nothing fails, or if everything does."""
    faults = gave_up = published = 0
    for seed in range(10):
        model = Model(make_scene, seed, world)
        for _ in range(STEPS):
            model.step("put")
        faults += sum(one.fault is not None for plan in model.plans for one in plan.log)
        gave_up += sum(isinstance(error, cas.BackendError) for error in model.failures)
        published += len(model.scene.listed(keys.versions_prefix(NAME)))

    assert faults > 50
    assert (gave_up == 0) if WORLDS[world].is_retried else (gave_up > 5)
    assert published > 30
