"""Long sequences of everything a user does, on a store where any request may go wrong."""

from __future__ import annotations

import random

import pytest

import cas
from cas.format import keys
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_slot
from cas.testing.corpora import random_content
from cas.testing.faulty import LOSSES, Fault, FaultyBackend
from cas.testing.trees import read_tree

NAME = ArtifactName("data")
SHARED = random_content(9, 90_000)
TREES = [
    {b"a": SHARED, b"b": b"b" * 900},
    {b"a": SHARED, b"b": b"c" * 900, b"d/e": random_content(8, 40_000)},
    {b"x": b"x" * 500},
]
STEPS = 12


class Model:
    """What the user was told, and what therefore must be true. None: told nothing certain."""

    def __init__(self, scene, seed):
        self.scene = scene
        self.rng = random.Random(seed)
        self.backend = FaultyBackend(
            scene.truth, seed=seed, rate=0.05, faults=[*LOSSES, Fault.LATE]
        )
        self.has_journal = seed % 2 == 0
        self.trees = {}
        self.hidden = {}
        self.alias = None
        self.puts = 0
        self.failures = 0

    @property
    def store(self):
        """The store, opened anew as each command does."""
        return self.scene.store(self.backend, journal=self.has_journal)

    def step(self, act):
        if not self.trees:
            act = "put"
        try:
            getattr(self, act)()
        except cas.CasError:  # whatever else comes out fails the test
            self.failures += 1

    def put(self):
        tree = self.rng.choice(TREES)
        source = self.scene.source(tree)
        self.puts += 1
        options = cas.PutOptions(provenance=False, message=str(self.puts))
        outcome = self.store.put(source, "data", options)
        # "Unchanged" may find a version that an earlier put could not acknowledge.
        assert self.trees.setdefault(outcome.number, tree) == tree
        self.hidden.setdefault(outcome.number, False)

    def get(self):
        number = self.rng.choice(sorted(self.trees))
        target = self.scene.folder / f"out-{self.backend.operations}"
        self.store.get(f"data:v{number}", target)
        assert self.hidden[number] is not True
        assert read_tree(target) == self.trees[number]

    def tag(self):
        number = self.rng.choice(sorted(self.trees))
        self.alias = None
        self.store.tag(f"data:v{number}", ["best"])
        self.alias = number

    def read_alias(self):
        number = self.store.version("data:best").number
        assert self.alias in (None, number)
        assert self.hidden.get(number) is not True

    def delete(self):
        number = self.rng.choice(sorted(self.trees))
        was, self.hidden[number] = self.hidden.get(number), None
        try:
            self.store.delete(f"data:v{number}", force=True)
        except cas.NotFoundError:
            self.hidden[number] = was  # it is in the trash already, or never was
            raise
        self.hidden[number] = True

    def restore(self):
        number = self.rng.choice(sorted(self.trees))
        was, self.hidden[number] = self.hidden.get(number), None
        try:
            self.store.restore(f"data:v{number}")
        except cas.NotFoundError:
            self.hidden[number] = was
            raise
        self.hidden[number] = False


@pytest.mark.parametrize("seed", range(100))
def test_nothing_acknowledged_is_lost_and_no_wrong_byte_is_returned(make_scene, seed):
    """Puts, gets, tags, deletions and restorations under random faults, each failure a CasError."""
    scene = make_scene()
    model = Model(scene, seed)
    acts = ["put", "put", "put", "get", "get", "tag", "read_alias", "delete", "restore"]
    for _ in range(STEPS):
        model.step(model.rng.choice(acts))
    model.backend.deliver_late()

    live = scene.live()
    for number, hidden in model.hidden.items():
        if number in model.trees and hidden is not None:
            assert (number not in live) == hidden
    for number, tree in model.trees.items():
        if number not in live:
            scene.store().restore(f"data:v{number}")
        assert scene.held(f"data:v{number}") == tree
    assert all(scene.held(f"data:v{number}") in TREES for number in live)
    messages = [
        record.message
        for record in (read_slot(scene.truth, NAME, n) for n in list_slots(scene.truth, NAME).slots)
        if isinstance(record, VersionRecord)
    ]
    assert len(messages) == len(set(messages)), "one put published two versions"


def test_the_random_runs_meet_faults_and_get_something_done(make_scene):
    """The seeds are no use if nothing fails, or if everything does."""
    failures = published = 0
    for seed in range(20):
        model = Model(make_scene(), seed)
        for _ in range(STEPS):
            model.step("put")
        failures += model.failures
        published += len(model.scene.listed(keys.versions_prefix(NAME)))

    assert failures > 10
    assert published > 60
