"""The map of chunks behaves as a dictionary does, whatever ids look like."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cas.objects.chunk_map import FIRST_CAPACITY, ChunkMap

# Few heads and few tails: ids repeat, and different ids share their first 64 bits.
HEADS = st.sampled_from([bytes(8), b"\xff" * 8, b"a" * 8, b"a" * 7 + b"b"])
TAILS = st.integers(0, 4).map(lambda tail: bytes(23) + bytes([tail]))
IDS = st.builds(lambda head, tail: head + tail, HEADS, TAILS) | st.binary(min_size=32, max_size=32)


def rows(ids):
    return np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)


def random_rows(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


@given(st.lists(st.lists(IDS, max_size=12, unique=True), max_size=12), st.lists(IDS, max_size=30))
def test_it_answers_as_a_dictionary_does(batches, asked):
    """The first entry of an id stays, and ids that share a head are told apart."""
    chunks = ChunkMap()
    expected: dict[bytes, tuple[int, int]] = {}
    for blob, batch in enumerate(batches):
        # No more than five ids share a head, and each is added once: well within what is looked at.
        fresh = [one for one in batch if one not in expected]
        chunks.add(rows(fresh), blob, first_chunk=blob * 100)
        expected |= {one: (blob, blob * 100 + at) for at, one in enumerate(fresh)}
    asked = [*asked, *expected]

    blobs, places = chunks.find(rows(asked))

    assert list(zip(blobs.tolist(), places.tolist(), strict=True)) == [
        expected.get(one, (-1, -1)) for one in asked
    ]
    assert len(chunks) == len(expected)


def test_the_first_entry_of_an_id_stays_across_merges_of_runs():
    """However the runs were merged meanwhile, a later copy never replaces an earlier one."""
    chunks = ChunkMap()
    ids = random_rows(1, 40)
    chunks.add(ids, 7)
    for blob in range(6):
        chunks.add(random_rows(blob + 10, 30), 100 + blob)
        chunks.add(ids[blob : blob + 1], 200 + blob)

    blobs, places = chunks.find(ids)

    assert blobs.tolist() == [7] * 40
    assert places.tolist() == list(range(40))


def test_it_grows_past_its_first_capacity_in_small_and_in_large_steps():
    """Nothing is lost when the columns move."""
    chunks = ChunkMap()
    ids = random_rows(2, 3 * FIRST_CAPACITY + 5)
    chunks.add(ids[:10], 0)
    chunks.add(ids[10 : FIRST_CAPACITY + 1], 1)
    chunks.add(ids[FIRST_CAPACITY + 1 :], 2)

    blobs, places = chunks.find(ids)

    assert np.bincount(blobs).tolist() == [10, FIRST_CAPACITY - 9, 2 * FIRST_CAPACITY + 4]
    assert places[-1] == 2 * FIRST_CAPACITY + 3


def test_an_empty_map_and_empty_questions_have_empty_answers():
    """Nothing added, nothing asked: no error and nothing found."""
    chunks = ChunkMap()
    chunks.add(rows([]), 3)

    blobs, places = chunks.find(random_rows(3, 2))
    nothing, _ = chunks.find(rows([]))

    assert (blobs.tolist(), places.tolist(), len(nothing), len(chunks)) == (
        [-1, -1],
        [-1, -1],
        0,
        0,
    )


def test_too_many_ids_with_one_head_cost_space_and_never_a_wrong_answer():
    """A hostile store can hide a chunk from the map; it cannot make it point to another one."""
    chunks = ChunkMap()
    ids = rows([b"h" * 8 + bytes(22) + number.to_bytes(2, "big") for number in range(50)])
    chunks.add(ids, 0)

    blobs, places = chunks.find(ids)

    found = np.flatnonzero(blobs >= 0)
    assert len(found) >= 8
    assert places[found].tolist() == found.tolist()
