"""Sets of ids as sorted arrays: 32 bytes a member, where a Python set takes five times as much."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cas.format.collection import listed_rows
from cas.format.encoding import ID_BYTES, sortable_ids

Ids = NDArray[np.uint8]


def no_ids() -> Ids:
    """Return the empty set."""
    return np.zeros((0, ID_BYTES), np.uint8)


def ids_of(raw: Iterable[bytes]) -> Ids:
    """Return the set of these ids."""
    return view_sorted(b"".join(sorted(set(raw))))


def view_sorted(joined: bytes) -> Ids:
    """Return ids that are sorted already, each once, from their concatenation."""
    return np.frombuffer(joined, np.uint8).reshape(-1, ID_BYTES)


def sort_ids(ids: Ids) -> Ids:
    """Return the set of the ids in rows of any order, some perhaps twice."""
    # The stable sort merges what is sorted in part, as unions are: ten times as fast as the default
    # there, and twice as fast as sorting by the first eight bytes elsewhere.
    ordered = np.sort(sortable_ids(ids), kind="stable")
    is_first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    if not is_first.all():
        ordered = ordered[is_first]
    return ordered.view(np.uint8).reshape(-1, ID_BYTES)


def unite(*sets: Ids) -> Ids:
    """Return the union."""
    filled = [one for one in sets if len(one)]
    if len(filled) < 2:
        return filled[0] if filled else no_ids()
    return sort_ids(np.concatenate(filled))


def without(ids: Ids, others: Ids) -> Ids:
    """Return those of `ids` that are not among `others`."""
    return ids[~listed_rows(others, ids)]


def within(ids: Ids, others: Ids) -> Ids:
    """Return those of `ids` that are among `others`, too."""
    return ids[listed_rows(others, ids)]


class GrowingSet:
    """A set of ids that grows. Not thread-safe.

    It is kept as sorted runs, each less than half as long as the one before, so adding n ids costs
    n log n in all and asking looks at log n runs.
    """

    def __init__(self) -> None:
        self._runs: list[Ids] = []

    def add(self, ids: Ids) -> None:
        """Add rows, in any order, some perhaps twice or there already."""
        if len(ids) == 0:
            return
        self._runs.append(sort_ids(ids))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = unite(self._runs[-1], last)

    def missing_rows(self, ids: Ids) -> NDArray[np.bool_]:
        """Tell which of `ids` are not in it."""
        missing = np.ones(len(ids), np.bool_)
        for run in self._runs:
            missing &= ~listed_rows(run, ids)
        return missing

    def ids(self) -> Ids:
        """Return what is in it now, sorted."""
        self._runs = [unite(*self._runs)]
        return self._runs[0]
