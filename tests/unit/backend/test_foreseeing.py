"""A listing that was foreseen is asked for once, beside other requests."""

from __future__ import annotations

import uuid

import pytest

from cas.backend.base import Backend
from cas.backend.counting import RequestCounter
from cas.backend.foreseeing import ForeseeingBackend
from cas.backend.open import open_backend
from cas.errors import BackendError
from cas.testing.faulty import Fault, FaultyBackend


@pytest.fixture
def memory() -> Backend:
    backend = open_backend(f"memory://{uuid.uuid4().hex}")
    backend.put("gc/1", [b"x"])
    return backend


def test_what_was_foreseen_is_given_to_the_first_who_asks(memory: Backend) -> None:
    """Later listings show what came since."""
    counter = RequestCounter(memory)
    with ForeseeingBackend(counter, "gc") as backend:
        first = [one.key for one in backend.list_objects("gc")]
        memory.put("gc/2", [b"x"])
        second = sorted(one.key for one in backend.list_objects("gc"))

    assert (first, second) == (["gc/1"], ["gc/1", "gc/2"])
    assert counter.counts.list == 2


def test_other_listings_are_not_touched(memory: Backend) -> None:
    """Nor is the foreseen one used up by them."""
    with ForeseeingBackend(memory, "gc") as backend:
        assert list(backend.list_objects("index")) == []
        assert [one.key for one in backend.list_objects("gc")] == ["gc/1"]


def test_a_foreseen_failure_is_told_to_who_asks(memory: Backend) -> None:
    """And to nobody if nobody does."""
    failing = FaultyBackend(memory).fail_nth("list_objects", 1, Fault.FAIL_BEFORE)
    with ForeseeingBackend(failing, "gc") as backend, pytest.raises(BackendError):
        backend.list_objects("gc")

    again = FaultyBackend(memory).fail_nth("list_objects", 1, Fault.FAIL_BEFORE)
    ForeseeingBackend(again, "gc").close()
