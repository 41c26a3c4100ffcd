"""A collector may die at any instant, and any of its requests may lose its reply."""

from __future__ import annotations

from contextlib import suppress

import pytest
from collected import NAME, assert_clean, assert_whole, collect, copied, littered

from cas.errors import BackendError, CasError, RefusedError
from cas.format.version import VoidRecord
from cas.objects.versions import read_slot
from cas.testing.fault_plan import CRASHES, LOSSES, WRONG_READS, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend


@pytest.fixture(scope="module")
def litter(tmp_path_factory):
    """A store with every kind of garbage; copy it."""
    return littered(tmp_path_factory.mktemp("litter"))


WRITES = {"put", "create", "delete"}


def operations_of_a_collection(litter, fault):
    """The numbers of the operations for which a fault means something of its own."""
    backend = FaultyBackend(copied(litter))
    collect(backend)
    assert backend.operations > 60
    if fault is Fault.EXISTS_AFTER:
        return [one.number for one in backend.log if one.kind == "create"]
    if fault in (Fault.CRASH_BEFORE, Fault.FAIL_BEFORE):
        return [one.number for one in backend.log]
    return [one.number for one in backend.log if one.kind in WRITES]


def test_a_collection_takes_everything_away_that_nothing_needs(litter):
    """Purged, interrupted, orphaned, condemned by others: all gone; what lives is whole."""
    backend = copied(litter)

    outcome = collect(backend)

    assert_whole(backend)
    assert_clean(backend)
    assert outcome.ended_runs == (1, 2)
    assert len(outcome.settled) == 2
    assert set(outcome.voided) == {"data:v3", "other:v0"}
    assert isinstance(read_slot(backend, NAME, 3), VoidRecord)
    assert outcome.deleted.blobs > 5


@pytest.mark.parametrize("fault", CRASHES)
def test_killed_at_any_operation_it_loses_nothing_and_the_next_one_finishes(litter, fault):
    """Before and after every single request."""
    for number in operations_of_a_collection(litter, fault):
        backend = copied(litter)
        with pytest.raises(CrashError):
            collect(FaultyBackend(backend).fail_at(number, fault))
        assert_whole(backend)

        collect(backend)

        assert_whole(backend)
        assert_clean(backend)


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
def test_any_lost_reply_costs_at_most_another_run(litter, fault):
    """An error, and the effect happened, did not, or comes late: nothing is lost by it."""
    for number in operations_of_a_collection(litter, fault):
        backend = copied(litter)
        plan = FaultPlan().fail_at(number, fault)
        client = FaultyBackend(backend, plan=plan)
        with suppress(BackendError):
            collect(client)
        assert_whole(backend)
        collect(backend)
        plan.deliver_late()
        assert_whole(backend)

        collect(backend)

        assert_whole(backend)
        assert_clean(backend)


def test_any_one_listing_that_is_cut_short_loses_nothing(litter):
    """Half of what there is, and not a word: two looks, and the brakes, stand before the data."""
    watching = FaultyBackend(copied(litter))
    collect(watching)
    listings = [one.number for one in watching.log if one.kind.startswith("list")]
    assert len(listings) > 20
    for number in listings:
        backend = copied(litter)

        with suppress(RefusedError, BackendError):
            collect(FaultyBackend(backend).fail_at(number, Fault.SHORT))

        assert_whole(backend)
        collect(backend)
        assert_whole(backend)
        assert_clean(backend)


@pytest.mark.parametrize("fault", WRONG_READS)
def test_any_one_read_that_is_answered_wrongly_loses_nothing(litter, fault):
    """Records have checksums, pages are hashed, and what cannot be read stops it.

    Segments of the index have neither: a wrong one may be written anew, and is a hint all the same.
    """
    watching = FaultyBackend(copied(litter))
    collect(watching)
    for number in [one.number for one in watching.log if one.kind == "get"]:
        backend = copied(litter)

        with suppress(CasError):
            collect(FaultyBackend(backend).fail_at(number, fault))

        assert_whole(backend)
        collect(backend)
        assert_whole(backend)
        assert_clean(backend, index=False)
