"""A long stretch of a file in pieces: many are fetched at once, and given in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor

from cas.model.units import MIB

PIECE_BYTES = 4 * MIB
# Beside what a piece decodes to there is what is fetched for it.
_BYTES_IN_FLIGHT = 2 * PIECE_BYTES
MAXIMUM_IN_FLIGHT = 32


def pieces_in_flight(memory_bytes: int) -> int:
    """Return how many pieces may be under way or wait to be taken, within half of a budget."""
    return max(1, min(MAXIMUM_IN_FLIGHT, memory_bytes // 2 // _BYTES_IN_FLIGHT))


def iter_pieces(
    fetch: Callable[[int, int], bytes],
    end_of: Callable[[int, int], int],
    start: int,
    stop: int,
    *,
    in_flight: int,
    at_first: int,
) -> Generator[bytes]:
    """Yield bytes `start` to `stop` in order, fetched by threads ahead of whoever takes them.

    Args:
        fetch: returns bytes of the file from one position to another; called by the threads.
        end_of: returns where a piece that begins at a position should end, at most at a limit.
        start: where the first piece begins.
        stop: where the last one ends.
        in_flight: how many pieces may be under way, or wait to be taken.
        at_first: begin with so many, and twice as many after each that is taken: whoever may stop
            soon causes little for nothing.
    """
    pool = ThreadPoolExecutor(in_flight, thread_name_prefix="cas-pieces")
    ahead: deque[Future[bytes]] = deque()
    allowed = min(at_first, in_flight)
    try:
        while start < stop or ahead:
            while start < stop and len(ahead) < allowed:
                end = end_of(start, stop)
                ahead.append(pool.submit(fetch, start, end))
                start = end
            yield ahead.popleft().result()
            allowed = min(in_flight, 2 * allowed)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
