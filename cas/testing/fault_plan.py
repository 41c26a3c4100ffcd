"""Which operation meets which fault: by a script or by chance, with a log of all that happened.

`FaultyBackend` and `FaultyFileSystem` ask a plan before each operation and let it perform the
operation, so that a fault means the same below and above the translation of drivers' errors.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, Self


class CrashError(BaseException):
    """The process is gone: nothing between here and the test may catch this."""


class Fault(StrEnum):
    """What can happen to one operation.

    An effect is atomic: an object is never stored in part.
    """

    CRASH_BEFORE = "crash-before"  # the process dies, nothing happened
    CRASH_AFTER = "crash-after"  # the process dies, it happened
    FAIL_BEFORE = "fail-before"  # an error, nothing happened
    FAIL_AFTER = "fail-after"  # an error, it happened; a listing breaks off halfway
    LATE = "late"  # an error; a write happens at the next `deliver_late`, or by chance
    EXISTS_AFTER = "exists-after"  # "exists" is said about one's own successful create
    SHORT = "short"  # a listing leaves out its second half and says nothing
    CUT = "cut"  # a read answers with fewer bytes than there are and says nothing
    LONG = "long"  # a read answers with more than was asked for
    WRONG = "wrong"  # a read answers with one bit changed
    LOST = "lost"  # a delete is reported as done and is not
    SLOW = "slow"  # the answer is right and comes after a pause


# Those of which a client learns that something is wrong, and after which it may go on.
LOSSES = (Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.EXISTS_AFTER)
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
# Answers to reads that are not what is stored.
WRONG_READS = (Fault.CUT, Fault.LONG, Fault.WRONG)

_READS = frozenset({"get", "cat_file"})
_DELETES = frozenset({"delete", "rm_file"})
_LISTINGS = frozenset({"list_objects", "list_folders", "find", "ls"})
_WRITES = frozenset({"put", "pipe_file", "create", "mv"}) | _DELETES
# The client does not hear what the effect came to.
_UNHEARD = frozenset({Fault.CRASH_AFTER, Fault.FAIL_AFTER, Fault.LATE, Fault.EXISTS_AFTER})
# Chance gives these faults to no other kinds of operation.
_KINDS = {
    Fault.LATE: _WRITES,
    Fault.EXISTS_AFTER: frozenset({"create"}),
    Fault.SHORT: _LISTINGS,
    Fault.CUT: _READS,
    Fault.LONG: _READS,
    Fault.WRONG: _READS,
    Fault.LOST: _DELETES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation, as the log has it. Numbers begin with 1."""

    number: int
    kind: str
    key: str
    fault: Fault | None = None


@dataclass(slots=True)
class _Rule:
    """The nth operation of a kind on a key that has `part` in it meets `fault`."""

    kind: str
    part: str
    nth: int
    fault: Fault
    seen: int = 0

    def is_due(self, kind: str, key: str) -> bool:
        if kind != self.kind or self.part not in key:
            return False
        self.seen += 1
        return self.seen == self.nth


@dataclass(frozen=True, slots=True)
class Failures:
    """The exceptions that a plan raises: how a failure looks, and how "exists" does."""

    failed: Callable[[Operation], Exception]
    exists: Callable[[Operation], Exception]


