"""Stores in memory, near or as if they were far away."""

from __future__ import annotations

from typing import Any

import cas
from cas.backend.base import Backend, Capabilities
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.testing.corpora import random_content, text_content

PLAIN = cas.PutOptions(provenance=False)
SOME = {b"a.bin": random_content(1, 400_000), b"b.txt": text_content(2, 200_000), b"c": b"c"}


class DistantBackend(MemoryBackend):
    """A store that is not on this machine: requests are worth avoiding, and waiting for together."""

    capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=False)

    def __init__(self) -> None:
        super().__init__("distant")


def with_store(backend: Backend, *, chunk_size: int = 64 << 10) -> Backend:
    """Make an empty store on a backend, and return the backend."""
    init_store(backend, SystemClock(), chunk_average=chunk_size)
    return backend


def open_on(backend: Backend, **options: Any) -> cas.Store:
    """Open the store on a backend, without a journal unless it is told where."""
    return cas.Store.on(
        backend, options=cas.StoreOptions(journal="cache_dir" in options, **options)
    )


def memory_store(*, chunk_size: int = 64 << 10, **options: Any) -> cas.Store:
    """Make a store in memory, and open it."""
    return open_on(with_store(MemoryBackend(), chunk_size=chunk_size), **options)
