"""Breadth-first search of every interleaving of the actors of a scenario.

Stores and local states are numbered as they are met, and a state is one integer made of these
numbers: the store, the late requests, the faults left, and the local state of each actor. What an
actor can do depends on the store and its local state alone, so it is worked out once for each pair.
The set of visited states is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from protocol.invariants import marks_of, wrong_at_end, wrong_with_actor, wrong_with_store
from protocol.steps import OVER, Choose, Go, Local, Move, Setting, moves_of
from protocol.store import Request, Store, perform

STORE_BITS, LATE_BITS, FAULT_BITS, LOCAL_BITS = 24, 16, 4, 22
LATE_AT = STORE_BITS
FAULTS_AT = LATE_AT + LATE_BITS
LOCALS_AT = FAULTS_AT + FAULT_BITS
STORE_MASK = (1 << STORE_BITS) - 1
LATE_MASK = (1 << LATE_BITS) - 1
FAULTS_MASK = (1 << FAULT_BITS) - 1
LOCAL_MASK = (1 << LOCAL_BITS) - 1
SITUATION_MASK = (1 << FAULTS_AT) - 1  # the store and the late requests


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Who acts on what, and which faults there may be."""

    name: str
    actors: tuple[Local, ...]
    store: Store
    setting: Setting = field(default_factory=Setting)
    faults: int = 0  # how many requests may lose their reply
    faulty: frozenset[str] | None = None  # the kinds of requests that may; None: all
    late: tuple[Request, ...] = ()  # requests under way from the beginning
    reaches: tuple[str, ...] = ()  # marks of states that the search must meet
    deep: bool = False  # takes too long for every change


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the search of a scenario found."""

    states: int
    depth: int
    wrong: str | None
    trace: tuple[str, ...]
    marks: frozenset[str]


class Edge(NamedTuple):
    """One thing that can happen to a pair of a store and a local state."""

    store: int
    local: int
    late: int = -1  # the request that is under way afterwards; -1: none
    faults: int = 0
    label: str = ""


class Ways(NamedTuple):
    """What can happen to a pair, in numbers: (store, local), or with late and faults as well."""

    plain: tuple[tuple[int, int], ...]
    faulty: tuple[tuple[int, int, int, int], ...]


class Numbered:
    """Values and their numbers."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any) -> int:
        """Return the number of a value, the next one if it is new."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Search:
    """The search of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        """Begin with the scenario's first state."""
        self._scenario = scenario
        self._setting = scenario.setting
        self._stores, self._locals = Numbered(), Numbered()
        self._requests, self._late = Numbered(), Numbered()
        self._ways: dict[int, Ways] = {}
        self._chooses: set[int] = set()  # local states that only choose
        self._landings: dict[int, int] = {}
        self._wrong: str | None = None
        self._marks: set[str] = set()
        self._shifts = [LOCALS_AT + LOCAL_BITS * at for at in range(len(scenario.actors))]

    def run(self) -> Found:
        """Visit every state, or as many as there are before the first wrong one."""
        first = self._first_state()
        parents: dict[int, int] = {first: -1}
        sound: set[int] = set()  # situations that were looked at
        level, depth = [first], 0
        while level:
            following = []
            for state in level:
                situation = state & SITUATION_MASK
                if situation not in sound:
                    sound.add(situation)
                    self._wrong = self._examine(situation)
                children = self._children(state) if self._wrong is None else []
                if self._wrong is not None:
                    return self._found(parents, depth, self._trace(parents, state))
                for child in children:
                    if child not in parents:
                        parents[child] = state
                        following.append(child)
            depth += bool(following)
            level = following
        return self._found(parents, depth, ())

    def _found(self, parents: dict[int, int], depth: int, trace: tuple[str, ...]) -> Found:
        return Found(
            states=len(parents),
            depth=depth,
            wrong=self._wrong,
            trace=trace,
            marks=frozenset(self._marks),
        )

    def _first_state(self) -> int:
        scenario = self._scenario
        self._late.number(())
        late = tuple(sorted(self._requests.number(one) for one in scenario.late))
        state = self._stores.number(scenario.store)
        state |= self._late.number(late) << LATE_AT
        state |= scenario.faults << FAULTS_AT
        for shift, local in zip(self._shifts, scenario.actors, strict=True):
            state |= self._locals.number(local) << shift
        return state

    # Transitions -----------------------------------------------------------------------------

    def _children(self, state: int) -> list[int]:
        """Return the states that may follow; sets what is wrong with this one, if anything is."""
        store = state & STORE_MASK
        faults = (state >> FAULTS_AT) & FAULTS_MASK
        children: list[int] = []
        found = []
        for shift in self._shifts:
            local = (state >> shift) & LOCAL_MASK
            pair = (local << STORE_BITS) | store
            ways = self._ways.get(pair)
            if ways is None:
                ways = self._ways[pair] = self._expand(pair)
            base = state - store - (local << shift)
            if local in self._chooses:  # commutes with everything: nothing is missed by going first
                return [base + after + (then << shift) for after, then in ways.plain]
            found.append((shift, base, ways))
        for shift, base, ways in found:
            for after, then in ways.plain:
                children.append(base + after + (then << shift))
            if faults:
                for after, then, late, cost in ways.faulty:
                    child = base + after + (then << shift) - (cost << FAULTS_AT)
                    children.append(child if late < 0 else self._with_late(child, late))
        if (state >> LATE_AT) & LATE_MASK:
            children.extend(child for child, _ in self._landed(state))
        if not children:
            self._wrong = wrong_at_end(self._stores.values[store], self._locals_of(state))
        return children

    def _locals_of(self, state: int) -> list[Local]:
        return [self._locals.values[(state >> shift) & LOCAL_MASK] for shift in self._shifts]

    def _with_late(self, state: int, request: int) -> int:
        """Return a state in which one more request is under way."""
        late = (state >> LATE_AT) & LATE_MASK
        more = self._late.number(tuple(sorted((*self._late.values[late], request))))
        return state + ((more - late) << LATE_AT)

    def _landed(self, state: int) -> Iterator[tuple[int, Request]]:
        """Return the states in which one of the late requests has landed."""
        store = state & STORE_MASK
        late = (state >> LATE_AT) & LATE_MASK
        flying = self._late.values[late]
        for request in dict.fromkeys(flying):
            key = (request << STORE_BITS) | store
            after = self._landings.get(key)
            if after is None:
                landed = self._perform(store, self._requests.values[request])[0]
                after = self._landings[key] = self._stores.number(landed)
            rest = list(flying)
            rest.remove(request)
            fewer = self._late.number(tuple(rest))
            moved = state + after - store + ((fewer - late) << LATE_AT)
            yield moved, self._requests.values[request]

    def _perform(self, store: int, request: Request) -> tuple[Store, bool]:
        return perform(self._stores.values[store], request, self._setting.out)

    def _expand(self, pair: int) -> Ways:
        """Work out what an actor can do, and look whether it may be where it is."""
        store, local = pair & STORE_MASK, pair >> STORE_BITS
        here, me = self._stores.values[store], self._locals.values[local]
        self._wrong = self._wrong or wrong_with_actor(here, me)
        self._marks.update(marks_of(here, me))
        moves = moves_of(me, here, self._setting)
        if moves and all(isinstance(move, Choose) for move in moves):
            self._chooses.add(local)
        edges = [edge for move in moves for edge in self._edges_of(store, move)]
        return Ways(
            tuple(edge[:2] for edge in edges if not edge.faults),
            tuple(edge[:4] for edge in edges if edge.faults),
        )

    def _edges_of(self, store: int, move: Move) -> Iterator[Edge]:
        """Return how a move may turn out; a request with up to one fault."""
        if isinstance(move, Go | Choose):
            yield Edge(store, self._locals.number(move.then), label=move.label)
            return
        landed, done = self._perform(store, move.request)
        after = self._stores.number(landed)
        told = self._locals.number(move.done if done else move.taken or OVER)
        label = move.label if done else f"{move.label}: taken"
        yield Edge(after, told, label=label)
        kinds = self._scenario.faulty
        if not self._scenario.faults or not (kinds is None or move.request[0] in kinds):
            return
        unknown = self._locals.number(move.unknown or move.done)
        yield Edge(after, unknown, faults=1, label=f"{label}, and the reply is lost")
        if done:
            late = self._requests.number(move.request)
            yield Edge(store, unknown, late, 1, f"{move.label}: no reply, it is still under way")
            yield Edge(after, told, late, 1, f"{label}, and a duplicate is under way")

    def _examine(self, situation: int) -> str | None:
        store = self._stores.values[situation & STORE_MASK]
        late = self._late.values[situation >> LATE_AT]
        requests = tuple(self._requests.values[one] for one in late)
        return wrong_with_store(store, requests, self._setting)

    # Traces ----------------------------------------------------------------------------------

    def _trace(self, parents: dict[int, int], state: int) -> tuple[str, ...]:
        """Return what led to a state, the first thing first."""
        lines = []
        while (parent := parents[state]) >= 0:
            lines.append(self._explain(parent, state))
            state = parent
        return tuple(reversed(lines))

    def _explain(self, parent: int, child: int) -> str:
        """Return what led from one state to the next."""
        store = parent & STORE_MASK
        for number, shift in enumerate(self._shifts):
            local = (parent >> shift) & LOCAL_MASK
            moves = moves_of(self._locals.values[local], self._stores.values[store], self._setting)
            for edge in (edge for move in moves for edge in self._edges_of(store, move)):
                moved = parent - store + edge.store + ((edge.local - local) << shift)
                moved -= edge.faults << FAULTS_AT
                if edge.late >= 0:
                    moved = self._with_late(moved, edge.late)
                if moved == child:
                    return f"{self._name(number)} {edge.label}"
        for moved, request in self._landed(parent):
            if moved == child:
                return f"late request lands: {request}"
        raise AssertionError("a state without a cause")

    def _name(self, number: int) -> str:
        return f"{self._scenario.actors[number][0]} #{number}"


def search(scenario: Scenario) -> Found:
    """Visit every state of a scenario, up to the first wrong one."""
    return Search(scenario).run()
