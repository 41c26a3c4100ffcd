"""Drafts beside crashes, collections and moves: what they keep of their base is there, or they fail."""

from __future__ import annotations

from contextlib import suppress

import pytest
from collected import AT_ONCE, NAME, Interrupted, assert_clean, collect, copied, purge
from moved_blobs import move_blobs

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.operations.revise import Reviser
from cas.testing.corpora import random_content
from cas.testing.fault_plan import CRASHES, CrashError, FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import write_tree

OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)
BASE = {
    b"a": random_content(1, 3000),
    b"b/c": random_content(2, 3000),
    b"tiny": b"t",
}
MADE = {"a": BASE[b"a"], "moved": BASE[b"b/c"], "new": random_content(3, 3000), "tiny": b"t"}


@pytest.fixture
def truth(tmp_path):
    """A store with `data:v0`."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    open_on(backend).put(write_tree(tmp_path / "base", BASE), "data", PLAIN)
    return backend


def open_on(backend):
    return cas.Store.on(backend, options=OPTIONS)


def begin(backend, name="data"):
    draft = open_on(backend).draft(name, base="data:v0", options=PLAIN)
    draft.mv("b/c", "moved")
    draft.pipe("new", MADE["new"])
    return draft


def held(backend, ref):
    version = open_on(backend).version(ref)
    return {path: version.read(path) for path in version}


def operations_of_a_commit(backend, name):
    client = FaultyBackend(copied(backend), plan=(plan := FaultPlan()))
    draft = begin(client, name)
    before = plan.operations
    draft.commit()
    return range(before + 1, plan.operations + 1)


@pytest.mark.parametrize("fault", CRASHES)
@pytest.mark.parametrize("name", ["data", "other"])
def test_a_commit_killed_at_any_operation_can_be_made_again(truth, fault, name):
    """The base stays whole, and what was published is."""
    for number in operations_of_a_commit(truth, name):
        backend = copied(truth)
        client = FaultyBackend(backend, plan=FaultPlan().fail_at(number, fault))
        draft = begin(client, name)
        with suppress(CrashError):
            draft.commit()
        draft.discard()

        again = begin(backend, name).commit()

        assert held(backend, "data:v0") == {path.decode(): one for path, one in BASE.items()}
        assert held(backend, again.ref) == MADE
        assert held(backend, f"{name}:latest") == MADE


@pytest.mark.parametrize("name", ["data", "other"])
def test_a_base_that_is_collected_at_any_moment_of_a_commit_costs_no_data(truth, name):
    """The commit fails and says why, or the version that it made is whole."""
    outcomes = set()

    def delete_base(backend):
        purge(backend, 0)
        collect(backend)
        collect(backend)

    for number in range(1, len(operations_of_a_commit(truth, name)) + 1):
        backend = copied(truth)
        client = Interrupted(backend, 0, delete_base)
        draft = begin(client, name)
        client._left = number
        try:
            made = draft.commit()
        except (cas.NotFoundError, cas.ConflictError) as error:
            outcomes.add(type(error))
            draft.discard()
        else:
            outcomes.add(None)
            assert held(backend, made.ref) == MADE
        collect(backend, AT_ONCE)
        assert_clean(backend)

    assert None in outcomes
    assert outcomes & {cas.NotFoundError, cas.ConflictError}


def test_a_base_that_is_moved_meanwhile_is_followed(truth):
    """What lies elsewhere by now is shared where it lies."""
    draft = begin(truth)
    parts = open_on(truth).parts
    Reviser(parts, move_blobs(parts)).revise(NAME, 0)

    made = draft.commit()
    collect(truth)
    collect(truth)

    assert held(truth, made.ref) == MADE


def test_a_version_under_another_name_outlives_its_base(truth):
    """It shares all of it, the root too; what it shares stays when the base is deleted for good."""
    made = open_on(truth).draft("other", base="data:v0", options=PLAIN).commit()
    purge(truth, 0)
    collect(truth)
    collect(truth)

    assert held(truth, made.ref) == {path.decode(): one for path, one in BASE.items()}
    assert made.record.root == open_on(truth).version("other:v0").record.root
    assert_clean(truth)
