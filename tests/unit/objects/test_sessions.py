"""A writer's session: its intents, its slot, and what happens to them."""

from __future__ import annotations

import threading

import pytest

from cas.backend.memory import MemoryBackend
from cas.errors import BackendError
from cas.format import keys
from cas.format.session import Intent, decode_intent
from cas.objects.sessions import WriterSession
from cas.testing.faulty import Fault, FaultyBackend


def intent(session):
    return Intent(
        session=session.id,
        k=session.next_intent,
        final=False,
        artifact=None,
        slot=None,
        revision=None,
        blob_ids=b"",
        meta_ids=b"",
        pages=(),
        stamp=0,
        created_ns=0,
    )


def listed(backend):
    return sorted(one.key for one in backend.list_objects("sessions"))


@pytest.fixture
def backend():
    return MemoryBackend()


def test_every_intent_has_a_key_of_its_own(backend):
    """None is ever replaced, so a late request of one cannot hide another."""
    session = WriterSession(backend)
    for _ in range(3):
        session.put_intent(intent(session))

    assert listed(backend) == [keys.intent_key(session.id, k) for k in range(3)]
    assert decode_intent(backend.get(listed(backend)[2]), what="intent").k == 2


def test_intents_are_deleted_side_by_side_while_the_caller_goes_on(backend):
    """Each deletion waits until all have begun; closing waits for them."""
    gate = threading.Barrier(4)

    class Waiting(FaultyBackend):
        def delete(self, key):
            gate.wait(20)
            super().delete(key)

    session = WriterSession(Waiting(backend))
    for _ in range(3):
        session.put_intent(intent(session))

    session.begin_close()
    left = len(listed(backend))
    gate.wait(20)
    session.close()

    assert (left, listed(backend)) == (3, [])


def test_closing_deletes_its_own_intents_only(backend):
    """Twice is fine, and other sessions are not touched."""
    mine, other = WriterSession(backend), WriterSession(backend)
    mine.put_intent(intent(mine))
    other.put_intent(intent(other))

    mine.close()
    mine.close()

    assert listed(backend) == [keys.intent_key(other.id, 0)]


def test_an_abandoned_session_leaves_its_intents(backend):
    """Whoever settles its slot needs them."""
    session = WriterSession(backend)
    session.put_intent(intent(session))

    session.abandon()
    session.close()

    assert len(listed(backend)) == 1


def test_a_renewed_session_is_another_one(backend):
    """New id, new slot, numbers from 0; the old intents are the fencer's."""
    session = WriterSession(backend)
    session.put_intent(intent(session))
    session.first_slot = 4
    session.segments = 2
    old = session.id

    session.renew()
    session.put_intent(intent(session))
    session.close()

    assert session.id != old
    assert (session.first_slot, session.segments) == (None, 0)
    assert listed(backend) == [keys.intent_key(old, 0)]


def test_an_intent_whose_writing_failed_is_deleted_too(backend):
    """It may be there all the same."""
    session = WriterSession(FaultyBackend(backend).fail_nth("put", 1, Fault.FAIL_AFTER))
    with pytest.raises(BackendError):
        session.put_intent(intent(session))
    assert len(listed(backend)) == 1

    session.close()

    assert listed(backend) == []


def test_a_deletion_that_fails_does_not_keep_the_others(backend):
    """What is left only delays collection."""
    session = WriterSession(FaultyBackend(backend).fail_nth("delete", 1, Fault.FAIL_BEFORE))
    for _ in range(3):
        session.put_intent(intent(session))

    session.close()

    assert len(listed(backend)) == 1
