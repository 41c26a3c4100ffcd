"""How many threads read small files: one while they come from memory, a few while from a disk.

Threads that make short system calls hand the GIL to and fro: two need a third more time for the
same cached files than one, four more than twice the time. But a thread that waits for a disk or a
network file system holds no GIL, and one alone would wait for every file in turn: thirty thousand
files that are not in memory took 4.6 s with one reader, 2.6 s with four, 3.9 s with eight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

from cas.environment import thread_blocks_read

MOST_READERS = 4

_Answer = TypeVar("_Answer")


class SmallReaders:
    """Runs batches on as many threads as serve. A context manager; leaving it waits for them.

    `blocks_read` tells how many blocks a disk has given to the calling thread so far.
    """

    def __init__(self, blocks_read: Callable[[], int] = thread_blocks_read) -> None:
        self._blocks_read = blocks_read
        self._pool = ThreadPoolExecutor(MOST_READERS, thread_name_prefix="cas-small")
        self._changed = threading.Condition()
        self._running = 0
        self._readers = 1

    @property
    def readers(self) -> int:
        """How many batches may run at once just now."""
        return self._readers

    def submit(self, batch: Callable[[], _Answer]) -> Future[_Answer]:
        """Run a batch as soon as a reader is free."""
        return self._pool.submit(self._run, batch)

    def _run(self, batch: Callable[[], _Answer]) -> _Answer:
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._readers)
            self._running += 1
        before = self._blocks_read()
        try:
            return batch()
        finally:
            came_from_disk = self._blocks_read() > before
            with self._changed:
                self._running -= 1
                step = 1 if came_from_disk else -1
                self._readers = min(MOST_READERS, max(1, self._readers + step))
                self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
