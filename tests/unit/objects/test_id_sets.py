"""Sets of ids as sorted arrays behave as Python's sets do."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cas.objects.id_sets import (
    GrowingSet,
    ids_of,
    no_ids,
    sort_ids,
    unite,
    within,
    without,
)

IDS = st.integers(0, 40).map(lambda number: bytes([number % 7] * 31 + [number]))
SETS = st.frozensets(IDS, max_size=20)


def members(ids):
    found = [row.tobytes() for row in ids]
    assert found == sorted(set(found)), "sorted, each once"
    return set(found)


@given(SETS, SETS, SETS)
def test_they_unite_and_differ_as_sets_do(one, two, three):
    """Union, difference and intersection."""
    first, second, third = map(ids_of, (one, two, three))

    assert members(unite(first, second, third)) == one | two | three
    assert members(without(first, second)) == one - two
    assert members(within(first, second)) == one & two


@given(st.lists(st.lists(IDS, max_size=9), max_size=30), SETS)
def test_a_growing_set_holds_what_was_added(batches, asked):
    """In whatever order, and however often each."""
    growing = GrowingSet()
    for batch in batches:
        growing.add(np.frombuffer(b"".join(batch), np.uint8).reshape(-1, 32))
    everything = {raw for batch in batches for raw in batch}
    wanted = ids_of(asked)

    missing = growing.missing_rows(wanted)

    assert {row.tobytes() for row in wanted[missing]} == set(asked) - everything
    assert members(growing.ids()) == everything


def test_no_sets_unite_to_none():
    """The empty set has rows of 32 bytes, too."""
    assert unite().shape == no_ids().shape == (0, 32)


@given(st.lists(st.binary(min_size=1, max_size=1), max_size=40))
def test_ids_that_begin_with_different_bytes_are_sorted_too(heads):
    """As hashes do; some of them twice."""
    ids = np.frombuffer(b"".join(head + bytes(31) for head in heads), np.uint8).reshape(-1, 32)

    assert members(sort_ids(ids)) == {head + bytes(31) for head in heads}
