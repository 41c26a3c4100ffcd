"""How actors are written: small steps, each of at most one request, told apart by name.

The local state of an actor is a tuple: the name of its next step and that step's arguments. A step
is a function of the store, the setting and these arguments; it returns every move possible now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from protocol.rules import Rule
from protocol.store import OLD, PAGE, Out, Request, Store

Local = tuple[Any, ...]

Guesses = tuple[tuple[int, ...], ...]  # the sets of sessions that a collector may take for dead
Keys = tuple[tuple[int, int], ...]  # of intents

OVER: Local = ("over",)


class Go(NamedTuple):
    """One atomic look at the store, and what the actor does next because of it."""

    label: str
    then: Local


class Choose(NamedTuple):
    """A choice that depends on nothing in the store and that nobody else can see."""

    label: str
    then: Local


class Send(NamedTuple):
    """A request, and what the actor does next by the answer that it gets."""

    label: str
    request: Request
    done: Local
    taken: Local | None = None  # the key exists; None where a request cannot meet that
    unknown: Local | None = None  # the reply is lost; None: goes on as if done


Move = Go | Choose | Send


@dataclass(frozen=True)
class Setting:
    """What stays the same during one scenario."""

    out: Out = frozenset()  # rules taken out
    pages: dict[int, int] = field(default_factory=lambda: {PAGE: OLD})
    first_slot: int = 0  # the slot after the last that writers saw when they began
    variants: frozenset[str] = frozenset()  # see specs/protocol/model.md

    def keeps(self, rule: Rule) -> bool:
        """Tell whether a rule holds."""
        return rule not in self.out


Step = Callable[..., Iterable[Move]]

STEPS: dict[str, Step] = {}


def step(function: Step) -> Step:
    """Register a step under its name, which an actor's local state begins with."""
    assert function.__name__ not in STEPS
    STEPS[function.__name__] = function
    return function


def at(function: Step, *arguments: Any) -> Local:
    """Return the local state that is about to take a step."""
    return (function.__name__, *arguments)


def moves_of(local: Local, store: Store, setting: Setting) -> tuple[Move, ...]:
    """Return every move that an actor can make now, none if it is over."""
    return tuple(STEPS[local[0]](store, setting, *local[1:]))


@step
def over(_store: Store, _setting: Setting) -> Iterable[Move]:
    """End without having been told of a version."""
    return ()
