"""A store that is far away and may become unreachable, and a place to get to."""

from __future__ import annotations

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

import cas
from cas.model.units import MIB
from cas.testing.trees import write_tree

# Tables are smaller, and how many there are depends on how a put cut its blobs.
LEAST_DATA_BYTES = MIB


class Unreliable(DistantBackend):
    """A store that may become unreachable after some reads of what lies in blobs, tables not counted."""

    def __init__(self):
        super().__init__()
        self.blob_reads = 0
        self.fails_after = None
        self.failure = cas.BackendError("the line is dead")

    def get(self, key, start=0, stop=None):
        if key.startswith("blobs/") and (stop is None or stop - start >= LEAST_DATA_BYTES):
            self.blob_reads += 1
            if self.fails_after is not None and self.blob_reads > self.fails_after:
                raise self.failure
        return super().get(key, start, stop)


@pytest.fixture
def backend():
    """A distant backend with an empty store."""
    return with_store(Unreliable())


@pytest.fixture
def store(backend):
    """The store on it."""
    return open_on(backend, jobs=2)


@pytest.fixture
def target(tmp_path):
    """Where versions are written to."""
    return tmp_path / "target"


@pytest.fixture
def put(store, tmp_path):
    """A function that puts a tree as the next version of `data`."""
    return lambda tree: store.put(write_tree(tmp_path / "source", tree), "data", PLAIN)
