"""How many requests a put costs on a store that is far away."""

from __future__ import annotations

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

from cas.testing.corpora import small_files
from cas.testing.trees import write_tree

FILES = small_files(1, 3000)


@pytest.fixture
def put(tmp_path):
    """A function that puts a tree by a store that was opened anew; returns what that asked for."""
    backend = with_store(DistantBackend())

    def put(tree):
        store = open_on(backend, cache_dir=str(tmp_path / "cache"))
        outcome = store.put(write_tree(tmp_path / "source", tree), "data", PLAIN)
        return outcome, store.requests.requests

    return put


def test_thousands_of_small_files_cost_twenty_requests(put):
    """They lie together in few blobs and pages."""
    outcome, requests = put(FILES)

    assert outcome.totals.files == len(FILES)
    assert requests <= 20


def test_a_small_change_costs_twelve_requests(put):
    """A blob, a page with the root, an intent, the slot, and what is asked before and between."""
    put(FILES)

    outcome, requests = put(FILES | {min(FILES): b"edited\n" * 100})

    assert outcome.created
    assert requests <= 12


def test_a_put_of_what_is_there_costs_six_requests(put):
    """Nothing is written."""
    put(FILES)

    outcome, requests = put(FILES)

    assert not outcome.created
    assert requests <= 6
