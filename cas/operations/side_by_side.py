"""Doing the same for many things at once, where requests take time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cas.objects.parts import StoreParts

READERS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_side_by_side(
    parts: StoreParts, act: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Call `act` for each item and return the results in their order; 16 at once unless local."""
    found = list(items)
    if parts.backend.capabilities.local or len(found) == 1:
        return [act(item) for item in found]
    with ThreadPoolExecutor(READERS, thread_name_prefix="cas-list") as pool:
        return list(pool.map(act, found))
