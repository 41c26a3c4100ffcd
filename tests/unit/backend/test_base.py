"""`create_confirmed`: what stands under a key, for certain, whatever the replies were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.backend.base import create_confirmed
from cas.backend.memory import MemoryBackend
from cas.errors import BackendError, ErrorCode, NotFoundError
from cas.testing.faulty import Fault, FaultyBackend


def kinds(backend: FaultyBackend) -> list[str]:
    return [operation.kind for operation in backend.log]


def test_a_clear_success_needs_one_request():
    """Nothing is read back when the reply says it all."""
    backend = FaultyBackend(MemoryBackend())

    assert create_confirmed(backend, "key", b"ours") == b"ours"
    assert kinds(backend) == ["create"]


def test_the_other_writers_bytes_are_returned():
    """Who comes second learns what came first."""
    backend = FaultyBackend(MemoryBackend())
    backend.put("key", [b"theirs"])

    assert create_confirmed(backend, "key", b"ours") == b"theirs"


@pytest.mark.parametrize("fault", [Fault.FAIL_AFTER, Fault.EXISTS_AFTER])
def test_a_lost_reply_is_recognised_as_success(fault):
    """Neither an error nor "exists" hides that the bytes are ours."""
    backend = FaultyBackend(MemoryBackend()).fail_nth("create", 1, fault)

    assert create_confirmed(backend, "key", b"ours") == b"ours"
    assert kinds(backend) == ["create", "get"]


def test_a_failure_without_effect_is_tried_again_under_the_same_key():
    """The key was read and found absent, so it is still to be had."""
    backend = FaultyBackend(MemoryBackend()).fail_nth("create", 1, Fault.FAIL_BEFORE)

    assert create_confirmed(backend, "key", b"ours") == b"ours"
    assert kinds(backend) == ["create", "get", "create"]


def test_a_read_that_fails_is_tried_again():
    """An unknown outcome stays unknown until the key is read."""
    backend = FaultyBackend(MemoryBackend()).fail_nth("create", 1, Fault.FAIL_AFTER)
    backend.fail_nth("get", 1, Fault.FAIL_BEFORE)

    assert create_confirmed(backend, "key", b"ours") == b"ours"


def test_an_outcome_that_stays_unknown_is_an_error():
    """After all attempts the first failure is reported as the cause."""
    backend = FaultyBackend(MemoryBackend(), rate=1.0, faults=[Fault.FAIL_BEFORE])

    with pytest.raises(BackendError, match="unknown after 3 attempts") as caught:
        create_confirmed(backend, "key", b"ours", attempts=3)

    assert isinstance(caught.value.__cause__, BackendError)
    assert "operation 1" in str(caught.value.__cause__)
    assert caught.value.code is ErrorCode.BACKEND_FAILED


class Forbidden(MemoryBackend):
    """A backend of which everything may be read and nothing written."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def create(self, key, content):
        self.asked += 1
        raise BackendError(f"{key}: access denied", code=ErrorCode.ACCESS_DENIED)


def test_what_is_not_allowed_is_told_as_it_is_and_not_tried_again():
    """The storage answered, and nothing is there."""
    backend = Forbidden()

    with pytest.raises(BackendError, match=r"^key: access denied$"):
        create_confirmed(backend, "key", b"ours")

    assert backend.asked == 1


def test_what_stands_where_nothing_may_be_written_is_returned():
    """An earlier request of the same writer may have stored it."""
    backend = Forbidden()
    backend.put("key", [b"ours"])

    assert create_confirmed(backend, "key", b"ours") == b"ours"


def test_a_store_that_is_not_there_is_not_tried_again():
    """That no folder is there is certain, not unknown."""

    class Missing(MemoryBackend):
        def create(self, key, content):
            raise NotFoundError("no such folder", code=ErrorCode.STORE_NOT_FOUND)

    with pytest.raises(NotFoundError):
        create_confirmed(Missing(), "key", b"ours")


@given(st.integers(0, 10**6), st.floats(0.0, 0.9))
def test_the_answer_is_what_stands_there(seed, rate):
    """Under random faults the answer is right or an error, and two writers never disagree."""
    store = MemoryBackend()
    backend = FaultyBackend(store, seed=seed, rate=rate)
    answers = set()
    for content in (b"one", b"two"):
        try:
            answers.add(create_confirmed(backend, "key", content))
        except BackendError:
            continue

    assert len(answers) <= 1
    assert all(store.get("key") == answer for answer in answers)
