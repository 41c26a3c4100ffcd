"""A backend that fails as real ones do: lost replies, crashes, late effects, short listings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeVar

from cas.backend.base import Backend, Buffer, StoredObject
from cas.backend.forwarding import ForwardingBackend
from cas.errors import AlreadyExistsError, BackendError, ErrorCode
from cas.testing.fault_plan import LOSSES, CrashError, Failures, Fault, FaultPlan, Operation

__all__ = ["LOSSES", "CrashError", "Fault", "FaultyBackend", "Operation"]

_Answer = TypeVar("_Answer")


class FaultyBackend(ForwardingBackend):
    """Passes calls on to another backend, except for the faults asked for. Safe for threads.

    Faults come from a script (`fail_at`, `fail_nth`) or by chance (`seed` and `rate`), as a
    `FaultPlan` has it. Errors are those of a backend; `FaultyFileSystem` has those of drivers.

    Examples:
        >>> from cas.backend.memory import MemoryBackend
        >>> backend = FaultyBackend(MemoryBackend()).fail_nth("put", 1, Fault.FAIL_AFTER)
        >>> backend.put("key", [b"content"])
        Traceback (most recent call last):
        cas.errors.BackendError: key: operation 1, put, met fail-after
        >>> backend.get("key")
        b'content'
    """

    def __init__(
        self,
        backend: Backend,
        *,
        seed: int = 0,
        rate: float = 0.0,
        faults: Sequence[Fault] = LOSSES,
        plan: FaultPlan | None = None,
    ) -> None:
        """Wrap a backend; a `plan` that is given stands for seed, rate and faults."""
        super().__init__(backend)
        self._plan = plan or FaultPlan(seed=seed, rate=rate, faults=faults)

    def fail_at(self, number: int, fault: Fault) -> Self:
        """Let the operation of that number, of whatever kind, meet `fault`."""
        self._plan.fail_at(number, fault)
        return self

    def fail_nth(self, kind: str, nth: int, fault: Fault, *, key: str = "") -> Self:
        """Let the nth `get`, `put`, `create` or other kind meet `fault`, earlier ones counted.

        Only operations on keys with `key` in them count.
        """
        self._plan.fail_nth(kind, nth, fault, key=key)
        return self

    @property
    def log(self) -> list[Operation]:
        """Every operation so far, in the order in which they began."""
        return self._plan.log

    @property
    def operations(self) -> int:
        """How many operations there were."""
        return self._plan.operations

    @property
    def crashed(self) -> bool:
        """Whether a crash was met."""
        return self._plan.crashed

    def deliver_late(self) -> int:
        """Let every late effect happen now, after whatever came since; return how many."""
        return self._plan.deliver_late()

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
        operation = self._begin("list_objects", prefix)
        if operation.fault is Fault.FAIL_AFTER:
            found = sorted(self._backend.list_objects(prefix))
            return _break_off(found[: len(found) // 2], _failed(operation))
        return iter(self._finish(operation, lambda: sorted(self._backend.list_objects(prefix))))

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders, or meet a fault."""
        return self._run("list_folders", prefix, lambda: self._backend.list_folders(prefix))

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self._backend, self._plan)

    def _run(self, kind: str, key: str, effect: Callable[[], _Answer]) -> _Answer:
        return self._finish(self._begin(kind, key), effect)

    def _begin(self, kind: str, key: str) -> Operation:
        return self._plan.begin(kind, key)

    def _finish(self, operation: Operation, effect: Callable[[], _Answer]) -> _Answer:
        answer: _Answer = self._plan.finish(operation, effect, Failures(_failed, _exists))
        return answer


def _failed(operation: Operation) -> BackendError:
    return BackendError(
        f"{operation.key}: operation {operation.number}, {operation.kind}, met {operation.fault}",
        code=ErrorCode.BACKEND_FAILED,
    )


def _exists(operation: Operation) -> AlreadyExistsError:
    return AlreadyExistsError(f"{operation.key}: exists already", code=ErrorCode.OBJECT_EXISTS)


def _break_off(found: list[StoredObject], failure: BackendError) -> Iterator[StoredObject]:
    yield from found
    raise failure


def _reopen(backend: Backend, plan: FaultPlan) -> FaultyBackend:
    return FaultyBackend(backend, plan=plan)
