"""A backend that fails as real ones do: lost replies, crashes, late effects, short listings."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self, TypeVar

from cas.backend.base import Backend, Buffer, Capabilities, StoredObject
from cas.errors import AlreadyExistsError, BackendError, ErrorCode

_Answer = TypeVar("_Answer")


class CrashError(BaseException):
    """The process is gone: nothing between here and the test may catch this."""


class Fault(StrEnum):
    """What can happen to one operation.

    An effect is atomic: an object is never stored in part.
    """

    CRASH_BEFORE = "crash-before"  # the process dies, nothing happened
    CRASH_AFTER = "crash-after"  # the process dies, it happened
    FAIL_BEFORE = "fail-before"  # BackendError, nothing happened
    FAIL_AFTER = "fail-after"  # BackendError, it happened; a listing breaks off halfway
    LATE = "late"  # BackendError, it happens at the next `deliver_late`, or by chance
    EXISTS_AFTER = "exists-after"  # AlreadyExistsError about one's own successful create
    SHORT = "short"  # a listing leaves out its second half and says nothing


# Those of which a client learns that something is wrong, and after which it may go on.
LOSSES = (Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.EXISTS_AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of the backend, as the log has it. Numbers begin with 1."""

    number: int
    kind: str
    key: str
    fault: Fault | None = None


class FaultyBackend:
    """Passes calls on to another backend, except for the faults asked for. Safe for threads.

    Faults come from a script (`fail_at`, `fail_nth`) or by chance (`seed` and `rate`); chance
    depends on nothing but the seed and the number of the operation. After a crash every call
    raises `CrashError`; a process that starts again is a new FaultyBackend on the same backend.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        seed: int = 0,
        rate: float = 0.0,
        faults: Sequence[Fault] = LOSSES,
    ) -> None:
        self._backend = backend
        self._seed = seed
        self._rate = rate
        self._faults = tuple(faults)
        self._lock = threading.Lock()
        self._at: dict[int, Fault] = {}
        self._nth: dict[tuple[str, int], Fault] = {}
        self._kinds: dict[str, int] = {}
        self._log: list[Operation] = []
        self._late: list[Callable[[], object]] = []
        self._crashed = False

    def fail_at(self, number: int, fault: Fault) -> Self:
        """Let the operation of that number, of whatever kind, meet `fault`."""
        self._at[number] = fault
        return self

    def fail_nth(self, kind: str, nth: int, fault: Fault) -> Self:
        """Let the nth operation of a kind (`get`, `put`, `create`, ...) meet `fault`."""
        self._nth[kind, nth] = fault
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
            _settle(effect)
        return len(late)

    @property
    def url(self) -> str:
        """Where the objects are."""
        return self._backend.url

    @property
    def capabilities(self) -> Capabilities:
        """What the backend promises when nothing fails."""
        return self._backend.capabilities

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object, or meet a fault."""
        return self._run("get", key, lambda: self._backend.get(key, start, stop))

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object, or meet a fault."""
        # A late effect must not see what the caller does with its buffers meanwhile.
        kept = [bytes(part) for part in parts]
        self._run("put", key, lambda: self._backend.put(key, kept))

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists, or meet a fault."""
        self._run("create", key, lambda: self._backend.create(key, content))

    def delete(self, key: str) -> None:
        """Remove an object, or meet a fault."""
        self._run("delete", key, lambda: self._backend.delete(key))

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, or meet a fault."""
        fault, failure = self._begin("list_objects", prefix)
        found = sorted(self._backend.list_objects(prefix))
        if fault is Fault.SHORT:
            return iter(found[: len(found) // 2])
        if fault is Fault.FAIL_AFTER:
            return _break_off(found[: len(found) // 2], failure)
        self._end(fault, failure)
        return iter(found)

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders, or meet a fault."""
        fault, failure = self._begin("list_folders", prefix)
        found = self._backend.list_folders(prefix)
        if fault is Fault.SHORT:
            return found[: len(found) // 2]
        self._end(fault, failure)
        return found

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self._backend, self._seed, self._rate, self._faults)

    def _run(self, kind: str, key: str, effect: Callable[[], _Answer]) -> _Answer:
        fault, failure = self._begin(kind, key)
        if fault is Fault.LATE and kind != "get":
            with self._lock:
                self._late.append(effect)
            raise failure
        answer = effect()
        if fault is Fault.EXISTS_AFTER and kind == "create":
            raise AlreadyExistsError(f"{key}: exists already", code=ErrorCode.OBJECT_EXISTS)
        self._end(fault, failure)
        return answer

    def _begin(self, kind: str, key: str) -> tuple[Fault | None, BackendError]:
        """Number and log an operation; raise what happens before its effect."""
        with self._lock:
            if self._crashed:
                raise CrashError("the process has crashed already")
            number = len(self._log) + 1
            nth = self._kinds[kind] = self._kinds.get(kind, 0) + 1
            fault = self._at.get(number) or self._nth.get((kind, nth)) or self._by_chance(number)
            self._log.append(Operation(number=number, kind=kind, key=key, fault=fault))
            if fault is Fault.CRASH_BEFORE:
                self._crashed = True
                raise CrashError(f"before operation {number}: {kind} {key}")
        failure = BackendError(
            f"{key}: operation {number}, {kind}, met {fault}", code=ErrorCode.BACKEND_FAILED
        )
        if self._late and self._chance(number, "deliver") < self._rate:
            self.deliver_late()
        if fault is Fault.FAIL_BEFORE:
            raise failure
        return fault, failure

    def _end(self, fault: Fault | None, failure: BackendError) -> None:
        """Raise what happens after the effect of an operation."""
        if fault is Fault.CRASH_AFTER:
            with self._lock:
                self._crashed = True
            raise CrashError(f"after its effect: {failure}")
        if fault in (Fault.FAIL_AFTER, Fault.LATE, Fault.EXISTS_AFTER):
            raise failure

    def _by_chance(self, number: int) -> Fault | None:
        if not self._faults or self._chance(number, "whether") >= self._rate:
            return None
        return self._faults[int(self._chance(number, "which") * len(self._faults))]

    def _chance(self, number: int, question: str) -> float:
        """Return a number from 0 up to 1 that looks random and is always the same."""
        seed = f"{self._seed} {number} {question}".encode()
        return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / 2**48


def _settle(effect: Callable[[], object]) -> None:
    try:
        effect()
    except (AlreadyExistsError, BackendError):
        return  # nobody waits for this answer any more


def _break_off(found: list[StoredObject], failure: BackendError) -> Iterator[StoredObject]:
    yield from found
    raise failure


def _reopen(backend: Backend, seed: int, rate: float, faults: tuple[Fault, ...]) -> FaultyBackend:
    return FaultyBackend(backend, seed=seed, rate=rate, faults=faults)
