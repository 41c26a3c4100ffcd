"""What a collection does to the index: nothing in it leads to what is gone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cas.backend.memory import MemoryBackend
from cas.format import keys
from cas.format.segment import decode_segment
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobRef
from cas.objects.collection_log import list_log
from cas.objects.collections import give_verdict, open_run, put_floor
from cas.objects.id_sets import ids_of, no_ids
from cas.objects.index import MERGE_WIDTH, build_segment, load_index, write_segment
from cas.objects.index_upkeep import tend_index
from cas.objects.workers import Workers

CHUNKS = 5


@pytest.fixture
def backend():
    return MemoryBackend()


def blob(number):
    return bytes([number]) * 32


def chunks_of(number):
    """Ids of the chunks of a blob; those of all blobs are mixed when they are sorted."""
    ids = np.full((CHUNKS, 32), number, np.uint8)
    ids[:, 0] = np.arange(CHUNKS) * 40
    return ids


def announce(backend, numbers, *, stamp=0, session=1):
    """Write the segment of a session that stored some blobs."""
    refs = [
        (BlobRef(blob_id=blob(n), size=900, table_offset=700, stamp=stamp), chunks_of(n))
        for n in numbers
    ]
    sid = SessionId(bytes([session]) * 16)
    key = keys.segment_key(0, sid, 0)
    write_segment(backend, key, build_segment(sid, stamp, refs))
    return key


def kill(backend, *numbers, run):
    """Let a run kill blobs."""
    open_run(backend, run, ids_of(map(blob, numbers)))
    give_verdict(backend, run, no_ids())


def tend(backend, next_floor=0):
    with Workers(1, "test") as workers:
        tend_index(backend, workers, list_log(backend), next_floor)


def segments(backend):
    return {
        one.key: decode_segment(backend.get(one.key), what=one.key)
        for one in backend.list_objects("index")
    }


def led_to(backend, number):
    """The blobs to which the index leads from the chunks of one."""
    index = load_index(backend, floor=list_log(backend).floor, budget_bytes=1 << 20)
    return {ref.blob_id for ref in index.candidates(chunks_of(number))}


def test_entries_of_killed_blobs_go_and_the_others_stay(backend):
    """The segment is written anew, with the stamp of what was looked at."""
    old = announce(backend, [1, 2, 3])
    kill(backend, 2, run=1)

    tend(backend)

    assert old not in segments(backend)
    (segment,) = segments(backend).values()
    assert [row.tobytes() for row in segment.blob_ids] == [blob(1), blob(3)]
    assert segment.stamp == 1
    assert len(segment.keys) == 2 * CHUNKS
    assert led_to(backend, 1) == {blob(1)}
    assert led_to(backend, 2) == set()
    assert led_to(backend, 3) == {blob(3)}


def test_a_segment_of_which_nothing_is_left_goes(backend):
    """Nobody asks for it again."""
    announce(backend, [1, 2])
    kill(backend, 1, 2, run=1)

    tend(backend)

    assert segments(backend) == {}


def test_what_leads_to_nothing_dead_is_left_alone(backend):
    """Rewriting the index of a big store costs more than it is worth."""
    key = announce(backend, [1])
    kill(backend, 9, run=1)

    tend(backend)

    assert list(segments(backend)) == [key]


def test_a_stamp_that_the_next_floor_would_pass_is_raised(backend):
    """Else all that the segment knows would be useless to writers."""
    announce(backend, [1])
    kill(backend, 9, run=1)
    kill(backend, 8, run=2)

    tend(backend, next_floor=1)

    (segment,) = segments(backend).values()
    assert segment.stamp == 2


def test_a_stamp_is_not_raised_over_a_run_without_verdict(backend):
    """Nobody knows yet what that one kills."""
    announce(backend, [1, 2])
    kill(backend, 2, run=1)
    open_run(backend, 2, ids_of([blob(1)]))
    kill(backend, 7, run=3)

    tend(backend)

    (segment,) = segments(backend).values()
    assert segment.stamp == 1


def test_a_segment_under_the_floor_goes(backend):
    """What was killed since cannot be known any more."""
    announce(backend, [1], stamp=3)
    put_floor(backend, 5)

    tend(backend)

    assert segments(backend) == {}


def test_what_piled_up_is_merged_and_the_parts_go(backend):
    """Eight of a level become one."""
    for session in range(1, MERGE_WIDTH + 1):
        announce(backend, [session], session=session)

    tend(backend)

    (key,) = segments(backend)
    assert key.startswith("index/1-")
    assert led_to(backend, 5) == {blob(5)}


def test_parts_that_a_writer_merged_go(backend):
    """A writer may not delete; a collector does."""
    announced = [announce(backend, [n], session=n) for n in range(1, 3)]
    merged = build_segment(SessionId(bytes(16)), 0, [])
    key = keys.segment_key(1, SessionId(bytes(16)), 0)
    write_segment(backend, key, replace(merged, supersedes=(announced[0],)))

    tend(backend)

    assert sorted(segments(backend)) == sorted([announced[1], key])


def test_a_damaged_segment_is_left_as_it_is(backend):
    """Whoever repairs may want to look at it."""
    key = announce(backend, [1, 2])
    kill(backend, 1, run=1)
    backend.put(key, [backend.get(key)[:-1] + b"!!"])
    other = keys.segment_key(0, SessionId(b"x" * 16), 0)
    backend.put(other, [b"no segment"])

    tend(backend)

    assert {one.key for one in backend.list_objects("index")} == {key, other}


def test_records_that_are_gone_leave_the_index_as_it_is(backend):
    """They expired while it was looked at: the next collection has another look."""
    key = announce(backend, [1, 2])
    kill(backend, 1, run=1)
    log = list_log(backend)
    backend.delete(keys.condemn_key(1))

    with Workers(1, "test") as workers:
        tend_index(backend, workers, log, 0)

    assert list(segments(backend)) == [key]


def test_records_that_expired_meanwhile_leave_the_index_as_it_is(backend):
    """Run 1 killed, and expired after it was listed; somebody slow cleared it on the empty key."""
    announce(backend, [1, 2])
    kill(backend, 2, run=1)
    log = list_log(backend)
    put_floor(backend, 1)
    backend.delete(keys.verdict_key(1))
    give_verdict(backend, 1, None)
    before = segments(backend)

    with Workers(1, "test") as workers:
        tend_index(backend, workers, log, 1)

    assert segments(backend).keys() == before.keys()
