"""Aliases on a backend, and the history of their moves."""

from __future__ import annotations

import pytest

from cas.backend.memory import MemoryBackend
from cas.format import keys
from cas.format.version import AliasRecord
from cas.model.ids import SessionId, VersionDigest
from cas.model.names import AliasName, ArtifactName
from cas.objects.aliases import move_alias, read_alias, read_aliases
from cas.testing.faulty import Fault, FaultyBackend

NAME = ArtifactName("data")
BEST = AliasName("best")


@pytest.fixture
def backend():
    return MemoryBackend()


def alias(number, mark=b"m"):
    digest = None if number is None else VersionDigest(b"d" * 32)
    return AliasRecord(number=number, digest=digest, created_ns=1, session=SessionId(mark * 16))


def test_an_alias_keeps_its_history_and_the_last_move_counts(backend):
    """Setting, moving and removing each add a generation."""
    assert read_alias(backend, NAME, BEST) is None
    assert move_alias(backend, NAME, BEST, alias(0, b"1")) is None
    before = move_alias(backend, NAME, BEST, alias(2, b"2"))
    move_alias(backend, NAME, BEST, alias(None, b"3"))

    assert before is not None
    assert (before.generation, before.record.number) == (0, 0)
    state = read_alias(backend, NAME, BEST)
    assert state is not None
    assert (state.generation, state.record.number) == (2, None)
    assert read_aliases(backend, NAME).keys() == {"best"}
    assert len(list(backend.list_objects(keys.alias_prefix(NAME, BEST)))) == 3


def test_a_move_of_an_alias_that_lost_its_generation_takes_the_next():
    """Another's move came between: both stand in the history, and the other one was replaced."""

    class Racing(MemoryBackend):
        raced = False

        def create(self, key, content):
            if "/aliases/" in key and not self.raced:
                self.raced = True
                move_alias(self, NAME, BEST, alias(1, b"o"))
            super().create(key, content)

    racing = Racing()

    before = move_alias(racing, NAME, BEST, alias(2, b"m"))

    assert before is not None
    assert before.record.number == 1
    state = read_alias(racing, NAME, BEST)
    assert state is not None
    assert (state.generation, state.record.number) == (1, 2)


def test_a_move_of_an_alias_whose_reply_was_lost_is_made_once(backend):
    """Its own mark tells it from another's move to the same version."""
    faulty = FaultyBackend(backend).fail_nth("create", 1, Fault.EXISTS_AFTER)

    assert move_alias(faulty, NAME, BEST, alias(0)) is None
    assert len(list(backend.list_objects(keys.alias_prefix(NAME, BEST)))) == 1


def test_an_alias_is_not_found_under_a_name_that_begins_like_it(backend):
    """A folder is a folder, not letters."""
    move_alias(backend, NAME, AliasName("best2"), alias(0))

    assert read_alias(backend, NAME, BEST) is None
