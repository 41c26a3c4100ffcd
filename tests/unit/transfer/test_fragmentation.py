"""Which hits are stored again so that a version stays in few places, and which never are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cas.transfer.fragmentation import (
    BYTES_PER_CLUSTER,
    CLUSTER_GAP_BYTES,
    FREE_CLUSTERS,
    LARGEST_REFUSED_BYTES,
    FragmentationGuard,
)

KIB, MIB = 1 << 10, 1 << 20
FAR = 64 * MIB


def refuse(guard, items):
    """Ask about a batch of (blob, offset, length, exempt)."""
    blobs, offsets, lengths, exempt = zip(*items, strict=True)
    refused = guard.refuse(
        np.array(blobs, np.int64),
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        np.array(exempt, np.bool_),
    )
    return refused.tolist()


def scattered(count, length=10 * KIB, *, exempt=False):
    """Hits each of which needs a read of its own."""
    return [(0, number * FAR, length, exempt) for number in range(count)]


def test_hits_that_lie_together_are_one_place():
    """A thousand of them in one blob cost one read, in whatever order they come."""
    near = [(3, number * 50 * KIB, 10 * KIB, False) for number in range(1000)]

    assert not any(refuse(FragmentationGuard(), near[::-1]))


def test_a_few_places_are_free_and_each_mib_allows_one_more():
    """Eight, and three more for a version that has three MiB of new bytes beside them."""
    new = [(-1, 0, 3 * MIB, False)]

    assert not any(refuse(FragmentationGuard(), scattered(FREE_CLUSTERS)))
    assert sum(refuse(FragmentationGuard(), scattered(FREE_CLUSTERS + 4))) == 4
    assert sum(refuse(FragmentationGuard(), new + scattered(FREE_CLUSTERS + 4))) == 1


def test_the_smallest_places_go_first():
    """They save the fewest bytes for a read."""
    guard = FragmentationGuard()
    sizes = [(7 * number % 11 + 1) * KIB for number in range(FREE_CLUSTERS + 2)]
    items = [(0, at * FAR, size, False) for at, size in enumerate(sizes)]

    refused = refuse(guard, items)

    assert (
        sorted(size for size, gone in zip(sizes, refused, strict=True) if gone) == sorted(sizes)[:2]
    )
    assert guard.refused_bytes == sum(sorted(sizes)[:2])


def test_a_place_of_a_mib_is_worth_its_read():
    """Large hits stay, however many."""
    assert not any(refuse(FragmentationGuard(), scattered(50, LARGEST_REFUSED_BYTES)))


def test_one_exempt_hit_keeps_its_place():
    """The read is made anyway, so what lies beside it comes along."""
    items = scattered(20, exempt=True)
    beside = [(blob, offset + 20 * KIB, length, False) for blob, offset, length, _ in items]

    assert not any(refuse(FragmentationGuard(), items + beside))


def test_a_place_that_goes_on_in_the_next_batch_is_counted_once():
    """A big file comes in many batches; a long run of its old blob is one place."""
    guard = FragmentationGuard()
    for batch in range(40):
        assert refuse(guard, [(5, batch * 20 * KIB, 20 * KIB, False)]) == [False]

    assert not any(refuse(guard, scattered(FREE_CLUSTERS - 1)))
    assert guard.refused_bytes == 0


def test_what_was_refused_is_not_gone_on_with():
    """The next hit beside it is a place of its own again, and small places are refused again."""
    guard = FragmentationGuard()
    refuse(guard, scattered(FREE_CLUSTERS, 20 * KIB))

    assert refuse(guard, [(9, 0, KIB, False)]) == [True]
    assert refuse(guard, [(9, KIB, KIB, False)]) == [True]
    assert guard.refused_bytes == 2 * KIB


LENGTHS = [1, 300, 64 * KIB, 256 * KIB, 512 * KIB]
ITEMS = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(0, 40), st.booleans()).map(
        # A chunk has one length, wherever a version has it.
        lambda item: (
            item[0],
            item[1] * (CLUSTER_GAP_BYTES // 2),
            LENGTHS[item[1] % len(LENGTHS)],
            item[2],
        )
    ),
    min_size=1,
    max_size=30,
)


def places(items):
    """Count the clusters of a batch in the plainest way."""
    hits = sorted((blob, offset, offset + length) for blob, offset, length, _ in items if blob >= 0)
    found, last = 0, (-1, 0)
    for blob, start, stop in hits:
        found += blob != last[0] or start - last[1] > CLUSTER_GAP_BYTES
        last = (blob, stop)
    return found


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_nothing_is_refused_below_the_free_budget(batches):
    """As long as all places fit into what the bytes so far allow, each hit is kept."""
    guard = FragmentationGuard()
    size = used = 0
    for items in batches:
        size += sum(length for _, _, length, _ in items)
        used += places(items)
        refused = refuse(guard, items)
        if used > FREE_CLUSTERS + size // BYTES_PER_CLUSTER:
            return

        assert not any(refused)
        assert guard.refused_bytes == 0


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_only_hits_that_may_go_are_refused_and_counted(batches):
    """Never an exempt one (a small file that is wholly a hit), never what is no hit."""
    guard = FragmentationGuard()
    counted = 0
    for items in batches:
        refused = [item for item, gone in zip(items, refuse(guard, items), strict=True) if gone]
        counted += sum(length for _, _, length, _ in refused)

        assert all(blob >= 0 and not exempt for blob, _, _, exempt in refused)
        assert all(length < LARGEST_REFUSED_BYTES for _, _, length, _ in refused)
    assert guard.refused_bytes == counted
