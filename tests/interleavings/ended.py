"""What must be true of a store after every schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from collected import OPTIONS, assert_clean, collect, held
from interleavings.scheduler import Actor

import cas
from cas.backend.base import Backend
from cas.backend.memory import MemoryBackend
from cas.errors import CasError, NotFoundError
from cas.format.version import MoveKind
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_last_move
from cas.testing.fault_plan import CrashError
from cas.testing.trees import Tree


@dataclass(frozen=True, slots=True)
class Told:
    """What an actor was told of a version: the number, and what is in it."""

    number: int
    tree: Tree


@dataclass(frozen=True, slots=True)
class Tagged:
    """An actor was told that an alias leads to the version there was."""

    alias: str


@dataclass(frozen=True, slots=True)
class Mended:
    """An actor was told that this version holds what it did, and is whole."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A store after a schedule.

    Attributes:
        number: the version that actors read, move and delete.
        trees: all that actors put.
        repair: mends what nobody has mended; None if nothing was damaged.
    """

    truth: MemoryBackend
    actors: tuple[Actor, ...]
    schedule: tuple[str, ...]
    number: int
    trees: tuple[Tree, ...]
    repair: Callable[[Backend], cas.RepairOutcome] | None = None

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
            braked = isinstance(actor.error, cas.RefusedError)
            assert not braked, f"{actor.name}: {actor.error}"
            damaged = isinstance(actor.error, cas.CorruptionError)
            assert not damaged, f"{actor.name} found damage: {actor.error}"
        if self.repair is not None and not self._answers(Mended):
            outcome = self.repair(self.truth)
            assert outcome.is_whole, f"beyond repair: {outcome}"
        self._check_versions()
        self._settle()
        self._check_versions()
        assert_clean(self.truth)

    def _answers(self, kind: type) -> list:
        return [actor.answer for actor in self.actors if isinstance(actor.answer, kind)]

    def _check_versions(self) -> None:
        """What was acknowledged is there whole, and nothing is visible that is not whole."""
        store = cas.Store.on(self.truth, options=OPTIONS)
        try:
            visible = {one.number for one in store.versions("data")}
        except NotFoundError:
            visible = set()
        told = {answer.number: answer for answer in self._answers(Told)}
        assert len(told) == len(self._answers(Told)), "two were told of the same version"
        assert set(told) <= visible, f"told of {sorted(told)}, visible are {sorted(visible)}"
        published = [store.version(f"data:v{number}").record.session for number in visible]
        assert len(published) == len(set(published)), "one session published twice"
        for number in visible:
            tree = held(self.truth, f"data:v{number}")
            assert tree in ([told[number].tree] if number in told else self.trees)
        self._check_moves(visible)

    def _check_moves(self, visible: set[int]) -> None:
        """Who was told that the version is gone was told the truth; so was who points to it."""
        done = {actor.name for actor in self.actors if actor.error is None}
        assert "purger" not in done or self.number not in visible, "a purged version is visible"
        listing = list_slots(self.truth, ArtifactName("data"))
        assert "purger" not in done or self._is_purged(listing), "a purged version is still there"
        removers = [one for one in self.actors if one.name in ("purger", "trasher")]
        if self.number in visible or any(one.error is not None for one in removers):
            return
        for tagged in self._answers(Tagged):
            reported = {alias for one in removers for each in one.answer for alias in each.aliases}
            assert tagged.alias in reported, "an alias leads to nothing, and nobody was told"

    def _is_purged(self, listing) -> bool:
        return read_last_move(self.truth, listing, self.number) is MoveKind.PURGE

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
