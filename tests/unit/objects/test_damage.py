"""What is known to be damaged, kept in the store: read by puts, written by whoever verified."""

from __future__ import annotations

import numpy as np
import pytest

from cas.backend.memory import MemoryBackend
from cas.errors import BackendError
from cas.format.verification import DamageState
from cas.objects.collection_log import list_log
from cas.objects.damage import (
    BlobDamage,
    forget_damage,
    list_damage,
    merge_damage,
    read_damage,
    write_damage,
)
from cas.objects.results import read_results, write_results

ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))


def ids(*raw: bytes):
    return np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 32)


def chunks(blob_id: bytes, *rows: int) -> BlobDamage:
    return BlobDamage(blob_id, False, DamageState.CHUNKS, np.array(rows, np.int64))


def missing(blob_id: bytes, *, is_meta: bool = False) -> BlobDamage:
    return BlobDamage(blob_id, is_meta, DamageState.MISSING)


class NoDeletes(MemoryBackend):
    """A bucket for a writer."""

    def delete(self, key: str) -> None:
        raise BackendError(f"{key}: denied")


def known(backend):
    return read_damage(backend, list_damage(backend))


def record(backend, *found, sound=()):
    before = known(backend)
    merged = merge_damage(before, found, sound)
    if merged is not None:
        write_damage(backend, before, merged)


def test_damage_is_read_back_as_it_was_written():
    """Blobs that are useless as a whole are told from those with some damaged chunks."""
    backend = MemoryBackend()
    record(backend, missing(ONE), chunks(TWO, 3, 5), missing(THREE, is_meta=True))

    read = known(backend)

    assert read.bad_blobs == {ONE, THREE}
    assert {blob_id: rows.tolist() for blob_id, rows in read.bad_chunks.items()} == {TWO: [3, 5]}


def test_a_listing_of_the_log_of_collections_tells_of_damage():
    """So a put needs no request of its own to learn of it."""
    backend = MemoryBackend()
    assert list_log(backend).damage == ()

    record(backend, missing(ONE))

    assert list(list_log(backend).damage) == list_damage(backend)
    assert list_log(backend).runs == {}


@pytest.mark.parametrize("kind", [MemoryBackend, NoDeletes])
def test_records_of_runs_at_the_same_time_count_together(kind):
    """Neither knew of the other; the next one joins them."""
    backend = kind()
    nothing = known(backend)
    write_damage(backend, nothing, [missing(ONE)])
    write_damage(backend, nothing, [missing(TWO)])
    assert known(backend).bad_blobs == {ONE, TWO}

    record(backend, missing(THREE))

    assert known(backend).bad_blobs == {ONE, TWO, THREE}


@pytest.mark.parametrize(("kind", "records"), [(MemoryBackend, 0), (NoDeletes, 2)])
def test_what_is_whole_again_is_forgotten(kind, records):
    """Even by those who may not delete: their record says that nothing is damaged."""
    backend = kind()
    record(backend, missing(ONE))

    forget_damage(backend, [ONE])

    assert known(backend).blobs == {}
    assert len(list_damage(backend)) == records


def test_a_damaged_record_of_damage_is_passed_over_and_stays():
    """It is superseded, since its blobs are found again, and not removed."""
    backend = MemoryBackend()
    record(backend, missing(ONE))
    key = list_damage(backend)[0]
    backend.put(key, [b"not a record"])

    assert known(backend).unread == (key,)
    record(backend, missing(TWO))

    assert known(backend).bad_blobs == {TWO}
    assert key in list_damage(backend)


def test_nothing_new_writes_nothing():
    """Runs that find what is known leave the record alone."""
    backend = MemoryBackend()
    record(backend, chunks(ONE, 1))
    before = list_damage(backend)

    record(backend, chunks(ONE, 1), sound=[TWO])

    assert list_damage(backend) == before


def test_results_say_when_a_blob_was_last_read():
    """The latest time counts, a time in the future is not believed, and other blobs are unknown."""
    backend = MemoryBackend()
    every = ids(ONE, TWO, THREE)
    first = write_results(backend, read_results(backend), ids(ONE, TWO), 1000, every)
    write_results(backend, first, ids(TWO), 2000, every)

    read = read_results(backend)

    assert read.last_read(every, 5000).tolist() == [1000, 2000, 0]
    assert read.last_read(every, 1500).tolist() == [1000, 0, 0]
    assert len(read.read) == 1


def test_results_of_blobs_that_are_gone_are_forgotten():
    """A record does not grow for ever."""
    backend = MemoryBackend()
    first = write_results(backend, read_results(backend), ids(ONE, TWO), 1000, ids(ONE, TWO))

    second = write_results(backend, first, ids(TWO), 2000, ids(TWO))

    assert len(second.keys) == 1


def test_results_of_runs_at_the_same_time_are_joined():
    """Both wrote the same number; both are read."""
    backend = NoDeletes()
    nothing = read_results(backend)
    every = ids(ONE, TWO)
    write_results(backend, nothing, ids(ONE), 1000, every)
    write_results(backend, nothing, ids(TWO), 2000, every)

    assert read_results(backend).last_read(every, 5000).tolist() == [1000, 2000]
