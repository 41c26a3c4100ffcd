"""A backend that does not give up at the first failure.

Transient failures are tried again after a jittered, growing pause, as long as something on this
backend succeeds now and then; permanent ones are passed on at once. Spec:
specs/protocol/backend.md, "Failures and retries".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cas.backend.base import Backend, Buffer, StoredObject
from cas.backend.concurrency import ConcurrencyLimit
from cas.backend.forwarding import ForwardingBackend
from cas.backend.waiting import TOLD_AFTER_SECONDS, WAITING
from cas.environment import monotonic_seconds
from cas.errors import BackendError, ErrorCode

# Trying again changes nothing about these.
PERMANENT = frozenset({ErrorCode.ACCESS_DENIED, ErrorCode.NO_CREDENTIALS, ErrorCode.DISK_FULL})

# One request that always fails ends in this many times the patience, whatever others achieve.
MOST_PATIENCE = 5

if TYPE_CHECKING:
    from tenacity import RetryCallState

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a backend is. All in seconds.

    Attributes:
        patience_seconds: fail when no request at all has succeeded for so long.
        first_patience_seconds: the same before the first success.
        unreachable_patience_seconds: the same if there is nobody to ask: a wrong address, or a
            server that does not run, should show soon.
        first_pause_seconds: the first pause is random up to this; each next one up to twice that.
        longest_pause_seconds: no pause is longer.
    """

    patience_seconds: float = 120.0
    first_patience_seconds: float = 20.0
    unreachable_patience_seconds: float = 4.0
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 20.0


@dataclass(slots=True)
class _Progress:
    """When something last succeeded, for all threads together."""

    last_success: float | None = None


class RequestRunner:
    """Makes requests of one storage, a bounded number at once, and again when they fail.

    Thread-safe. A request is a call that raises a `BackendError` when it fails, and that may be
    made again.
    """

    def __init__(
        self, policy: RetryPolicy | None = None, limit: ConcurrencyLimit | None = None
    ) -> None:
        self.policy = policy or RetryPolicy()
        self.limit = limit or ConcurrencyLimit()
        self._progress = _Progress()
        self._closed = threading.Event()

    def close(self) -> None:
        """End all pauses, so that whoever waits gets the last failure."""
        self._closed.set()

    def run(
        self, request: Callable[[], _Answer], moved: Callable[[_Answer], int] = lambda _: 0
    ) -> _Answer:
        """Return what `request` returns at last; `moved` tells how many bytes that was.

        Raises:
            BackendError: the last failure, when patience is at its end or more would not help.
        """
        started = monotonic_seconds()
        try:
            return self._attempt(request, moved)
        except BackendError as error:
            if not self._is_worth_retrying(error):
                raise
            failed = error
        return self._run_again(lambda: self._attempt(request, moved), failed, started)

    def _attempt(self, request: Callable[[], _Answer], moved: Callable[[_Answer], int]) -> _Answer:
        try:
            with self.limit.request():
                answer = request()
        except BackendError as error:
            if error.code is ErrorCode.THROTTLED:
                self.limit.note_throttled()
            raise
        self.limit.note_success(moved(answer))
        self._progress.last_success = monotonic_seconds()
        return answer

    def _run_again(
        self, attempt: Callable[[], _Answer], failed: BackendError, started: float
    ) -> _Answer:
        """Try again what failed once, at `started`."""
        # It takes 10 ms to import, which commands that meet no failure need not spend.
        from tenacity import Retrying, retry_if_exception, wait_random_exponential

        failures = [failed]

        def again() -> _Answer:
            if failures:
                raise failures.pop()
            return attempt()

        policy = self.policy
        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_retrying),
            wait=wait_random_exponential(
                multiplier=policy.first_pause_seconds, max=policy.longest_pause_seconds
            ),
            stop=lambda state: self._is_over(started, state),
            before_sleep=lambda state: _tell(started, state),
            sleep=self._pause,
            retry_error_callback=lambda state: _give_up(started, state),
        )
        return retrying(again)

    @staticmethod
    def _is_worth_retrying(error: BaseException) -> bool:
        return isinstance(error, BackendError) and error.code not in PERMANENT

    def _is_over(self, started: float, state: RetryCallState) -> bool:
        if self._closed.is_set():
            return True
        last = self._progress.last_success
        patience = self.policy.patience_seconds if last else self._first_patience(state)
        # What others achieved meanwhile counts: the storage is there, only slow.
        since = max(started, last or started)
        then = monotonic_seconds() + state.upcoming_sleep
        return then - since > patience or then - started > MOST_PATIENCE * patience

    def _first_patience(self, state: RetryCallState) -> float:
        longest = self.policy.first_patience_seconds
        if _failure_of(state).code is not ErrorCode.UNREACHABLE:
            return longest
        return min(longest, self.policy.unreachable_patience_seconds)

    def _pause(self, seconds: float) -> None:
        self._closed.wait(seconds)


class RetryingBackend(ForwardingBackend):
    """Passes calls on to another backend, a bounded number at once, and again when they fail.

    `create` is tried again too: its caller reads the key back whatever the answer is, so the
    second try's "exists" about the first one's success does no harm.
    """

    def __init__(
        self,
        backend: Backend,
        policy: RetryPolicy | None = None,
        limit: ConcurrencyLimit | None = None,
    ) -> None:
        super().__init__(backend)
        self._runner = RequestRunner(policy, limit)

    @property
    def limit(self) -> ConcurrencyLimit:
        """How many requests may be in flight."""
        return self._runner.limit

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object."""
        return self._runner.run(lambda: self._backend.get(key, start, stop), len)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object; the same bytes under the same key each time it is tried."""
        size = sum(memoryview(part).nbytes for part in parts)
        self._runner.run(lambda: self._backend.put(key, parts), lambda _: size)

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists."""
        self._runner.run(lambda: self._backend.create(key, content), lambda _: len(content))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._runner.run(lambda: self._backend.delete(key))

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder; a listing that fails midway is begun again."""
        return iter(self._runner.run(lambda: list(self._backend.list_objects(prefix))))

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        return self._runner.run(lambda: self._backend.list_folders(prefix))

    def stop_retrying(self) -> None:
        """End all pauses, so that whoever waits gets the last failure; begin no other."""
        self._runner.close()

    def close(self) -> None:
        """End all pauses, and close the backend."""
        self._runner.close()
        self._backend.close()

    def __reduce__(self) -> tuple[object, ...]:
        return RetryingBackend, (self._backend, self._runner.policy)


def _failure_of(state: RetryCallState) -> BackendError:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, BackendError)
    return error


def _tell(started: float, state: RetryCallState) -> None:
    """Say that a request is waited for, before a pause in which somebody would begin to wonder."""
    if monotonic_seconds() + state.upcoming_sleep - started >= TOLD_AFTER_SECONDS:
        WAITING.note(f"{_failure_of(state)}; trying again")


def _give_up(started: float, state: RetryCallState) -> object:
    """Raise the last failure, and say how often it was tried."""
    error = _failure_of(state)
    seconds = monotonic_seconds() - started
    if state.attempt_number == 1:
        raise error
    raise BackendError(
        f"{error} (tried {state.attempt_number} times in {seconds:.0f} s)",
        code=error.code,
        hint=error.hint or "run it again when the storage answers; what was stored is kept",
    ) from error
