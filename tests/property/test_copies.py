"""A copied history is the same history, whatever the stores, their chunks and what was there."""

from __future__ import annotations

import os
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_stores import memory_store

import cas
from cas.testing.strategies import histories
from cas.testing.trees import write_tree

FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))
FORCED = cas.PutOptions(provenance=False, force=True)
ALL = cas.CopyOptions(all_versions=True)
CHUNK_SIZES = st.sampled_from([8 << 10, 64 << 10, 256 << 10])


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Give a folder of its own each time it is called."""
    base, numbers = tmp_path_factory.mktemp("trees"), count()
    return lambda: base / str(next(numbers))


def held(store: cas.Store, ref: str) -> dict[bytes, bytes]:
    """Read a version whole."""
    version = store.version(ref)
    return {os.fsencode(path): version.read(path) for path in version}


@FEW
@given(
    history=histories(),
    chunk_sizes=st.tuples(CHUNK_SIZES, CHUNK_SIZES),
    memory_bytes=st.sampled_from([None, 300_000]),
    before=st.sets(st.integers(0, 3)),
)
def test_every_version_arrives_whole_and_once(fresh, history, chunk_sizes, memory_bytes, before):
    """Some versions are copied before the others, and all of them again afterwards."""
    source = memory_store(chunk_size=chunk_sizes[0], jobs=2)
    target = memory_store(chunk_size=chunk_sizes[1], jobs=2, memory_bytes=memory_bytes)
    for tree in history:
        source.put(write_tree(fresh(), tree), "data", FORCED)
    for number in sorted(before):
        if number < len(history):
            source.copy(f"data:v{number}", target)

    plan = source.plan_copy("data", target, ALL)
    outcome = source.copy("data", target, ALL)
    again = source.copy("data", target, ALL)

    assert [one.source for one in outcome.versions] == [f"data:v{n}" for n in range(len(history))]
    for tree, one in zip(history, outcome.versions, strict=True):
        assert one.digest == source.version(one.source).digest
        assert held(target, one.ref) == tree
    assert [(one.ref, one.created, one.new_bytes) for one in plan.versions] == [
        (one.ref, one.created, one.new_bytes) for one in outcome.versions
    ]
    assert not any(one.created for one in again.versions)
    assert target.version("data").digest == source.version("data").digest
