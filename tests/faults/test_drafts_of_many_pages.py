"""Drafts whose base has many pages, most of which nobody reads, beside collections and moves."""

from __future__ import annotations

import pytest
from collected import AT_ONCE, NAME, Interrupted, assert_clean, collect, copied, purge
from moved_blobs import move_blobs

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import manifest_paging
from cas.model.names import ArtifactName
from cas.operations import merge_pages
from cas.operations.init import init_store
from cas.operations.revise import Reviser
from cas.testing.corpora import random_content
from cas.testing.fault_plan import FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import write_tree

OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)
BASE = {b"%03d" % number: random_content(number, 300) for number in range(80)}
MADE = {path: one for path, one in BASE.items() if path != b"040"} | {b"020": b"new"}


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch):
    """Pages of four entries and more; one path in eight ends one."""
    monkeypatch.setattr(manifest_paging, "CUT_SHIFT", 29)
    monkeypatch.setattr(manifest_paging, "MIN_PAGE_ENTRIES", 4)
    monkeypatch.setattr(merge_pages, "MIN_PAGE_ENTRIES", 4)


@pytest.fixture
def truth(tmp_path):
    """A store with `data:v0`, put folder by folder, so that its pages need many blobs."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    store = open_on(backend)
    for count in (20, 40, 60, 80):
        tree = dict(list(BASE.items())[:count])
        store.put(write_tree(tmp_path / str(count), tree), "grown", PLAIN)
    store.draft("data", base="grown:v3", options=PLAIN).commit()
    for number in range(4):
        purge(backend, number, ArtifactName("grown"))
    return backend


def open_on(backend):
    return cas.Store.on(backend, options=OPTIONS)


def begin(backend):
    draft = open_on(backend).draft("data", base="data:v0", options=PLAIN)
    draft.pipe("020", b"new")
    draft.rm("040")
    return draft


def delete_base(backend):
    purge(backend, 0)
    collect(backend)
    collect(backend)


def move_base(backend):
    parts = open_on(backend).parts
    Reviser(parts, move_blobs(parts)).revise(NAME, 0)
    collect(backend)
    collect(backend)


def held(backend, ref):
    version = open_on(backend).version(ref)
    version._pages.verify_digest()
    return {path.encode(): version.read(path) for path in version}


@pytest.mark.parametrize("act", [delete_base, move_base])
def test_what_happens_to_the_base_at_any_moment_of_a_commit_costs_no_data(truth, act):
    """The commit fails and says why, or the version that it made is whole, unread pages too."""
    client = FaultyBackend(copied(truth), plan=(plan := FaultPlan()))
    draft = begin(client)
    before = plan.operations
    draft.commit()
    outcomes = set()

    for number in range(1, plan.operations - before + 1):
        backend = copied(truth)
        client = Interrupted(backend, 0, act)
        draft = begin(client)
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
    assert (act is delete_base) == bool(outcomes - {None})


def test_most_pages_are_not_read(truth):
    """The commit of two edits asks for the root and for what they touch."""
    pages = len(open_on(truth).version("data:v0")._pages)
    client = FaultyBackend(truth, plan=(plan := FaultPlan()))
    draft = begin(client)
    draft.commit()

    got = [one for one in plan.log if one.kind == "get" and one.key.startswith("meta")]

    assert pages > 8
    assert len(got) < pages
