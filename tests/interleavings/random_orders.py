"""Random orders in which few actors are interrupted, and those where it matters.

Most losses need one actor to stand still at one place while others run far, some need two. Equal
chances at every operation hardly ever give that: of twenty operations an actor makes none while the
others make sixty. So a seed chooses how many interruptions there are, who is interrupted and where.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interleavings.scheduler import Actor, Chooser, Request

MOST_INTERRUPTIONS = 4
# An operation that depends on one of another actor is where an interruption may show.
SHARED_WEIGHT = 6


@dataclass(frozen=True, slots=True)
class Places:
    """Where each actor may be interrupted: before which of its operations, and how likely."""

    weights: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, actors: Sequence[Actor]) -> Places:
        """Learn from actors that have run to their ends, alone, what they do."""
        made = {actor.name: actor.made for actor in actors}

        def weight(name: str, request: Request) -> int:
            others = (one for other, them in made.items() if other != name for one in them)
            return SHARED_WEIGHT if any(request.depends_on(one) for one in others) else 1

        return cls({name: [weight(name, one) for one in them] for name, them in made.items()})

    def draw(self, chance: random.Random, name: str, made: int) -> int:
        """Return before which operation to interrupt an actor that has made some already."""
        weights = self.weights[name][made + 1 :] or [1]
        return made + 1 + chance.choices(range(len(weights)), weights)[0]


def by_seed(seed: int, places: Places) -> Chooser:
    """Return a random choice: one seed in eight anybody at any time, else with few interruptions.

    An actor runs on until its place or its end. Then another one does, which has a place of its own
    as long as interruptions are left, and at last all run to their ends.
    """
    chance = random.Random(seed)
    if seed % 8 == 7:
        return lambda waiting: chance.choice(sorted(waiting))
    left = chance.randint(1, MOST_INTERRUPTIONS)
    made = dict.fromkeys(places.weights, 0)
    runs, until = "", 0

    def choose(waiting: Mapping[str, Request]) -> str:
        nonlocal runs, until, left
        if runs not in waiting or made[runs] == until:
            runs = chance.choice(sorted(set(waiting) - {runs}) or [runs])
            until = places.draw(chance, runs, made[runs]) if left else -1
            left = max(0, left - 1)
        made[runs] += 1
        return runs

    return choose
