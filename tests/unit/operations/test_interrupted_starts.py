"""Ctrl-C while a thread is started: Python may know of no such thread, and then waits for ever."""

from __future__ import annotations

import threading

import pytest
from memory_stores import DistantBackend, with_store

import cas
from cas.testing.trees import write_tree

JOIN_SECONDS = 10


@pytest.mark.parametrize("pool", ["cas-index", "cas-session", "cas-slot"])
def test_a_thread_that_was_being_started_ends(tmp_path, monkeypatch, pool):
    """Whatever is left of the call, such as the traceback that a script ends with."""
    options = cas.StoreOptions(jobs=1, journal=False)
    store = cas.Store.on(with_store(DistantBackend()), options=options)
    store.put(write_tree(tmp_path / "first", {b"a": b"a" * 100_000}), "data")
    second = write_tree(tmp_path / "second", {b"a": b"b" * 100_000})
    started = []
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        if thread.name.startswith(pool) and not started:
            started.append(thread)
            raise KeyboardInterrupt

    def act():
        store.put(second, "data")
        store.version("data:v0")

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        act()
    started[0].join(JOIN_SECONDS)

    assert not started[0].is_alive()
    assert caught.tb is not None
