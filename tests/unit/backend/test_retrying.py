"""A backend that tries again: when it does, when it gives up, and what it says then."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cas.backend.base import Backend, create_confirmed
from cas.backend.concurrency import ConcurrencyLimit
from cas.backend.open import open_backend
from cas.backend.retrying import RetryingBackend, RetryPolicy
from cas.backend.waiting import WAITING
from cas.errors import BackendError, ErrorCode, NotFoundError
from cas.testing.faulty import Fault, FaultyBackend

AT_ONCE = RetryPolicy(first_pause_seconds=0.0, longest_pause_seconds=0.0)
NEVER = RetryPolicy(patience_seconds=0.0, first_patience_seconds=0.0, first_pause_seconds=0.0)


class RefusingBackend:
    """Answers every get with one error; counts how often it was asked."""

    def __init__(self, backend: Backend, code: ErrorCode, times: int = 1 << 30) -> None:
        self._backend = backend
        self._code = code
        self._times = times
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        self.asked += 1
        if self.asked <= self._times:
            raise BackendError(f"{key}: no", code=self._code, hint="look there")
        return self._backend.get(key, start, stop)


@pytest.fixture
def memory() -> Backend:
    return open_backend("memory://retrying")


@pytest.fixture
def watch() -> Iterator[Callable[..., None]]:
    """Has a function told what is waited for, until the test ends."""
    yield WAITING.tell
    WAITING.tell(None)


def faulty(memory: Backend) -> FaultyBackend:
    return FaultyBackend(memory)


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
def test_every_request_is_tried_again(memory: Backend, fault: Fault) -> None:
    """A failure before or after the effect is not seen by the caller."""
    kinds = ("put", "get", "list_objects", "list_folders", "delete")
    failing = faulty(memory)
    for kind in kinds:
        failing.fail_nth(kind, 1, fault)
    backend = RetryingBackend(failing, AT_ONCE)

    backend.put("a/b", [b"one", b"two"])
    got = backend.get("a/b", 1, 4)
    listed = [one.key for one in backend.list_objects("a")]
    folders = backend.list_folders("")
    backend.delete("a/b")

    assert (got, listed, folders) == (b"net", ["a/b"], ["a"])
    assert [operation.kind for operation in failing.log] == [k for k in kinds for _ in range(2)]
    with pytest.raises(NotFoundError):
        backend.get("a/b")


def test_a_create_that_was_tried_again_is_confirmed_by_reading(memory: Backend) -> None:
    """The second try finds the first one's bytes, which is success."""
    failing = faulty(memory).fail_nth("create", 1, Fault.FAIL_AFTER)
    backend = RetryingBackend(failing, AT_ONCE)

    stands = create_confirmed(backend, "slot", b"mine")

    assert stands == b"mine"
    assert [operation.kind for operation in failing.log] == ["create", "create", "get"]


@pytest.mark.parametrize(
    "code", [ErrorCode.ACCESS_DENIED, ErrorCode.NO_CREDENTIALS, ErrorCode.DISK_FULL]
)
def test_what_waiting_does_not_mend_is_not_tried_again(memory: Backend, code: ErrorCode) -> None:
    """A refusal is told at once, as it is."""
    refusing = RefusingBackend(memory, code)
    backend = RetryingBackend(refusing, AT_ONCE)

    with pytest.raises(BackendError, match=r"^key: no$") as caught:
        backend.get("key")

    assert (caught.value.code, refusing.asked) == (code, 1)


def test_an_absent_object_is_an_answer(memory: Backend) -> None:
    """Absence is no failure."""
    failing = faulty(memory)

    with pytest.raises(NotFoundError):
        RetryingBackend(failing, AT_ONCE).get("nothing")

    assert failing.operations == 1


def test_giving_up_tells_what_failed_and_how_often(memory: Backend) -> None:
    """The error keeps code and hint of the last failure, and counts the tries."""
    refusing = RefusingBackend(memory, ErrorCode.UNREACHABLE)
    policy = RetryPolicy(first_patience_seconds=0.02, first_pause_seconds=0.0)

    with pytest.raises(BackendError, match=r"key: no \(tried \d+ times in \d+ s\)") as caught:
        RetryingBackend(refusing, policy).get("key")

    assert (caught.value.code, caught.value.hint) == (ErrorCode.UNREACHABLE, "look there")
    assert refusing.asked > 1


