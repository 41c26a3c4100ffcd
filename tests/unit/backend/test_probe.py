"""The probe tells servers that ignore the condition from those that keep it."""

from __future__ import annotations

import threading

import pytest

from cas.backend.base import Capabilities
from cas.backend.memory import MemoryBackend
from cas.backend.probe import probe_create_if_absent, probe_listing
from cas.errors import BackendError
from cas.testing.faulty import Fault, FaultyBackend


class Overwriting(MemoryBackend):
    """A server that ignores the condition and answers success to all."""

    def create(self, key: str, content: bytes) -> None:
        self.put(key, [content])


class WeakInRaces(MemoryBackend):
    """A server that checks first and writes later: right in sequence, wrong in a race."""

    def __init__(self) -> None:
        super().__init__()
        self.checked = threading.Barrier(4)

    def create(self, key: str, content: bytes) -> None:
        if any(self.list_objects("probe")):
            super().create(key, content)
        self.checked.wait()
        self.put(key, [content])


def test_a_server_that_keeps_the_condition_passes():
    """And nothing is left of the probe."""
    backend = MemoryBackend()

    assert probe_create_if_absent(backend, "probe/key")
    assert list(backend.list_objects("")) == []


@pytest.mark.parametrize("kind", [Overwriting, WeakInRaces])
def test_a_server_that_breaks_the_condition_is_found_out(kind):
    """Whether it breaks always or only under a race."""
    backend = kind()

    assert not probe_create_if_absent(backend, "probe/key")
    assert list(backend.list_objects("")) == []


def test_a_client_that_cannot_ask_fails_whatever_the_server_does():
    """A driver that drops the condition may have been lucky."""

    class Old(MemoryBackend):
        capabilities = Capabilities(create_if_absent=False, atomic_listing=True, local=False)

    assert not probe_create_if_absent(Old(), "probe/key")


def test_losers_that_get_no_clear_answer_do_no_harm():
    """A time-out or a conflict in the race is not held against the server."""
    backend = FaultyBackend(MemoryBackend()).fail_nth("create", 2, Fault.FAIL_AFTER)
    backend.fail_nth("create", 3, Fault.FAIL_BEFORE)

    assert probe_create_if_absent(backend, "probe/key")


def test_a_server_that_never_answers_is_an_error():
    """Nothing is known, so nothing is claimed."""
    backend = FaultyBackend(MemoryBackend())
    for nth in range(1, 5):
        backend.fail_nth("create", nth, Fault.FAIL_BEFORE)

    with pytest.raises(BackendError):
        probe_create_if_absent(backend, "probe/key")


def test_listings_that_show_what_was_stored_pass():
    """And nothing is left of the probe."""
    backend = MemoryBackend()

    assert probe_listing(backend, "probe/folder")
    assert list(backend.list_objects("")) == []


class Late(MemoryBackend):
    """A server whose listings show only what was stored a while ago."""

    def list_objects(self, prefix):
        return iter(())


class Shallow(MemoryBackend):
    """A server that lists no folder that holds only folders."""

    def list_folders(self, prefix):
        depth = prefix.count("/") + 2
        return sorted(
            {
                found.key.split("/")[depth - 1]
                for found in self.list_objects(prefix)
                if found.key.count("/") == depth
            }
        )


@pytest.mark.parametrize("kind", [Late, Shallow])
def test_listings_that_leave_something_out_are_found_out(kind):
    """Whether objects or folders are missing; nothing is left of the probe."""
    backend = kind()

    assert not probe_listing(backend, "probe/folder")
    assert list(backend.list_objects("")) == []
