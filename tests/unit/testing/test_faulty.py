"""FaultyBackend does exactly the harm that it is asked for."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cas.backend.memory import MemoryBackend
from cas.errors import AlreadyExistsError, BackendError
from cas.testing.faulty import CrashError, Fault, FaultyBackend, Operation


@pytest.fixture
def store():
    return MemoryBackend()


def three_puts(backend: FaultyBackend) -> None:
    for number in (1, 2, 3):
        backend.put(f"key{number}", [b"x"])


def stored(store: MemoryBackend) -> list[str]:
    return sorted(found.key for found in store.list_objects(""))


@pytest.mark.parametrize(
    ("fault", "left"), [(Fault.CRASH_BEFORE, ["key1"]), (Fault.CRASH_AFTER, ["key1", "key2"])]
)
def test_a_crash_stops_the_process_at_one_operation(store, fault, left):
    """Before or after its effect; nothing that the process does later happens."""
    backend = FaultyBackend(store).fail_at(2, fault)

    with pytest.raises(CrashError):
        three_puts(backend)

    assert stored(store) == left
    assert backend.crashed
    for call in (lambda: backend.get("key1"), lambda: backend.list_objects("")):
        with pytest.raises(CrashError):
            call()


def test_no_ordinary_handler_survives_a_crash(store):
    """A crash is no Exception, so code under test cannot clean up after its own death."""
    backend = FaultyBackend(store).fail_at(1, Fault.CRASH_BEFORE)

    def careful() -> None:
        with suppress(Exception):
            three_puts(backend)

    with pytest.raises(CrashError):
        careful()


@pytest.mark.parametrize(
    ("fault", "left"),
    [(Fault.FAIL_BEFORE, []), (Fault.FAIL_AFTER, ["key"]), (Fault.LATE, [])],
)
def test_a_failure_leaves_the_outcome_unknown(store, fault, left):
    """The caller learns the same whether it happened, did not, or will."""
    backend = FaultyBackend(store).fail_nth("create", 1, fault)

    with pytest.raises(BackendError):
        backend.create("key", b"x")

    assert stored(store) == left


def test_ones_own_success_can_be_reported_as_anothers(store):
    """A retried request meets its own first try."""
    backend = FaultyBackend(store).fail_nth("create", 1, Fault.EXISTS_AFTER)

    with pytest.raises(AlreadyExistsError):
        backend.create("key", b"x")

    assert store.get("key") == b"x"


def test_a_late_effect_comes_when_it_is_let_go(store):
    """A request that a proxy held back happens after what came since."""
    backend = FaultyBackend(store).fail_nth("put", 1, Fault.LATE)
    buffer = bytearray(b"late")
    with pytest.raises(BackendError):
        backend.put("key", [buffer])
    buffer[:] = b"????"
    backend.delete("key")

    assert backend.deliver_late() == 1
    assert store.get("key") == b"late"
    assert backend.deliver_late() == 0


def test_a_late_create_that_comes_second_changes_nothing(store):
    """The condition is checked when the request arrives."""
    backend = FaultyBackend(store).fail_nth("create", 1, Fault.LATE)
    with pytest.raises(BackendError):
        backend.create("key", b"late")
    backend.create("key", b"first")
    backend.deliver_late()

    assert store.get("key") == b"first"


def test_a_listing_can_break_off_or_lie(store):
    """One raises halfway, the other just ends: the caller must survive both."""
    three_puts(FaultyBackend(store))
    backend = FaultyBackend(store).fail_at(1, Fault.FAIL_AFTER).fail_at(2, Fault.SHORT)
    seen = []

    with pytest.raises(BackendError):
        seen.extend(found.key for found in backend.list_objects(""))

    assert [found.key for found in backend.list_objects("")] == ["key1"]
    assert [found.key for found in backend.list_objects("")] == ["key1", "key2", "key3"]


def test_the_log_tells_what_happened(store):
    """Each operation with its number, kind, key and fault."""
    backend = FaultyBackend(store).fail_nth("put", 2, Fault.FAIL_BEFORE)
    with pytest.raises(BackendError):
        three_puts(backend)
    backend.list_folders("a")

    assert backend.log == [
        Operation(number=1, kind="put", key="key1"),
        Operation(number=2, kind="put", key="key2", fault=Fault.FAIL_BEFORE),
        Operation(number=3, kind="list_folders", key="a"),
    ]
    assert backend.operations == 3


def outcomes(seed: int) -> list[Fault | None]:
    backend = FaultyBackend(MemoryBackend(), seed=seed, rate=0.3)
    for number in range(200):
        try:
            backend.create(f"key{number}", b"x")
        except (BackendError, AlreadyExistsError):
            continue
    return [operation.fault for operation in backend.log]


def test_chance_is_the_same_for_the_same_seed():
    """A failing seed can be run again; another seed is another story."""
    assert outcomes(1) == outcomes(1)
    assert outcomes(1) != outcomes(2)
    assert 30 < sum(fault is not None for fault in outcomes(3)) < 90


def test_threads_get_numbers_of_their_own(store):
    """Every operation is counted once, from however many threads."""
    backend = FaultyBackend(store)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: backend.put(f"k{n}", [b"x"]), range(300)))

    assert [operation.number for operation in backend.log] == list(range(1, 301))


def test_a_process_that_starts_again_sees_what_was_stored(store):
    """A new FaultyBackend on the same store is the restarted process."""
    backend = FaultyBackend(store).fail_at(3, Fault.CRASH_AFTER)
    with pytest.raises(CrashError):
        three_puts(backend)

    three_puts(FaultyBackend(store))

    assert stored(store) == ["key1", "key2", "key3"]


def test_a_pickled_copy_keeps_its_chances():
    """Seed, rate and kinds travel; the script and the log do not."""
    backend = FaultyBackend(MemoryBackend(), rate=1.0, faults=[Fault.FAIL_BEFORE])

    copy = pickle.loads(pickle.dumps(backend))

    with pytest.raises(BackendError):
        copy.put("key", [b"x"])
    assert copy.operations == 1