def test_a_server_that_never_answered_and_is_not_there_is_given_up_soon(memory: Backend) -> None:
    """Any other failure, and one of a server that answered once, is waited for."""
    policy = RetryPolicy(
        first_patience_seconds=3600.0, unreachable_patience_seconds=0.01, first_pause_seconds=0.0
    )
    gone = RefusingBackend(memory, ErrorCode.UNREACHABLE)
    stalling = RefusingBackend(memory, ErrorCode.STALLED, times=1000)
    memory.put("key", [b"content"])

    with pytest.raises(BackendError, match="tried"):
        RetryingBackend(gone, policy).get("key")
    assert RetryingBackend(stalling, policy).get("key") == b"content"
    backend = RetryingBackend(RefusingBackend(memory, ErrorCode.UNREACHABLE, times=1000), policy)
    backend.list_folders("")
    assert backend.get("key") == b"content"


def test_a_long_pause_is_told_before_it_begins(memory: Backend, watch: Callable[..., None]) -> None:
    """Whoever watches learns what fails, and that it is tried again."""
    for_ever = RetryPolicy(
        patience_seconds=1e15,
        first_patience_seconds=1e15,
        first_pause_seconds=1e12,
        longest_pause_seconds=1e12,
    )
    backend = RetryingBackend(RefusingBackend(memory, ErrorCode.STALLED), for_ever)
    told: list[str] = []

    def take(text: str) -> None:
        told.append(text)
        backend.stop_retrying()

    watch(take)
    with pytest.raises(BackendError):
        backend.get("key")

    assert told == ["key: no; trying again"]


def test_many_failures_are_told_once(watch: Callable[..., None]) -> None:
    """All requests meet the same one, and nobody wants to read it a hundred times."""
    told: list[str] = []
    watch(told.append)

    for number in range(100):
        WAITING.note(f"failure {number}")

    assert told == ["failure 0"]


def test_without_patience_nothing_is_tried_again(memory: Backend) -> None:
    """The failure is passed on as it is."""
    refusing = RefusingBackend(memory, ErrorCode.BACKEND_FAILED)

    with pytest.raises(BackendError, match=r"^key: no$"):
        RetryingBackend(refusing, NEVER).get("key")

    assert refusing.asked == 1


def test_closing_ends_a_pause(memory: Backend) -> None:
    """A thread that waits for its next try fails as soon as the backend is closed."""
    refusing = RefusingBackend(memory, ErrorCode.BACKEND_FAILED)
    backend = RetryingBackend(refusing, RetryPolicy(first_pause_seconds=3600.0))
    backend.put("other", [b"x"])

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(backend.get, "key")
        backend.close()
        with pytest.raises(BackendError):
            future.result(timeout=60)


def test_throttling_halves_what_is_in_flight(memory: Backend) -> None:
    """The storage's wish is followed before the next try."""
    limit = ConcurrencyLimit()
    limit.note_success(1)
    before = limit.level
    refusing = RefusingBackend(memory, ErrorCode.THROTTLED, times=1)
    memory.put("key", [b"x"])

    content = RetryingBackend(refusing, AT_ONCE, limit).get("key")

    assert (content, limit.level) == (b"x", before // 2)


def test_a_pinned_number_is_never_exceeded(memory: Backend) -> None:
    """However many threads ask, only so many requests are under way."""
    under_way: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    class Watched(RefusingBackend):
        def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
            with lock:
                under_way.append(1)
                most.append(len(under_way))
            content = self._backend.get(key, start, stop)
            with lock:
                under_way.pop()
            return content

    memory.put("key", [b"x"])
    backend = RetryingBackend(
        Watched(memory, ErrorCode.INTERNAL), AT_ONCE, ConcurrencyLimit(pinned=2)
    )
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: backend.get("key"), range(200)))

    assert max(most) <= 2


def test_a_pickled_copy_tries_again_too(memory: Backend) -> None:
    """The policy goes along."""
    memory.put("key", [b"x"])

    copy = pickle.loads(pickle.dumps(RetryingBackend(memory, AT_ONCE)))

    assert (copy.get("key"), copy.url) == (b"x", memory.url)
