"""How many requests are in flight at once: a number that finds its level by itself.

Additive increase while more requests bring more bytes, multiplicative decrease when the storage
says that it is too much or when more requests bring less (Chiu and Jain, 1989, as in TCP).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cas.environment import monotonic_seconds

FIRST_LEVEL = 8
HIGHEST_LEVEL = 64
# Of n requests one more must bring at least this share of an n-th more.
WORTHWHILE_SHARE = 0.5
# Less than this share of the usual speed means that the storage or the line is overloaded.
OVERLOADED_SHARE = 0.7
DECREASE = 0.75
THROTTLED_DECREASE = 0.5
# After a try that did not pay the next one waits, twice as long each time.
LONGEST_REST_ROUNDS = 32
SMOOTHING = 0.3
SHORTEST_ROUND_SECONDS = 0.25


@dataclass(slots=True)
class _Round:
    """What was transferred since the level was last looked at."""

    started: float
    moved_bytes: int = 0
    requests: int = 0


class ConcurrencyLimit:
    """Lets as many requests through as the storage serves well. Thread-safe.

    Args:
        pinned: a fixed number instead of a level that is looked for.
    """

    def __init__(self, pinned: int | None = None) -> None:
        self._pinned = pinned
        self._changed = threading.Condition()
        self._level = float(pinned or FIRST_LEVEL)
        self._in_flight = 0
        self._usual_speed = 0.0
        self._is_trying = False
        self._rest_rounds = 1
        self._rounds_to_rest = 0
        self._round = _Round(monotonic_seconds())

    @property
    def level(self) -> int:
        """How many requests may be in flight just now."""
        return int(self._level)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait for a place, and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < int(self._level))
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    def note_success(self, moved_bytes: int) -> None:
        """Learn that a request moved so many bytes; looks at the level once a round."""
        if self._pinned:
            return
        with self._changed:
            current = self._round
            current.moved_bytes += moved_bytes
            current.requests += 1
            seconds = monotonic_seconds() - current.started
            # A level that is not used up says nothing about a higher one.
            is_full = self._in_flight >= int(self._level)
            if seconds < SHORTEST_ROUND_SECONDS or current.requests < int(self._level):
                return
            self._round = _Round(monotonic_seconds())
            if is_full:
                self._judge(current.moved_bytes / seconds)

    def note_throttled(self) -> None:
        """Learn that the storage asked for less; all who are told so at once count as one."""
        if self._pinned:
            return
        with self._changed:
            now = monotonic_seconds()
            if self._round.requests == 0 and now - self._round.started < SHORTEST_ROUND_SECONDS:
                return
            self._level = max(1.0, self._level * THROTTLED_DECREASE)
            self._usual_speed = 0.0
            self._rest(LONGEST_REST_ROUNDS)
            self._round = _Round(now)

    def _judge(self, speed: float) -> None:
        """Go on with a try that paid, take back one that did not, begin one when it is time."""
        paid = speed >= self._usual_speed * (1 + WORTHWHILE_SHARE / self._level)
        if speed < self._usual_speed * OVERLOADED_SHARE:
            self._level = max(1.0, self._level * DECREASE)
            self._usual_speed = speed
            self._rest(1)
        elif self._is_trying and not paid:
            self._level = max(1.0, self._level - 1)
            self._rest(min(LONGEST_REST_ROUNDS, 2 * self._rest_rounds))
        elif self._rounds_to_rest:
            self._rounds_to_rest -= 1
            self._usual_speed += SMOOTHING * (speed - self._usual_speed)
        else:
            if self._is_trying:
                self._rest_rounds = 1
            self._usual_speed = speed
            self._level = min(float(HIGHEST_LEVEL), self._level + 1)
            self._is_trying = self._level < HIGHEST_LEVEL
            self._changed.notify()

    def _rest(self, rounds: int) -> None:
        self._is_trying = False
        self._rest_rounds = self._rounds_to_rest = rounds
