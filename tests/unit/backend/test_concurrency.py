"""The level of requests in flight rises while that helps and falls when it hurts."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from cas.backend import concurrency
from cas.backend.concurrency import FIRST_LEVEL, HIGHEST_LEVEL, ConcurrencyLimit

MIB = 1 << 20


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds as the limit sees them; tests set them."""
    now = [0.0]
    monkeypatch.setattr(concurrency, "monotonic_seconds", lambda: now[0])
    return now


def run_round(limit: ConcurrencyLimit, clock: list[float], speed: float) -> None:
    """Let a second pass in which all places were taken and `speed` bytes were moved."""
    with ExitStack() as places:
        level = limit.level
        for _ in range(level):
            places.enter_context(limit.request())
        clock[0] += 1.0
        for _ in range(level):
            limit.note_success(int(speed / level))


def test_the_level_rises_while_more_requests_bring_more(clock: list[float]) -> None:
    """A line that gives each request its share is used up to the highest level."""
    limit = ConcurrencyLimit()

    for _ in range(200):
        run_round(limit, clock, limit.level * MIB)

    assert limit.level == HIGHEST_LEVEL


def test_the_level_stays_near_where_more_bring_nothing(clock: list[float]) -> None:
    """A line that is full is not asked for ever more at once."""
    limit = ConcurrencyLimit()

    for _ in range(60):
        run_round(limit, clock, min(limit.level, 12) * MIB)

    assert 10 <= limit.level <= 16


def test_the_level_falls_when_the_line_gets_worse_under_it(clock: list[float]) -> None:
    """Less than before at the same level means that there are too many."""
    limit = ConcurrencyLimit()
    run_round(limit, clock, 100 * MIB)
    before = limit.level

    run_round(limit, clock, 10 * MIB)

    assert limit.level < before


def test_places_that_nobody_takes_say_nothing(clock: list[float]) -> None:
    """One small request after the other does not raise the level."""
    limit = ConcurrencyLimit()

    for _ in range(200):
        with limit.request():
            clock[0] += 1.0
            limit.note_success(MIB)

    assert limit.level == FIRST_LEVEL


def test_throttling_counts_once_a_round(clock: list[float]) -> None:
    """Eight refusals at the same moment halve the level once, not eight times."""
    limit = ConcurrencyLimit()
    run_round(limit, clock, MIB)
    clock[0] += 1.0

    for _ in range(8):
        limit.note_throttled()

    assert limit.level == (FIRST_LEVEL + 1) // 2


def test_one_request_is_always_let_through(clock: list[float]) -> None:
    """However often the storage refuses, there is a level of one."""
    limit = ConcurrencyLimit()

    for _ in range(20):
        clock[0] += 1.0
        limit.note_throttled()

    assert limit.level == 1


def test_a_pinned_level_does_not_move(clock: list[float]) -> None:
    """Who names a number gets it."""
    limit = ConcurrencyLimit(pinned=3)

    run_round(limit, clock, MIB)
    limit.note_throttled()

    assert limit.level == 3
