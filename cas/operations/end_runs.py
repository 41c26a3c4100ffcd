"""Ending runs: deleting what is dead, and taking over what others left open.

Steps G0, G6, G7, G8 and B1 of specs/protocol/collection.md. All of it may be done by anyone, any
number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from cas.backend.base import Backend
from cas.backend.bulk import MOST_AT_ONCE, can_delete_many, delete_many
from cas.errors import BackendError, CorruptionError, ErrorCode
from cas.format import keys
from cas.objects.collection_log import LogListing, list_log
from cas.objects.collections import DecidedRun, give_verdict, put_done, read_decided
from cas.objects.id_sets import Ids
from cas.objects.stored_blobs import StoredBlobs, list_stored_blobs
from cas.objects.workers import Workers
from cas.operations.collection_outcomes import Space

# Told how many blobs, of how many bytes, of all that are dead are deleted.
Report = Callable[[Space, Space], None]

# A storage that shows what it said it deleted is not waited for longer.
_ROUNDS = 4


def is_on_record(log: LogListing, run: int) -> bool:
    """Tell whether a run may delete by its verdict (G6): it has not expired meanwhile."""
    return run > log.floor and "condemn" in log.runs.get(run, frozenset())


def _tell_nobody(_done: Space, _total: Space) -> None:
    pass


def delete_dead(
    backend: Backend,
    workers: Workers,
    dead: Ids,
    known: StoredBlobs | None = None,
    report: Report = _tell_nobody,
) -> Space:
    """Delete blobs until none of them is listed (G7); return what was there.

    Args:
        known: an earlier listing, which saves one.

    Raises:
        BackendError: the storage failed, or goes on listing what it deleted.
    """
    if len(dead) == 0:
        return Space()
    blobs = size = 0
    listed = list_stored_blobs(backend, workers) if known is None else known
    for _ in range(_ROUNDS):
        there = listed.rows(listed.among(dead))
        if len(there) == 0:
            return Space(blobs, size)
        _delete(backend, workers, there, report)
        blobs, size = blobs + len(there), size + there.bytes
        listed = list_stored_blobs(backend, workers)
    if listed.among(dead).any():
        raise BackendError(
            f"{backend.url} still lists blobs that it deleted {_ROUNDS} times",
            code=ErrorCode.BACKEND_FAILED,
            hint="run cas gc --apply again later; it goes on where this ended",
        )
    return Space(blobs, size)


def _delete(backend: Backend, workers: Workers, there: StoredBlobs, report: Report) -> None:
    """Delete objects in whatever order, by the thousand where that can be done."""

    def delete_some(some: Sequence[str]) -> int:
        try:
            delete_many(backend, some)
        except BackendError:
            # Not every server has that request; and one that failed is tried again one by one.
            for key in some:
                backend.delete(key)
        return len(some)

    at_once = MOST_AT_ONCE if can_delete_many(backend) else 1
    keys_there, bytes_up_to = there.keys(), np.cumsum(there.sizes)
    total, done = Space(len(there), there.bytes), 0
    for count in workers.map(delete_some, iter(lambda: list(islice(keys_there, at_once)), [])):
        done += count
        report(Space(done, int(bytes_up_to[done - 1])), total)


def end_open_runs(
    backend: Backend, workers: Workers, seems_dead: Sequence[int], report: Report = _tell_nobody
) -> tuple[tuple[int, ...], Space]:
    """Abandon runs that nobody seems to go on with, and finish those that have a verdict (G0).

    Args:
        seems_dead: open runs; a wrong guess costs their owner its work, never data.

    Returns:
        The runs that were ended, and what was deleted.
    """
    for run in seems_dead:
        give_verdict(backend, run, None)
    ended, blobs, size = [], 0, 0
    for run in unfinished_runs(list_log(backend)):
        try:
            decided = read_decided(backend, run)
        except CorruptionError:
            continue  # nothing may be deleted by it
        # G6, after the verdict was read: if its records expired since they were listed, a slow owner
        # may have given another one on the empty key.
        if decided is not None and is_on_record(list_log(backend), run):
            freed = finish(backend, workers, decided, report=report)
            ended.append(run)
            blobs, size = blobs + freed.blobs, size + freed.bytes
    return tuple(ended), Space(blobs, size)


def finish(
    backend: Backend,
    workers: Workers,
    decided: DecidedRun,
    known: StoredBlobs | None = None,
    report: Report = _tell_nobody,
) -> Space:
    """Delete what a run killed, and say that it is done (G7, G8). `is_on_record` must hold."""
    freed = delete_dead(backend, workers, decided.dead, known, report)
    put_done(backend, decided.run)
    return freed


def open_runs(log: LogListing) -> list[int]:
    """Return the runs that have no verdict."""
    return sorted(run for run, kinds in log.runs.items() if "verdict" not in kinds)


def unfinished_runs(log: LogListing) -> list[int]:
    """Return the runs that have a verdict, and of which nobody said that they are done."""
    return sorted(run for run, kinds in log.runs.items() if kinds == {"condemn", "verdict"})


def runs_without_end(log: LogListing) -> list[int]:
    """Return the runs of which nobody said that they are done."""
    return sorted(run for run, kinds in log.runs.items() if "done" not in kinds)


def condemn_times(backend: Backend) -> dict[int, int | None]:
    """Return when each condemn record was stored, by the storage's clock, if that tells."""
    found: dict[int, int | None] = {}
    for stored in backend.list_objects(keys.collections_prefix()):
        parsed = keys.parse_collection_key(stored.key)
        if parsed is not None and parsed[1] == "condemn":
            found[parsed[0]] = stored.modified_ns
    return found