class FaultPlan:
    """Decides what each operation meets and keeps the log. Safe for threads.

    Faults come from a script (`fail_at`, `fail_nth`) or by chance (`seed` and `rate`); chance
    depends on nothing but the seed, the number and the kind of the operation. After a crash every
    operation raises `CrashError`; a process that starts again has a plan of its own. A pickled
    copy keeps seed, rate and faults; script and log stay behind.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        rate: float = 0.0,
        faults: Sequence[Fault] = LOSSES,
        pause: Callable[[], object] | None = None,
    ) -> None:
        """Make a plan without a script.

        Args:
            seed: what chance depends on.
            rate: the share of operations that meet a fault by chance, from 0 to 1.
            faults: what chance chooses from.
            pause: what a slow operation waits for; by default a twentieth of a second.
        """
        self._seed = seed
        self._rate = rate
        self._faults = tuple(faults)
        self._pause = pause or _wait_a_moment
        self._lock = threading.Lock()
        self._at: dict[int, Fault] = {}
        self._rules: list[_Rule] = []
        self._log: list[Operation] = []
        self._late: list[Callable[[], object]] = []
        self._crashed = False

    def fail_at(self, number: int, fault: Fault) -> Self:
        """Let the operation of that number, of whatever kind, meet `fault`."""
        self._at[number] = fault
        return self

    def fail_nth(self, kind: str, nth: int, fault: Fault, *, key: str = "") -> Self:
        """Let the nth operation of a kind meet `fault`, those counted that were already.

        Only operations on keys with `key` in them count.
        """
        rule = _Rule(kind, key, nth, fault)
        with self._lock:
            for past in self._log:
                rule.is_due(past.kind, past.key)
            self._rules.append(rule)
        return self

    @property
    def log(self) -> list[Operation]:
        """Every operation so far, in the order in which they began."""
        with self._lock:
            return list(self._log)

    @property
    def operations(self) -> int:
        """How many operations there were."""
        with self._lock:
            return len(self._log)

    @property
    def crashed(self) -> bool:
        """Whether a crash was met."""
        return self._crashed

    def deliver_late(self) -> int:
        """Let every late effect happen now, after whatever came since; return how many."""
        with self._lock:
            late, self._late = self._late, []
        for effect in late:
            with suppress(Exception):  # nobody waits for this answer any more
                effect()
        return len(late)

    def begin(self, kind: str, key: str) -> Operation:
        """Number and log an operation; hand the result to `finish`.

        Raises:
            CrashError: the process dies before it, or is dead already.
        """
        with self._lock:
            if self._crashed:
                raise CrashError("the process has crashed already")
            number = len(self._log) + 1
            due = [rule.fault for rule in self._rules if rule.is_due(kind, key)]
            fault = self._at.get(number) or next(iter(due), None) or self._by_chance(number, kind)
            operation = Operation(number=number, kind=kind, key=key, fault=fault)
            self._log.append(operation)
            if fault is Fault.CRASH_BEFORE:
                self._crashed = True
                raise CrashError(f"before operation {number}: {kind} {key}")
        if self._late and self.chance(number, "deliver") < self._rate:
            self.deliver_late()
        return operation

    def finish(self, operation: Operation, effect: Callable[[], object], failures: Failures) -> Any:
        """Perform an operation that has begun: its effect, its fault, or both.

        Returns:
            What the effect returned, or what a fault left of it.

        Raises:
            CrashError: the process dies after it.
        """
        fault = operation.fault
        if fault is Fault.FAIL_BEFORE:
            raise failures.failed(operation)
        if fault is Fault.LATE and operation.kind in _WRITES:
            with self._lock:
                self._late.append(effect)
            raise failures.failed(operation)
        if fault is Fault.LOST and operation.kind in _DELETES:
            return None
        if fault is Fault.SLOW:
            self._pause()
        if fault in _UNHEARD:
            with suppress(Exception):  # an answer that is lost may be an error, too
                effect()
            self._end_unheard(operation, failures)
        return self._spoil(effect(), operation)

    def _end_unheard(self, operation: Operation, failures: Failures) -> NoReturn:
        if operation.fault is Fault.CRASH_AFTER:
            with self._lock:
                self._crashed = True
            raise CrashError(f"after operation {operation.number}: {operation.kind}")
        if operation.fault is Fault.EXISTS_AFTER and operation.kind == "create":
            raise failures.exists(operation)
        raise failures.failed(operation)

    def chance(self, number: int, question: str) -> float:
        """Return a number from 0 up to 1 that looks random and is always the same."""
        seed = f"{self._seed} {number} {question}".encode()
        return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / 2**48

    def __reduce__(self) -> tuple[object, ...]:
        return _plan_again, (self._seed, self._rate, self._faults)

    def _by_chance(self, number: int, kind: str) -> Fault | None:
        if self.chance(number, "whether") >= self._rate:
            return None
        fitting = [fault for fault in self._faults if kind in _KINDS.get(fault, {kind})]
        return fitting[int(self.chance(number, "which") * len(fitting))] if fitting else None

    def _spoil(self, answer: Any, operation: Operation) -> Any:
        """Return what is left of an answer: of a listing half, of bytes some, more, or others."""
        fault, chance = operation.fault, self.chance(operation.number, "how much")
        if fault is Fault.SHORT and isinstance(answer, dict):
            return dict(list(answer.items())[: len(answer) // 2])
        if fault is Fault.SHORT and isinstance(answer, list):
            return answer[: len(answer) // 2]
        if not isinstance(answer, bytes):
            return answer
        if fault is Fault.CUT:
            return answer[: int(chance * len(answer))]
        if fault is Fault.LONG:
            return answer + bytes(1 + int(chance * 100))
        if fault is Fault.WRONG and answer:
            at, bit = divmod(int(chance * len(answer) * 8), 8)
            return answer[:at] + bytes([answer[at] ^ 1 << bit]) + answer[at + 1 :]
        return answer


def _wait_a_moment() -> None:
    threading.Event().wait(0.05)


def _plan_again(seed: int, rate: float, faults: tuple[Fault, ...]) -> FaultPlan:
    return FaultPlan(seed=seed, rate=rate, faults=faults)
