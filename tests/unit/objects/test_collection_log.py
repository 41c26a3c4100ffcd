"""Stamps and the log check, against a plain reference and case by case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.backend.base import Capabilities
from cas.backend.counting import RequestCounter
from cas.backend.forwarding import ForwardingBackend
from cas.backend.memory import MemoryBackend
from cas.errors import CorruptionError
from cas.format import keys
from cas.format.collection import (
    BLOCK_IDS,
    FIRST_READ_BYTES,
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_done,
    encode_floor,
    encode_verdict,
)
from cas.model.ids import SessionId
from cas.objects.collection_log import (
    SNAPSHOT_OBJECTS,
    LogAnswer,
    check_log,
    condemned_by_open_runs,
    list_log,
)
from cas.testing.faulty import FaultyBackend

BLOBS = [bytes([letter]) * 32 for letter in b"abcd"]
SETS = st.sets(st.sampled_from(BLOBS))
# A run: what it condemns; then no verdict, "all", or what it clears. Or no record at all.
RUNS = st.none() | st.tuples(SETS, st.none() | st.just("all") | SETS)


class BeforeGet(ForwardingBackend):
    """Lets something happen right before the first read of some record."""

    def __init__(self, backend, part, act):
        super().__init__(backend)
        self._part, self._act = part, act

    def get(self, key, start=0, stop=None):
        if self._part in key and self._act is not None:
            act, self._act = self._act, None
            act()
        return self._backend.get(key, start, stop)


def rows(ids):
    return np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)


def condemn(backend, run, ids):
    record = CondemnRecord(run, SessionId(bytes(16)), rows(ids))
    backend.put(keys.condemn_key(run), [encode_condemn(record)])


def decide(backend, run, cleared):
    everything = cleared == "all"
    record = VerdictRecord(run, rows(() if everything else cleared), all=everything)
    backend.put(keys.verdict_key(run), [encode_verdict(record)])


def put_floor(backend, run):
    backend.put(keys.floor_key(run), [encode_floor(run)])


def make_log(runs, floor):
    backend = MemoryBackend()
    if floor:
        put_floor(backend, floor)
    for number, run in enumerate(runs, 1):
        if run is None:
            continue
        condemn(backend, number, run[0])
        if run[1] is not None:
            decide(backend, number, run[1])
    return backend


def expected_check(runs, floor, stamp):
    """Say in plain words what the specification says: the answer, the bad blobs, the stamp."""
    numbered = {n: run for n, run in enumerate(runs, 1) if run is not None and n > floor}
    newest = max([floor, *numbered])
    if floor > stamp or (stamp > 0 and newest < stamp):
        return LogAnswer.STALE, set(), stamp
    if any(n not in numbered for n in range(stamp + 1, newest + 1)):
        return LogAnswer.STALE, set(), stamp
    bad = set()
    for n in range(stamp + 1, newest + 1):
        condemned, cleared = numbered[n]
        bad |= condemned - (condemned if cleared == "all" else cleared or set())
    if bad:
        return LogAnswer.BAD, bad, stamp
    resolved = floor
    while resolved + 1 in numbered and numbered[resolved + 1][1] is not None:
        resolved += 1
    return LogAnswer.OK, set(), max(stamp, resolved)


@given(st.lists(RUNS, max_size=5), st.integers(0, 4), st.integers(0, 6))
def test_the_log_check_is_what_the_specification_says(runs, floor, stamp):
    """Any log, any floor, any stamp: the same answer, the same bad blobs, the same new stamp."""
    checked = check_log(make_log(runs, floor), stamp, lambda: rows(BLOBS))

    bad = {BLOBS[at] for at in np.flatnonzero(checked.bad)}
    assert (checked.answer, bad, checked.stamp) == expected_check(runs, floor, stamp)


@given(st.lists(RUNS, max_size=5), st.integers(0, 4))
def test_open_runs_condemn_what_they_list_and_do_not_clear(runs, floor):
    """Asked before sharing: every run after the resolved prefix counts."""
    backend = make_log(runs, floor)
    listing = list_log(backend)

    condemned = condemned_by_open_runs(backend, listing)(rows(BLOBS)).astype(bool)

    expected = set()
    for n, run in enumerate(runs, 1):
        if run is not None and n > listing.resolved_prefix:
            expected |= run[0] - (run[0] if run[1] == "all" else run[1] or set())
    assert {BLOBS[at] for at in np.flatnonzero(condemned)} == expected


def test_an_empty_log_is_known_to_the_end(backend):
    """Stamp 0 is good, and costs one listing and no ids."""
    listing = list_log(backend)
    checked = check_log(backend, 0, no_ids)

    assert (listing.floor, listing.runs, listing.resolved_prefix, listing.newest) == (0, {}, 0, 0)
    assert (checked.answer, checked.stamp) == (LogAnswer.OK, 0)


def test_nothing_newer_than_the_stamp_asks_for_no_ids(backend):
    """So a small change of a large version is not expanded."""
    condemn(backend, 1, BLOBS)
    decide(backend, 1, ())

    assert check_log(backend, 1, no_ids).answer is LogAnswer.OK


def test_a_record_that_goes_between_listing_and_reading_is_stale(backend):
    """It expired: a floor that was not there when the log was listed is there now."""
    condemn(backend, 1, BLOBS[:1])
    decide(backend, 1, BLOBS[:1])
    for kind in (keys.condemn_key, keys.verdict_key):
        vanishing = Vanishing(backend, kind(1))
        assert check_log(vanishing, 0, lambda: rows(BLOBS)).answer is LogAnswer.STALE


@pytest.mark.parametrize("record", ["condemn", "verdict"])
def test_a_record_that_stands_in_for_an_expired_one_is_stale(backend, record):
    """The run killed, and expired after it was listed; somebody slow opened it again, or cleared
    all of it, on the empty key.
    """
    condemn(backend, 1, {BLOBS[0]})
    decide(backend, 1, set())

    def replace_record():
        put_floor(backend, 1)
        if record == "condemn":
            condemn(backend, 1, {BLOBS[1]})
        else:
            decide(backend, 1, "all")

    meddling = BeforeGet(backend, f".{record}", replace_record)

    checked = check_log(meddling, 0, lambda: rows({BLOBS[0]}))

    assert checked.answer is LogAnswer.STALE


def test_a_verdict_without_its_condemn_record_proves_nothing(backend):
    """What the run condemned cannot be known."""
    decide(backend, 1, ())

    assert check_log(backend, 0, lambda: rows(BLOBS)).answer is LogAnswer.STALE
    assert list_log(backend).resolved_prefix == 0


def test_a_store_that_was_rolled_back_is_noticed(backend):
    """No record is as new as the stamp: the log is not the one that the stamp is from."""
    put_floor(backend, 3)

    assert check_log(backend, 4, no_ids).answer is LogAnswer.STALE
    assert check_log(backend, 3, no_ids).answer is LogAnswer.OK


def test_records_at_or_below_the_floor_are_litter(backend):
    """They turn up late, and say nothing any more."""
    put_floor(backend, 2)
    put_floor(backend, 1)
    condemn(backend, 2, BLOBS)
    condemn(backend, 1, BLOBS)
    backend.put(keys.done_key(1), [encode_done(1)])

    listing = list_log(backend)

    assert (listing.floor, listing.runs) == (2, {})
    assert check_log(backend, 2, lambda: rows(BLOBS)).answer is LogAnswer.OK


def test_litter_in_the_log_is_ignored(backend):
    """Unknown names are neither runs nor floors."""
    backend.put("gc/notes.txt", [b"hello"])
    backend.put("gc/1.condemn", [b"hello"])

    assert list_log(backend).runs == {}


def test_a_damaged_record_is_an_error_and_never_a_clean_answer(backend):
    """What it condemned cannot be guessed."""
    condemn(backend, 1, BLOBS)
    content = bytearray(backend.get(keys.condemn_key(1)))
    content[-1] ^= 1
    backend.put(keys.condemn_key(1), [content])

    with pytest.raises(CorruptionError):
        check_log(backend, 0, lambda: rows(BLOBS))


def test_a_listing_that_is_no_snapshot_is_made_twice(backend):
    """A floor put and records deleted while it ran: either the one or the others are seen."""

    class Moving(MemoryBackend):
        """Passes the place of the floor, and reaches the records after they were deleted."""

        capabilities = Capabilities(create_if_absent=True, atomic_listing=False, local=True)
        first = True

        def list_objects(self, prefix):
            if self.first:
                self.first = False
                for kind in (keys.condemn_key, keys.verdict_key):
                    self.delete(kind(1))
                found = list(super().list_objects(prefix))
                put_floor(self, 1)
                return iter(found)
            return super().list_objects(prefix)

    moving = Moving()
    condemn(moving, 1, BLOBS)
    decide(moving, 1, ())

    assert check_log(moving, 0, lambda: rows(BLOBS)).answer is LogAnswer.STALE


def test_a_log_too_long_for_one_piece_is_listed_twice(backend):
    """Snapshots are promised for the first thousand objects only."""
    counting = FaultyBackend(backend)
    list_log(counting)
    assert counting.operations == 1
    for run in range(1, SNAPSHOT_OBJECTS + 2):
        condemn(backend, run, ())

    counting = FaultyBackend(backend)
    assert len(list_log(counting).runs) == SNAPSHOT_OBJECTS + 1

    assert counting.operations == 2


class Vanishing(FaultyBackend):
    """A record that is gone when it is read, though it was listed."""

    def __init__(self, backend, key):
        super().__init__(backend)
        self._gone = key

    def get(self, key, start=0, stop=None):
        return super().get("no/such" if key == self._gone else key, start, stop)


def no_ids():
    raise AssertionError("the ids are not needed")


@pytest.fixture
def backend():
    return MemoryBackend()


def big_run(backend, run):
    """Open a run of two blobs in each of twenty blocks, and of many more between them."""
    count = 20 * BLOCK_IDS
    ids = np.zeros((count, 32), np.uint8)
    ids[:, :8] = np.arange(count, dtype=">u8").view(np.uint8).reshape(-1, 8)
    backend.create(
        keys.condemn_key(run), encode_condemn(CondemnRecord(run, SessionId(bytes(16)), ids))
    )
    return ids


def test_few_blobs_are_checked_by_a_block_each():
    """Not by the whole record, which may have 32 MiB."""
    backend = RequestCounter(MemoryBackend())
    ids = big_run(backend, 1)
    asked = np.concatenate([ids[[5, 5 * BLOCK_IDS + 7]], rows(BLOBS)])
    before = backend.counts

    checked = check_log(backend, 0, lambda: asked)

    spent = backend.counts - before
    assert checked.answer is LogAnswer.BAD
    assert checked.bad.tolist() == [True, True, False, False, False, False]
    assert spent.get == 4
    assert spent.received_bytes < FIRST_READ_BYTES + 4 * 32 * BLOCK_IDS


def test_what_a_big_verdict_clears_is_found_by_blocks_too():
    """It clears all blobs but one, which is bad."""
    backend = RequestCounter(MemoryBackend())
    ids = big_run(backend, 1)
    verdict = VerdictRecord(1, np.delete(ids, 9, axis=0), all=False)
    backend.create(keys.verdict_key(1), encode_verdict(verdict))
    before = backend.counts

    checked = check_log(backend, 0, lambda: ids[[9, 10]])

    assert checked.bad.tolist() == [True, False]
    assert (backend.counts - before).received_bytes < 2 * (FIRST_READ_BYTES + 4 * 32 * BLOCK_IDS)


def test_a_damaged_block_is_an_error_and_no_answer():
    """A record that cannot be read clears nothing, and says so."""
    backend = MemoryBackend()
    ids = big_run(backend, 1)
    key = keys.condemn_key(1)
    content = bytearray(backend.get(key))
    content[-40] ^= 1
    backend.put(key, [content])

    assert check_log(backend, 0, lambda: ids[:1]).answer is LogAnswer.BAD
    with pytest.raises(CorruptionError):
        check_log(backend, 0, lambda: ids[-1:])


def test_a_record_of_another_run_is_an_error():
    """Copied to another key it says nothing of that run."""
    backend = MemoryBackend()
    condemn(backend, 2, BLOBS)
    backend.put(keys.condemn_key(1), [backend.get(keys.condemn_key(2))])

    with pytest.raises(CorruptionError):
        check_log(backend, 0, lambda: rows(BLOBS))
