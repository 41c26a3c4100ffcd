"""How much of what a get reads comes from the storage, and not out of a cache on this machine."""

from __future__ import annotations

from cas.backend.counting import RequestCounter


class FetchMeter:
    """Counts from when it is made on.

    The storage knows what it gave, though not whether it was content or what leads to it; who reads
    knows how much content it was, though not from where. The smaller of both is right to some KiB.
    """

    def __init__(self, counter: RequestCounter) -> None:
        self._counter = counter
        self._before = counter.counts.received_bytes

    def fetched(self, read_bytes: int) -> int:
        """Return how many of the content's bytes that were read the storage was asked for."""
        return min(read_bytes, self._counter.counts.received_bytes - self._before)
