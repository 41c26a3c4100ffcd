"""Each order once, of operations that depend on each other.

Orders that differ only in operations that do not depend on each other (other keys, or both only
read) are one. This is a search in depth by dynamic partial-order reduction, with source sets and
sleep sets: another actor goes first at a point only if an order that was run shows a race with it
from there on, and not again until an operation that its own depends on was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from interleavings.scheduler import Chooser, Request, Stopped


@dataclass
class Branch:
    """One point of a schedule: who could go on, who should, and who need not (again)."""

    waiting: dict[str, Request]
    asleep: set[str]
    chosen: str
    wanted: set[str]

    @property
    def step(self) -> Request:
        """What is done here."""
        return self.waiting[self.chosen]

    def wake(self) -> set[str]:
        """Return who need not be tried after this step, either: what it waits for still commutes
        with all that was done since it was tried.
        """
        step = self.step
        return {name for name in self.asleep if not self.waiting[name].depends_on(step)}


@dataclass
class EachOrderOnce:
    """Chooses so that every order of operations that depend on each other is met.

    Attributes:
        met: schedules that were run.
        cut_off: those of them that turned out to be others in disguise.
    """

    path: list[Branch] = field(default_factory=list)
    met: int = 0
    cut_off: int = 0

    @property
    def orders(self) -> int:
        """How many orders there were so far."""
        return self.met - self.cut_off

    def schedules(self) -> Iterator[Chooser]:
        """Yield choosers, one after the other; run a schedule with each."""
        while True:
            known = len(self.path)
            yield self._chooser()
            self.met += 1
            assert len(self.path) >= known
            add_races(self.path, max(0, known - 1))
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
            # Who is at it goes on, so that the first order has no interruption.
            last = self.path[-1].chosen if self.path else ""
            chosen = last if last in awake else awake[0]
            self.path.append(Branch(dict(waiting), asleep, chosen, {chosen}))
            return chosen

        return choose

    def _advance(self) -> bool:
        """Go to the next order; say whether there is one."""
        while self.path:
            branch = self.path[-1]
            branch.asleep = branch.asleep | {branch.chosen}
            wanted = sorted(branch.wanted - branch.asleep)
            if wanted:
                branch.chosen = wanted[0]
                return True
            self.path.pop()
        return False


def add_races(path: Sequence[Branch], start: int) -> None:
    """Note at each point who should go first there instead, by the steps from `start` on.

    No actor ever waits for another, so each that acts later could have acted at any point before.
    """
    before: list[int] = []  # for each step the set of those that must come first, as bits
    last: dict[str, int] = {}
    for number, branch in enumerate(path):
        own = last.get(branch.chosen)
        after = 0 if own is None else before[own] | 1 << own
        races = []
        for at in range(number - 1, -1, -1):
            if not after >> at & 1 and path[at].step.depends_on(branch.step):
                races.append(at)
                after |= before[at] | 1 << at
        before.append(after)
        last[branch.chosen] = number
        if number >= start:
            for at in races:
                _want_reversed(path, before, at, number)


def _want_reversed(path: Sequence[Branch], before: Sequence[int], at: int, number: int) -> None:
    """See to it that an order is run in which step `number` comes before step `at`."""
    free = [
        step for step in range(at + 1, number) if not before[step] >> at & 1
    ]  # what need not follow step `at`
    free.append(number)
    inside = 0
    firsts: list[str] = []
    for step in free:
        if not before[step] & inside and path[step].chosen not in firsts:
            firsts.append(path[step].chosen)
        inside |= 1 << step
    if not path[at].wanted & set(firsts):
        path[at].wanted.add(firsts[-1])
