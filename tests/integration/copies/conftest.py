"""Two stores, and a way to put trees into either."""

from __future__ import annotations

import pytest
from memory_stores import PLAIN, memory_store

import cas
from cas.testing.trees import write_tree


@pytest.fixture
def source() -> cas.Store:
    """The store that is copied from."""
    return memory_store()


@pytest.fixture
def target() -> cas.Store:
    """The store that is copied to."""
    return memory_store()


@pytest.fixture
def put(tmp_path):
    """Put a tree into a store as the next version of an artifact."""

    def put(store: cas.Store, tree, name: str = "data", options: cas.PutOptions = PLAIN):
        return store.put(write_tree(tmp_path / "tree", tree), name, options)

    return put
