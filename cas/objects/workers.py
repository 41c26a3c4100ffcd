"""The same act on many items, side by side or, with one thread, strictly one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Self, TypeVar

from cas.model.progress import Cancel

# So many items wait at most, however many there are in all.
_BATCH = 1024

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class Workers:
    """Some threads, started when they are needed. With one thread everything is sequential.

    Args:
        cancel: where it is set, no further item is begun, and `Cancelled` is raised.
    """

    def __init__(self, threads: int, name: str, cancel: Cancel | None = None) -> None:
        self._cancel = cancel
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name) if threads > 1 else None

    def map(self, act: Callable[[_Item], _Answer], items: Iterable[_Item]) -> Iterator[_Answer]:
        """Yield the answers in the order of the items, as they are asked for.

        What an act raises is raised in its place, after those before it.
        """
        act = self._until_cancelled(act)
        if self._pool is None:
            yield from map(act, items)
            return
        waiting = iter(items)
        while some := list(islice(waiting, _BATCH)):
            yield from self._pool.map(act, some)

    def run(self, act: Callable[[_Item], object], items: Iterable[_Item]) -> None:
        """Do the act with every item."""
        for _ in self.map(act, items):
            pass

    def _until_cancelled(self, act: Callable[[_Item], _Answer]) -> Callable[[_Item], _Answer]:
        cancel = self._cancel
        if cancel is None:
            return act

        def checked(item: _Item) -> _Answer:
            cancel.check()
            return act(item)

        return checked

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
