"""Index segments on a backend: built, looked up, merged, and left out when they are no use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cas.backend.memory import MemoryBackend
from cas.format import keys
from cas.format.segment import Segment, decode_segment
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobRef
from cas.objects.index import (
    MERGE_WIDTH,
    build_segment,
    list_segments,
    load_index,
    merge_piled_up,
    write_segment,
)
from cas.testing.faulty import Fault, FaultyBackend

PLENTY = 1 << 30


def session(number):
    return SessionId(number.to_bytes(16, "big"))


def chunk_ids(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def blob(letter, stamp=0):
    return BlobRef(blob_id=letter * 32, size=900, table_offset=700, stamp=stamp)


def write(backend, number, blobs, *, stamp=0):
    key = keys.segment_key(0, session(number), 0)
    write_segment(backend, key, build_segment(session(number), stamp, blobs))
    return key


def found(backend, ids, *, floor=0, budget=PLENTY):
    return load_index(backend, floor=floor, budget_bytes=budget).candidates(ids)


@pytest.fixture
def backend():
    return MemoryBackend()


def test_a_chunk_leads_to_its_blob_with_the_stamp_of_the_segment(backend):
    """Size and place of the table come along, so no other request is needed."""
    ids_a, ids_b = chunk_ids(1, 50), chunk_ids(2, 30)
    write(backend, 1, [(blob(b"a"), ids_a), (blob(b"b"), ids_b)], stamp=6)

    assert found(backend, ids_b[3:9]) == [blob(b"b", 6)]
    assert found(backend, chunk_ids(3, 20)) == []
    assert {ref.blob_id[:1] for ref in found(backend, np.concatenate([ids_a, ids_b]))} == {
        b"a",
        b"b",
    }


def test_an_empty_segment_is_an_empty_segment(backend):
    """No blobs, no entries, no error."""
    write(backend, 1, [])

    assert found(backend, chunk_ids(1, 3)) == []


@pytest.mark.parametrize("damage", [lambda c: c[:30], lambda c: b"", lambda c: b"X" + c[1:]])
def test_a_damaged_segment_is_left_out(backend, damage):
    """Hints that cannot be read cost space; the others are used."""
    ids = chunk_ids(1, 20)
    bad = write(backend, 1, [(blob(b"a"), ids)])
    write(backend, 2, [(blob(b"b"), ids)])
    backend.put(bad, [damage(backend.get(bad))])

    assert found(backend, ids) == [blob(b"b")]


def test_a_segment_that_cannot_be_fetched_is_left_out(backend):
    """A failing request costs what a damaged segment costs."""
    ids = chunk_ids(1, 20)
    write(backend, 1, [(blob(b"a"), ids)])
    write(backend, 2, [(blob(b"b"), ids)])
    failing = FaultyBackend(backend).fail_nth("get", 1, Fault.FAIL_BEFORE)

    assert len(found(failing, ids)) == 1


def test_a_segment_with_a_stamp_below_the_floor_is_not_used(backend):
    """Its blobs may have been collected by runs whose records are gone."""
    ids = chunk_ids(1, 20)
    write(backend, 1, [(blob(b"a"), ids)], stamp=4)
    write(backend, 2, [(blob(b"b"), ids)], stamp=5)

    assert found(backend, ids, floor=5) == [blob(b"b", 5)]


def test_litter_among_the_segments_is_ignored(backend):
    """Other people's files under index/ are none of our business."""
    ids = chunk_ids(1, 20)
    write(backend, 1, [(blob(b"a"), ids)])
    backend.put("index/readme.txt", [b"hello"])
    backend.put("index/0-zz-0000", [b"hello"])

    assert len(list_segments(backend)) == 1
    assert found(backend, ids) == [blob(b"a")]


