"""The search for orders that differ, compared with all orders there are."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from interleavings.every_order import EachOrderOnce
from interleavings.scheduler import Request, Stopped

Programs = dict[str, list[Request]]
KINDS = ("get", "put", "create", "list_objects")
KEYS = ("a/1", "a/2", "b/1")


def drawn(seed: int) -> Programs:
    """Draw what two or three actors do."""
    chance = random.Random(seed)

    def operation() -> Request:
        kind, key = chance.choice(KINDS), chance.choice(KEYS)
        return Request(kind, key.split("/", maxsplit=1)[0] if kind == "list_objects" else key)

    actors = chance.choice((2, 2, 3))
    most = 5 if actors == 2 else 3
    return {
        f"actor {number}": [operation() for _ in range(chance.randint(1, most))]
        for number in range(actors)
    }


def all_orders(programs: Programs, made: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    going = [name for name, steps in programs.items() if made.count(name) < len(steps)]
    if not going:
        yield made
    for name in going:
        yield from all_orders(programs, (*made, name))


def what_came_first(programs: Programs, order: Sequence[str]) -> frozenset:
    """Say of all operations that depend on each other which was first: that tells orders apart."""
    steps = [(name, order[:at].count(name)) for at, name in enumerate(order)]
    return frozenset(
        (one, other)
        for at, one in enumerate(steps)
        for other in steps[at + 1 :]
        if one[0] != other[0] and programs[one[0]][one[1]].depends_on(programs[other[0]][other[1]])
    )


def searched(programs: Programs) -> list[frozenset]:
    found = []
    for choose in EachOrderOnce().schedules():
        order: list[str] = []
        try:
            while waiting := {
                name: steps[order.count(name)]
                for name, steps in programs.items()
                if order.count(name) < len(steps)
            }:
                order.append(choose(waiting))
        except Stopped:
            continue
        found.append(what_came_first(programs, order))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_the_search_meets_each_order_that_differs_and_none_twice(seed):
    """Orders are the same if they differ only in operations that do not depend on each other."""
    programs = drawn(seed)

    found = searched(programs)

    assert len(found) == len(set(found))
    assert set(found) == {what_came_first(programs, order) for order in all_orders(programs)}
