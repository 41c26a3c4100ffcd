"""Requests and bytes are counted, failures included."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cas.backend.counting import RequestCounter, RequestCounts
from cas.backend.memory import MemoryBackend
from cas.errors import CasError


def test_every_kind_of_request_is_counted():
    """Bytes are those handed over and those that came back."""
    backend = RequestCounter(MemoryBackend())
    backend.put("a/key", [b"1234", memoryview(b"56")])
    backend.create("a/new", b"789")
    for key in ("a/new", "absent"):
        with suppress(CasError):
            backend.create(key, b"xx") if key == "a/new" else backend.get(key)
    backend.get("a/key", 1, 3)
    backend.delete("a/key")
    list(backend.list_objects(""))
    backend.list_folders("")

    assert backend.counts == RequestCounts(
        get=2, put=1, create=2, delete=1, list=2, sent_bytes=11, received_bytes=2
    )
    assert backend.counts.requests == 8


def test_the_cost_of_one_act_is_a_difference():
    """Counts before and after are values that can be subtracted."""
    backend = RequestCounter(MemoryBackend())
    backend.put("key", [b"x"])
    before = backend.counts
    backend.get("key")

    assert backend.counts - before == RequestCounts(get=1, received_bytes=1)


def test_threads_lose_no_count():
    """Transfers run in many threads."""
    backend = RequestCounter(MemoryBackend())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: backend.put(f"k{n}", [b"xy"]), range(500)))

    assert backend.counts == RequestCounts(put=500, sent_bytes=1000)


def test_a_pickled_copy_counts_for_itself():
    """Each process has its own costs."""
    backend = RequestCounter(MemoryBackend())
    backend.put("key", [b"x"])

    copy = pickle.loads(pickle.dumps(backend))

    assert (copy.counts, copy.get("key")) == (RequestCounts(), b"x")
