"""Drafts beside crashes, collections and moves: what they keep of their base is there, or they fail."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from collected import AT_ONCE, NAME, Interrupted, assert_clean, collect, copied, purge
from moved_blobs import move_blobs

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import manifest_paging
from cas.format.keys import versions_prefix
from cas.model.names import ArtifactName
from cas.objects.sessions import WriterSession
from cas.operations.commit import NotCommitted
from cas.operations.draft_edits import DraftEdits, DraftSource
from cas.operations.init import init_store
from cas.operations.revise import Reviser
from cas.operations.store_draft import look_from_base, store_draft
from cas.operations.store_source import look_around
from cas.testing.corpora import random_content
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import write_tree

OPTIONS = cas.StoreOptions(jobs=1, journal=False)
PLAIN = cas.PutOptions(provenance=False)
WHOLE = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
BASE = {
    b"a": random_content(1, 3000),
    b"b/c": random_content(2, 3000),
    b"tiny": b"t",
}
MADE = {"a": BASE[b"a"], "moved": BASE[b"b/c"], "new": random_content(3, 3000), "tiny": b"t"}


@pytest.fixture(params=["one page", "a page for each file"])
def truth(request, tmp_path, monkeypatch):
    """A store with `data:v0`, of which an edit touches the only page, or leaves some as they are."""
    if request.param != "one page":
        monkeypatch.setattr(manifest_paging, "MIN_PAGE_ENTRIES", 1)
        monkeypatch.setattr(manifest_paging, "MAX_PAGE_ENTRIES", 1)
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


@pytest.mark.parametrize("is_purged", [False, True])
@pytest.mark.parametrize("name", ["data", "other"])
def test_a_collection_clears_what_a_killed_commit_left(truth, name, is_purged):
    """Whatever stands is whole, be the base gone for good or not, and nothing else is left."""
    for number in operations_of_a_commit(truth, name):
        backend = copied(truth)
        client = FaultyBackend(backend, plan=FaultPlan().fail_at(number, Fault.CRASH_AFTER))
        draft = begin(client, name)
        with suppress(CrashError):
            draft.commit()
        draft.discard()

        if is_purged:
            purge(backend, 0)
        collect(backend)
        collect(backend)

        assert_clean(backend)
        published = backend.list_objects(versions_prefix(ArtifactName(name)))
        for one in open_on(backend).versions(name) if any(published) else ():
            base = {path.decode(): content for path, content in BASE.items()}
            assert held(backend, f"{name}:v{one.number}") in (base, MADE)
        assert is_purged or held(backend, "data:v0")["b/c"] == BASE[b"b/c"]


@pytest.mark.parametrize("name", ["data", "other"])
def test_a_collection_at_any_moment_that_takes_the_draft_for_dead_costs_a_try(truth, name):
    """Its base is alive, so the commit begins again, and is whole."""
    settled = set()
    for number in range(1, len(operations_of_a_commit(truth, name)) + 1):
        backend = copied(truth)
        client = Interrupted(backend, 0, lambda inner: settled.update(collect(inner).settled))
        draft = begin(client, name)
        client._left = number

        made = draft.commit()
        collect(backend)
        collect(backend)

        assert held(backend, made.ref) == MADE
        assert_clean(backend)

    assert settled


@pytest.mark.parametrize("grace", [0, 3600], ids=["taken for dead", "taken for alive"])
@pytest.mark.parametrize("name", ["data", "other"])
def test_a_base_that_is_collected_at_any_moment_of_a_commit_costs_no_data(truth, name, grace):
    """The commit fails and says why, or the version that it made is whole."""
    outcomes = set()
    options = replace(AT_ONCE, grace_seconds=grace)

    def delete_base(backend):
        purge(backend, 0)
        collect(backend, options)
        collect(backend, options)

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


@pytest.mark.parametrize("truth", ["one page"], indirect=True)  # of others an old blob is left
def test_a_base_moved_and_collected_while_it_is_passed_over_costs_a_try(truth):
    """Its pages lie elsewhere by then, so the commit begins again from a fresh look."""
    parts = open_on(truth).parts
    record = open_on(truth).version("data:v0").record
    source = DraftSource(record, DraftEdits())
    found = look_from_base(parts, source, look_around(parts, source, NAME))
    Reviser(parts, move_blobs(parts)).revise(NAME, 0)
    collect(truth)
    collect(truth)
    afresh = open_on(truth).parts
    avoided = frozenset(at.blob_id.raw for at in found.base.page_locations.values())

    session = WriterSession(truth)
    drafting = store_draft(afresh, source, PLAIN, session, found.avoiding(avoided))
    with pytest.raises(NotCommitted):
        drafting.__enter__()


def test_a_version_under_another_name_outlives_its_base(truth):
    """It shares all of it, the root too; what it shares stays when the base is deleted for good."""
    made = open_on(truth).draft("other", base="data:v0", options=PLAIN).commit()
    purge(truth, 0)
    collect(truth)
    collect(truth)

    assert held(truth, made.ref) == {path.decode(): one for path, one in BASE.items()}
    assert made.record.root == open_on(truth).version("other:v0").record.root
    assert_clean(truth)


def spoil(backend, prefix, version):
    """Damage what a version alone has below a prefix."""
    others = {one.key for one in copied(version).list_objects(prefix)}
    for one in list(backend.list_objects(prefix)):
        if one.key not in others:
            content = bytearray(backend.get(one.key))
            content[len(content) // 3] ^= 1
            backend.put(one.key, [bytes(content)])


def test_a_draft_that_replaces_what_is_damaged_by_the_same_heals_its_base(truth):
    """The version keeps its number, and is whole."""
    before = copied(truth)
    with open_on(truth).draft("data", base="latest", options=PLAIN) as draft:
        draft.pipe("new", MADE["new"])
    spoil(truth, "blobs", before)
    assert not open_on(truth).verify(None, WHOLE).is_sound

    with open_on(truth).draft("data", base="latest", options=PLAIN) as draft:
        draft.pipe("new", MADE["new"])

    assert (draft.outcome.number, draft.outcome.created, draft.outcome.healed) == (1, False, True)
    assert held(truth, "data:v1")["new"] == MADE["new"]


@pytest.mark.parametrize("prefix", ["blobs", "meta"])
def test_a_damaged_version_is_no_reason_to_publish_nothing(truth, prefix):
    """What a draft on another version holds is published, though the newest one was the same."""
    same = {path.decode(): content for path, content in BASE.items()} | {"new": MADE["new"]}
    open_on(truth).draft("other", base="data:v0", options=PLAIN).commit()
    with open_on(truth).draft("other", base="latest", options=PLAIN) as draft:
        draft.pipe("new", MADE["new"])
    before = copied(truth)
    with open_on(truth).draft("data", options=PLAIN) as draft:
        for path, content in same.items():
            draft.pipe(path, content)
    if prefix == "blobs":  # it shares them, so it is made to lie elsewhere
        parts = open_on(truth).parts
        Reviser(parts, move_blobs(parts)).revise(NAME, 1)
    spoil(truth, prefix, before)
    open_on(truth).verify(None, WHOLE)

    with open_on(truth).draft("data", base="other:latest", options=PLAIN) as draft:
        pass

    assert draft.outcome.created
    assert held(truth, draft.outcome.ref) == same
