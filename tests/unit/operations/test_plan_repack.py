"""Which blobs are worth emptying."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cas.operations.plan_repack import (
    BlobShare,
    MetaShare,
    RepackLimits,
    RepackPlan,
    choose_data,
    choose_meta,
)

LIMITS = RepackLimits(least_bytes=0)


def share(name, size, live):
    return BlobShare(blob_id=bytes([name]) * 32, size=size, live_bytes=live)


def names(shares):
    return [one.blob_id[0] for one in shares]


def test_the_worst_blobs_come_first():
    """By the share that lives, not by bytes; equal ones in an order of their own."""
    blobs = [share(1, 100, 40), share(2, 1000, 10), share(3, 100, 49), share(4, 100, 40)]

    chosen, later = choose_data(blobs, 100_000, LIMITS)

    assert (names(chosen), later) == ([2, 1, 4, 3], [])


def test_blobs_that_are_half_live_are_left_alone():
    """The limit itself is not below the limit; another limit is another plan."""
    blobs = [share(1, 100, 49), share(2, 100, 50), share(3, 100, 100)]

    assert names(choose_data(blobs, 100_000, LIMITS)[0]) == [1]
    more = RepackLimits(live_share=0.9, least_bytes=0)
    assert names(choose_data(blobs, 100_000, more)[0]) == [1, 2]


def test_no_more_than_a_share_of_the_store_is_emptied_at_once():
    """What is left goes first the next time."""
    blobs = [share(name, 100, name) for name in range(10)]

    chosen, later = choose_data(blobs, 3999, LIMITS)

    assert names(chosen) == [0, 1, 2]
    assert names(later) == [3, 4, 5, 6, 7, 8, 9]


def test_a_small_store_is_repacked_at_once():
    """A tenth of it may be less than one blob."""
    blobs = [share(name, 100, name) for name in range(10)]

    assert len(choose_data(blobs, 1000, RepackLimits())[0]) == 10


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1)), max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_every_mostly_dead_blob_is_emptied_now_or_later(drawn, live_share, store_share):
    """None is lost or taken twice, the worst are taken, and never too many."""
    blobs = [share(name, size, int(size * live)) for name, (size, live) in enumerate(drawn)]
    total = sum(one.size for one in blobs)
    limits = RepackLimits(live_share=live_share, store_share=store_share, least_bytes=0)

    chosen, later = choose_data(blobs, total, limits)

    dead = [one for one in blobs if one.live_bytes < one.size * live_share]
    assert sorted(names([*chosen, *later])) == sorted(names(dead))
    assert sum(one.size for one in chosen) <= total * store_share
    ratios = [one.live_bytes / one.size for one in (*chosen, *later)]
    assert ratios == sorted(ratios)


def meta(name, size, live, *versions):
    return MetaShare(share=share(name, size, live), versions=frozenset(versions))


def test_blobs_of_pages_are_emptied_where_new_roots_cost_less_than_half_of_what_is_freed():
    """Each version that has a page there needs a new root."""
    roots = {0: 100, 1: 100, 2: 100}
    blobs = [meta(1, 1000, 400, 0), meta(2, 500, 200, 0, 1, 2), meta(3, 1000, 600, 0)]

    chosen, revised = choose_meta(blobs, frozenset(), roots, LIMITS)

    assert names(chosen) == [1]
    assert revised == {0}


def test_roots_that_are_written_anyway_cost_nothing():
    """A version of which data moves takes its pages along."""
    roots = dict.fromkeys(range(3), 10_000)
    blobs = [meta(1, 1000, 400, 0, 1), meta(2, 1000, 400, 1, 2)]

    chosen, revised = choose_meta(blobs, frozenset({0, 1}), roots, LIMITS)

    assert names(chosen) == [1]
    assert revised == {0, 1}


def test_a_plan_adds_up():
    """What is stored anew, and what is freed in the end."""
    plan = RepackPlan(store_bytes=1000, data=(share(1, 100, 30),), meta=(share(2, 50, 5),))

    assert (plan.copied_bytes, plan.freed_bytes, plan.is_empty) == (35, 115, False)
    assert RepackPlan(store_bytes=0).is_empty
