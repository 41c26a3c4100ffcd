"""What was foreseen is asked for once, beside other requests."""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress

import pytest

from cas.backend.base import Backend
from cas.backend.counting import RequestCounter
from cas.backend.foreseeing import ForeseeingBackend
from cas.backend.forwarding import ForwardingBackend
from cas.backend.open import open_backend
from cas.errors import BackendError
from cas.testing.faulty import Fault, FaultyBackend


def list_collections(ahead: Backend) -> None:
    """Foresee one listing."""
    ahead.list_objects("gc")


@pytest.fixture
def memory() -> Backend:
    backend = open_backend(f"memory://{uuid.uuid4().hex}")
    backend.put("gc/1", [b"x"])
    return backend


def test_what_was_foreseen_is_given_to_the_first_who_asks(memory: Backend) -> None:
    """Later listings show what came since."""
    counter = RequestCounter(memory)
    with ForeseeingBackend(counter, [list_collections]) as backend:
        first = [one.key for one in backend.list_objects("gc")]
        memory.put("gc/2", [b"x"])
        second = sorted(one.key for one in backend.list_objects("gc"))

    assert (first, second) == (["gc/1"], ["gc/1", "gc/2"])
    assert counter.counts.list == 2


def test_other_listings_are_not_touched(memory: Backend) -> None:
    """Nor is the foreseen one used up by them."""
    with ForeseeingBackend(memory, [list_collections]) as backend:
        assert list(backend.list_objects("index")) == []
        assert [one.key for one in backend.list_objects("gc")] == ["gc/1"]


def test_a_foreseen_failure_is_told_to_who_asks(memory: Backend) -> None:
    """And to nobody if nobody does."""
    failing = FaultyBackend(memory).fail_nth("list_objects", 1, Fault.FAIL_BEFORE)
    with (
        ForeseeingBackend(failing, [list_collections]) as backend,
        pytest.raises(BackendError),
    ):
        backend.list_objects("gc")

    again = FaultyBackend(memory).fail_nth("list_objects", 1, Fault.FAIL_BEFORE)
    ForeseeingBackend(again, [list_collections]).close()


def test_a_foresight_goes_on_from_answers_whoever_asked_for_them(memory: Backend) -> None:
    """Neither side makes a request that the other has made or is making."""
    memory.put("a", [b"b"])
    memory.put("b", [b"c"])
    counter = RequestCounter(memory)

    def follow(ahead: Backend) -> None:
        ahead.get(ahead.get("a").decode())

    with ForeseeingBackend(counter, [follow, follow]) as backend:
        answers = [backend.get("a"), backend.get("b"), backend.get("b", 0, 1)]

    assert answers == [b"b", b"c", b"c"]
    assert counter.counts.get in (3, 4)  # one more if the foresights had ended with both


def test_what_is_written_is_seen_by_the_next_read(memory: Backend) -> None:
    """Whatever was foreseen before it."""
    seen = threading.Event()

    def look(ahead: Backend) -> None:
        ahead.get("gc/1")
        seen.set()

    with ForeseeingBackend(memory, [look]) as backend:
        seen.wait()
        backend.put("gc/1", [b"new"])

        assert backend.get("gc/1") == b"new"


def test_a_request_that_is_broken_off_lets_nobody_wait(memory: Backend) -> None:
    """A bug in a driver ends who waits for it, too."""
    begun, ended = threading.Event(), threading.Event()

    class Broken(ForwardingBackend):
        def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
            begun.set()
            ended.wait()
            raise RuntimeError(key, start, stop)

    def look(ahead: Backend) -> None:
        with suppress(RuntimeError):
            ahead.get("gc/1")

    with ForeseeingBackend(Broken(memory), [look]) as backend:
        begun.wait()
        ended.set()
        with pytest.raises((BackendError, RuntimeError)):
            backend.get("gc/1")
