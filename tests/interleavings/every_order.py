"""Each order once, of operations that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from interleavings.scheduler import Chooser, Request, Stopped


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
