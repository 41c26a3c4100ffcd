"""Memory in flight: bounded, given back, never a dead end."""

from __future__ import annotations

import threading

from cas.transfer.budget import MemoryBudget


def test_what_does_not_fit_has_to_wait():
    """The limit itself may be used up; given back is free again."""
    budget = MemoryBudget(100)

    taken = [budget.try_acquire(60), budget.try_acquire(41), budget.try_acquire(40)]
    budget.release(60)

    assert taken == [True, False, True]
    assert budget.try_acquire(60)


def test_a_single_piece_over_the_limit_goes_alone():
    """Otherwise it could never go at all."""
    budget = MemoryBudget(100)

    alone = budget.try_acquire(500)

    assert (alone, budget.try_acquire(1)) == (True, False)
    budget.release(500)
    assert budget.try_acquire(1)
    assert not budget.try_acquire(500)


def test_a_waiting_thread_goes_on_when_something_is_given_back():
    """It need not wait until its time is over."""
    budget = MemoryBudget(100)
    budget.try_acquire(100)
    waiting = threading.Thread(target=budget.wait_for_release, args=(3600,), daemon=True)
    waiting.start()

    while waiting.is_alive():
        budget.release(0)
        waiting.join(0.01)

    assert not budget.try_acquire(1)


def test_waiting_ends_though_nothing_is_given_back():
    """Whoever waits looks at other things now and then."""
    MemoryBudget(100).wait_for_release(0.001)
