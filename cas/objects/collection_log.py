"""What a client knows of collections: stamps, and the check of blobs against the log.

Spec: specs/protocol/put.md (stamps, log check).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import SNAPSHOT_OBJECTS, Backend
from cas.errors import NotFoundError
from cas.format import keys
from cas.objects.run_members import cleared_by, condemned_by

Ids = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LogListing:
    """The records under `gc/`: the highest floor, and the kinds of records of each run above it.

    Attributes:
        sizes: bytes of the record of a run and kind.
        damage: keys of the records of damaged blobs, which lie there, too.
    """

    floor: int
    runs: dict[int, frozenset[str]]
    sizes: dict[tuple[int, str], int] = field(default_factory=dict)
    damage: tuple[str, ...] = ()

    @property
    def resolved_prefix(self) -> int:
        """The highest m such that all runs up to m have a verdict or are under the floor."""
        run = self.floor
        while {"condemn", "verdict"} <= self.runs.get(run + 1, frozenset()):
            run += 1
        return run

    @property
    def open_runs(self) -> list[int]:
        """Runs after the resolved prefix, some of which have no verdict."""
        stamp = self.resolved_prefix
        return sorted(run for run in self.runs if run > stamp)

    @property
    def newest(self) -> int:
        """The highest run or floor there is."""
        return max(self.floor, max(self.runs, default=0))


class LogAnswer(Enum):
    """What the log says of blobs known with a stamp."""

    OK = "ok"
    BAD = "bad"
    STALE = "stale"


@dataclass(frozen=True, slots=True, eq=False)
class LogCheck:
    """The answer; which of the blobs are bad (bool, shape (n,)); the stamp they may now carry."""

    answer: LogAnswer
    stamp: int
    bad: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))


def list_log(backend: Backend) -> LogListing:
    """List `gc/`. Where a listing is no snapshot it is listed twice and the union taken."""
    kinds: dict[int, set[str]] = {}
    sizes: dict[tuple[int, str], int] = {}
    damage: set[str] = set()
    for _ in range(2):
        listed = list(backend.list_objects(keys.collections_prefix()))
        for stored in listed:
            parsed = keys.parse_collection_key(stored.key)
            if parsed is not None:
                run, kind = parsed
                kinds.setdefault(run, set()).add(kind)
                sizes[run, kind] = stored.size
            elif keys.parse_damage_key(stored.key) is not None:
                damage.add(stored.key)
        if backend.capabilities.atomic_listing and len(listed) <= SNAPSHOT_OBJECTS:
            break
    floor = max((run for run, kind in kinds.items() if "floor" in kind), default=0)
    runs = {
        run: frozenset(kind - {"floor"})
        for run, kind in kinds.items()
        if run > floor and kind != {"floor"}
    }
    return LogListing(floor, runs, sizes, tuple(sorted(damage)))


def check_log(backend: Backend, stamp: int, needed: Callable[[], Ids]) -> LogCheck:
    """Check blobs that are known with `stamp` against every run after it.

    Args:
        backend: where the store lies.
        stamp: every run up to it had a verdict, and none of them killed any of the blobs.
        needed: gives the ids of the blobs, shape (n, 32); called only if there is a newer run, so
            that a put costs nothing for the blobs behind pages it only reuses.
    """
    listing = list_log(backend)
    if listing.floor > stamp or (stamp > 0 and listing.newest < stamp):
        return LogCheck(LogAnswer.STALE, stamp)
    newer = sorted(run for run in listing.runs if run > stamp)
    if newer != list(range(stamp + 1, listing.newest + 1)):
        return LogCheck(LogAnswer.STALE, stamp)
    if not newer:
        return LogCheck(LogAnswer.OK, stamp)
    ids = needed()
    bad = np.zeros(len(ids), np.bool_)
    for run in newer:
        killed = _killed_by(backend, listing, run, ids)
        if killed is None:
            return LogCheck(LogAnswer.STALE, stamp)
        bad |= killed
    # Records that expired since they were listed may have been given anew by whoever was slow: a run
    # that killed would seem to be abandoned, or to have condemned something else.
    if list_log(backend).floor > stamp:
        return LogCheck(LogAnswer.STALE, stamp)
    if bad.any():
        return LogCheck(LogAnswer.BAD, stamp, bad)
    return LogCheck(LogAnswer.OK, max(stamp, listing.resolved_prefix), bad)


def condemned_by_open_runs(backend: Backend, listing: LogListing) -> Callable[[Ids], Ids]:
    """Return a test of blob ids against every run after the resolved prefix.

    A put asks it before it shares a blob, so that it seldom has to store chunks again later.
    """
    newer = listing.open_runs

    def is_condemned(ids: Ids) -> Ids:
        bad = np.zeros(len(ids), np.bool_)
        for run in newer:
            killed = _killed_by(backend, listing, run, ids)
            if killed is not None:
                bad |= killed
        return bad.view(np.uint8)

    return is_condemned


def _killed_by(
    backend: Backend, listing: LogListing, run: int, ids: Ids
) -> NDArray[np.bool_] | None:
    """Which ids the run condemns and does not clear; None if a listed record is gone."""
    kinds = listing.runs[run]
    if "condemn" not in kinds:
        return None
    try:
        condemned = condemned_by(backend, run, listing.sizes.get((run, "condemn"), 0), ids)
        if not condemned.any() or "verdict" not in kinds:
            return condemned
        size = listing.sizes.get((run, "verdict"), 0)
        return condemned & ~cleared_by(backend, run, size, ids)
    except NotFoundError:
        return None
