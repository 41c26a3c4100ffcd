"""Who goes next: by a seed, by a list that is replayed, or each order once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from interleavings.scheduler import Chooser, Request, Stopped

CHANGES = 3  # how often a schedule by priorities puts the first one last
EXPECTED_OPERATIONS = 60


def by_seed(seed: int, names: Sequence[str]) -> Chooser:
    """Return a random choice: half the seeds anybody at any time, half of them by priorities.

    By priorities one actor runs on until one of a few random moments, when it becomes the last.
    That finds what needs long runs without a change, which equal chances rarely give.
    """
    chance = random.Random(seed)
    if seed % 2:
        return lambda waiting: chance.choice(sorted(waiting))
    ranks = list(names)
    chance.shuffle(ranks)
    moments = {chance.randrange(EXPECTED_OPERATIONS) for _ in range(CHANGES)}
    steps = iter(range(1 << 30))

    def choose(waiting: Mapping[str, Request]) -> str:
        first = next(name for name in ranks if name in waiting)
        if next(steps) in moments:
            ranks.remove(first)
            ranks.append(first)
            first = next(name for name in ranks if name in waiting)
        return first

    return choose


def replay(schedule: Sequence[str]) -> Chooser:
    """Return a choice that follows a list, and then anybody."""
    left = iter(schedule)

    def choose(waiting: Mapping[str, Request]) -> str:
        name = next(left, None)
        return name if name in waiting else min(waiting)

    return choose


@dataclass
class Branch:
    """One point of a schedule: who could go on, and who need not be tried (again) here."""

    waiting: dict[str, Request]
    asleep: set[str]
    chosen: str

    def wake(self) -> set[str]:
        """Return who need not be tried after this step, either: what it waits for still commutes
        with all that was done since it was tried.
        """
        step = self.waiting[self.chosen]
        return {name for name in self.asleep if not self.waiting[name].depends_on(step)}


@dataclass
class EachOrderOnce:
    """Chooses so that every order of operations that depend on each other is met exactly once.

    Orders that differ only in operations that do not depend on each other (other keys, or both
    only read) are one. This is a search in depth with sleep sets: an actor that was tried at a point
    sleeps below the others tried there, until an operation that its own depends on wakes it.
    """

    path: list[Branch] = field(default_factory=list)
    met: int = 0
    cut_off: int = 0

    def schedules(self) -> Iterator[Chooser]:
        """Yield choosers, one after the other; run a schedule with each."""
        while True:
            kept = len(self.path)
            yield self._chooser()
            self.met += 1
            assert len(self.path) >= kept
            if not self._advance():
                return

    def _chooser(self) -> Chooser:
        given = len(self.path)
        step = iter(range(1 << 30))

        def choose(waiting: Mapping[str, Request]) -> str:
            at = next(step)
            if at < given:
                branch = self.path[at]
                assert branch.waiting == waiting, "an actor acts differently when run again"
                return branch.chosen
            asleep = self.path[-1].wake() if self.path else set()
            awake = sorted(set(waiting) - asleep)
            if not awake:
                self.cut_off += 1
                raise Stopped
            self.path.append(Branch(dict(waiting), asleep, awake[0]))
            return awake[0]

        return choose

    def _advance(self) -> bool:
        """Go to the next order; say whether there is one."""
        while self.path:
            branch = self.path[-1]
            branch.asleep = branch.asleep | {branch.chosen}
            awake = sorted(set(branch.waiting) - branch.asleep)
            if awake:
                branch.chosen = awake[0]
                return True
            self.path.pop()
        return False


def by_script(*parts: tuple[str, *tuple[str | int, ...]]) -> Chooser:
    """Return a choice that lets one actor after the other run.

    Each part names an actor, and how far it goes: to its end, by a number of operations, or up to
    an operation given by its kind (or none) and a part of its key. After the last part anybody runs.
    """
    left = [[*part] for part in parts]

    def choose(waiting: Mapping[str, Request]) -> str:
        while left:
            name, *how_far = left[0]
            request = waiting.get(name)
            if request is None or _is_there(how_far, request):
                left.pop(0)
                continue
            if len(how_far) == 1:
                left[0][1] -= 1
            return name
        return min(waiting)

    return choose


def _is_there(how_far: Sequence[str | int], request: Request) -> bool:
    if len(how_far) == 1:
        return how_far[0] == 0
    return len(how_far) == 2 and how_far[0] in ("", request.kind) and how_far[1] in request.key
