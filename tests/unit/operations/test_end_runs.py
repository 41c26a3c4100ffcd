"""Deleting what is dead: by the thousand where that can be done, until none of it is listed."""

from __future__ import annotations

import pytest

from cas.backend.base import Capabilities
from cas.backend.counting import RequestCounter
from cas.backend.forwarding import ForwardingBackend
from cas.backend.memory import MemoryBackend
from cas.errors import BackendError
from cas.format import keys
from cas.model.ids import BlobId
from cas.model.progress import Cancel, Cancelled
from cas.objects.collections import give_verdict, open_run
from cas.objects.id_sets import ids_of, no_ids
from cas.objects.stored_blobs import MANY_IN_ONE, list_stored_blobs
from cas.objects.workers import Workers
from cas.operations.collection_outcomes import Space
from cas.operations.end_runs import delete_dead, end_open_runs

COUNT = 2500


class Bulk(ForwardingBackend):
    """A server that deletes many objects at once; or has no such request; or leaves some."""

    capabilities = Capabilities(
        create_if_absent=True, atomic_listing=True, local=False, deletes_many=True
    )
    fails = False
    leaves = 0

    def delete_many(self, keys):
        if self.fails:
            raise BackendError("not implemented")
        assert len(keys) <= 1000
        for key in keys[self.leaves :]:
            self._backend.delete(key)


def blob_id(number):
    return BlobId(bytes([number % 256]) + number.to_bytes(4, "big") + bytes(27))


@pytest.fixture
def truth():
    backend = MemoryBackend()
    for number in range(COUNT):
        key = keys.meta_key if number % 5 == 0 else keys.blob_key
        backend.put(key(blob_id(number)), [b"xy"])
    return backend


def ids(numbers):
    return ids_of(blob_id(number).raw for number in numbers)


@pytest.mark.parametrize(("fails", "requests"), [(False, 3), (True, 3 + COUNT - 1)])
def test_the_dead_go_by_the_thousand_where_the_storage_can(truth, fails, requests):
    """Where it says that it cannot, one by one."""
    bulk = Bulk(truth)
    bulk.fails = fails
    counter = RequestCounter(bulk)

    with Workers(1, "test") as workers:
        freed = delete_dead(counter, workers, ids(range(1, COUNT)))

    assert freed == Space(COUNT - 1, 2 * (COUNT - 1))
    assert counter.counts.delete == requests
    assert [one.key for one in truth.list_objects("")] == [keys.meta_key(blob_id(0))]


@pytest.mark.parametrize(("kind", "steps"), [(Bulk, 3), (ForwardingBackend, COUNT - 1)])
def test_it_tells_how_much_is_deleted(truth, kind, steps):
    """After each request, of how much."""
    told = []

    with Workers(4, "test") as workers:
        delete_dead(
            kind(truth), workers, ids(range(1, COUNT)), report=lambda *now: told.append(now)
        )

    total = Space(COUNT - 1, 2 * (COUNT - 1))
    assert len(told) == steps
    assert told[-1] == (total, total)
    assert all(done.bytes == 2 * done.blobs for done, _ in told)


def test_an_interrupted_deletion_is_gone_on_with_by_the_next_collection(truth):
    """It stops before its next request; what the run killed is still on record."""
    cancel, told = Cancel(), []
    run = open_run(truth, 1, ids(range(1, COUNT)))
    give_verdict(truth, run, no_ids())

    def stop(done, _total):
        told.append(done.blobs)
        cancel.set()

    with Workers(1, "test", cancel) as workers, pytest.raises(Cancelled):
        end_open_runs(truth, workers, [], stop)
    left = sum(1 for _ in truth.list_objects("blobs"))
    with Workers(1, "test") as workers:
        ended, freed = end_open_runs(truth, workers, [])

    assert told == [1]
    assert left > COUNT // 2
    assert (ended, freed.blobs) == ((run,), COUNT - 2)


def test_a_storage_that_goes_on_listing_what_it_deleted_is_an_error(truth):
    """So that nobody says that the run is done."""
    bulk = Bulk(truth)
    bulk.leaves = 1

    with Workers(1, "test") as workers, pytest.raises(BackendError, match="still lists"):
        delete_dead(bulk, workers, ids(range(1, COUNT)))


def test_what_is_listed_already_needs_no_listing_before(truth):
    """Only the one that shows that all of it is gone."""
    with Workers(1, "test") as workers:
        known = list_stored_blobs(truth, workers)
        counter = RequestCounter(truth)
        delete_dead(counter, workers, ids(range(9)), known)

    assert (counter.counts.list, counter.counts.delete) == (2, 9)


@pytest.mark.parametrize("threads", [1, 4])
def test_many_blobs_are_listed_folder_by_folder(threads):
    """A million in one listing would not fit into memory; a few are one request."""
    backend = MemoryBackend()
    for number in range(256 * MANY_IN_ONE):
        backend.put(keys.blob_key(blob_id(number)), [b"x"])
    backend.put(keys.meta_key(blob_id(7)), [b"xyz"])
    backend.put("blobs/00/litter", [b"x"])
    counter = RequestCounter(Bulk(backend))

    with Workers(threads, "test") as workers:
        stored = list_stored_blobs(counter, workers)

    assert len(stored) == 256 * MANY_IN_ONE + 1
    assert stored.bytes == 256 * MANY_IN_ONE + 3
    assert counter.counts.list == (1 + 256) + (1 + 1)
    assert sorted(stored.keys()) == sorted(
        one.key for one in backend.list_objects("") if one.key != "blobs/00/litter"
    )