def test_what_does_not_fit_is_read_as_a_sample_of_the_lowest_ids(backend):
    """The first part of a segment has all chunks whose ids begin low, and no others."""
    ids = chunk_ids(1, 4096 * 8)
    key = write(backend, 1, [(blob(b"a"), ids)])
    size = len(backend.get(key))
    index = load_index(backend, floor=0, budget_bytes=size // 2)
    ordered = ids[np.lexsort(ids.T[::-1])]

    assert index.candidates(ordered[:4096]) == [blob(b"a")]
    assert index.candidates(ordered[-4096:]) == []


def pile_up(backend, count, *, stamps=None):
    """Write segments of one blob each, and return the ids of their chunks."""
    every = []
    for number in range(count):
        ids = chunk_ids(number, 40)
        stamp = stamps[number] if stamps else 0
        write(backend, number, [(blob(bytes([number + 65])), ids)], stamp=stamp)
        every.append(ids)
    return every


def test_eight_segments_are_merged_into_one_that_answers_for_all(backend):
    """It supersedes them, so a reader fetches one object; nothing is deleted."""
    every = pile_up(backend, MERGE_WIDTH)
    before = {one.key for one in list_segments(backend)}

    key = merge_piled_up(backend, session(99))

    assert key is not None
    reading = FaultyBackend(backend)
    assert len(found(reading, np.concatenate(every))) == MERGE_WIDTH
    assert [one.key for one in reading.log if one.kind == "get"] == [key]
    assert {one.key for one in list_segments(backend)} == before | {key}
    assert load_index(backend, floor=0, budget_bytes=PLENTY).superseded == before


def test_a_merged_segment_has_the_lowest_stamp_of_its_sources(backend):
    """What it says must hold for each of its blobs."""
    every = pile_up(backend, MERGE_WIDTH, stamps=[5, 9, 3, 7, 5, 5, 5, 5])
    key = merge_piled_up(backend, session(99))
    assert key is not None

    merged = decode_segment(backend.get(key), what=key)

    assert merged.stamp == 3
    # Below the floor it is no use, but its sources are.
    assert [ref.stamp for ref in found(backend, every[1], floor=4)] == [9]


def test_a_blob_of_several_segments_stands_once_in_the_merged_one(backend):
    """Entries of all of them lead to its one row."""
    ids = chunk_ids(1, 80)
    for number in range(MERGE_WIDTH):
        write(backend, number, [(blob(b"a"), ids[number * 10 : number * 10 + 10])])
    key = merge_piled_up(backend, session(99))
    assert key is not None

    merged = decode_segment(backend.get(key), what=key)

    assert (len(merged.blob_ids), len(merged.keys)) == (1, 80)
    assert found(backend, ids[70:]) == [blob(b"a")]


@pytest.mark.parametrize("knows", [True, False])
def test_what_was_merged_is_not_merged_again(backend, knows):
    """Seven fresh segments beside eight merged ones are not enough; the eighth is."""
    pile_up(backend, MERGE_WIDTH)
    merge_piled_up(backend, session(99))

    def merge(number):
        index = load_index(backend, floor=0, budget_bytes=PLENTY)
        return merge_piled_up(backend, session(number), index.superseded if knows else None)

    for number in range(MERGE_WIDTH - 1):
        write(backend, 50 + number, [(blob(bytes([97 + number])), chunk_ids(50 + number, 5))])
    assert merge(100) is None
    write(backend, 70, [(blob(b"z"), chunk_ids(70, 5))])

    key = merge(101)

    assert key is not None
    assert len(decode_segment(backend.get(key), what=key).supersedes) == MERGE_WIDTH


def test_fewer_than_eight_are_left_alone(backend):
    """A merge that saves little is not made."""
    pile_up(backend, MERGE_WIDTH - 1)

    assert merge_piled_up(backend, session(99)) is None


def test_a_damaged_merged_segment_gives_its_sources_back(backend):
    """They were never deleted, and nothing else says that they are superseded."""
    every = pile_up(backend, MERGE_WIDTH)
    key = merge_piled_up(backend, session(99))
    assert key is not None
    backend.put(key, [b"nothing"])

    assert len(found(backend, np.concatenate(every))) == MERGE_WIDTH


def test_chunks_with_one_head_lead_to_a_candidate_and_the_table_decides(backend):
    """Keys are the first 64 bits only: a hit is a hint."""
    ids = np.zeros((1, 32), np.uint8)
    other = ids.copy()
    other[0, 31] = 1
    write(backend, 1, [(blob(b"a"), ids)])

    assert found(backend, other) == [blob(b"a")]


def test_every_copy_of_a_chunk_in_a_merged_segment_can_be_asked_for(backend):
    """The first entry may be of a blob that is gone; the next ones are not hidden behind it."""
    shared = chunk_ids(1, 30)
    for number in range(MERGE_WIDTH):
        own = np.concatenate([shared, chunk_ids(50 + number, 10)])
        write(backend, number, [(blob(bytes([97 + number])), own)])
    merge_piled_up(backend, session(99))
    index = load_index(backend, floor=0, budget_bytes=PLENTY)

    copies = [index.candidates(shared, copy) for copy in range(MERGE_WIDTH + 1)]

    assert [len(refs) for refs in copies] == [1] * MERGE_WIDTH + [0]
    assert {refs[0].blob_id[:1] for refs in copies[:-1]} == {b"%c" % (97 + n) for n in range(8)}


def test_a_chunk_stored_once_has_no_further_copy(backend):
    """Asking on, at the end of a segment too, never leads back to what was told."""
    ids = chunk_ids(1, 5)
    write(backend, 1, [(blob(b"a"), ids)])

    index = load_index(backend, floor=0, budget_bytes=PLENTY)

    assert (index.candidates(ids), index.candidates(ids, 1)) == ([blob(b"a")], [])


def test_a_built_segment_has_sorted_keys():
    """Readers search it by halving."""
    segment = build_segment(session(1), 2, [(blob(b"a"), chunk_ids(1, 99))])

    assert isinstance(segment, Segment)
    assert (segment.keys[1:] >= segment.keys[:-1]).all()
    assert replace(segment).supersedes == ()
