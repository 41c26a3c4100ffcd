"""Expiry of the log of collections: steps X1 and X2 of specs/protocol/collection.md."""

from __future__ import annotations

from cas.backend.base import Backend
from cas.format import keys
from cas.objects.collection_log import LogListing, list_log
from cas.objects.collections import put_floor
from cas.objects.index_upkeep import tend_index
from cas.operations.survey import Survey


def expire_log(survey: Survey) -> int:
    """Bring the index up to date, then let old records of the log go; return the floor.

    The index first: what it knows with a stamp below the floor is of no use to anybody.

    Raises:
        BackendError: the storage failed; the next collection goes on from there.
    """
    backend = survey.backend
    log = list_log(backend)
    floor = next_floor(log, survey.options.kept_runs)
    tend_index(backend, survey.workers, log, floor)
    if floor > log.floor:
        put_floor(backend, floor)
    delete_expired(backend, survey, floor)
    return floor


def next_floor(log: LogListing, kept_runs: int) -> int:
    """Return the highest run up to which records may go: all of them are done, and old."""
    floor = log.floor
    while floor + 1 <= log.newest - kept_runs and "done" in log.runs.get(floor + 1, frozenset()):
        floor += 1
    return floor


def delete_expired(backend: Backend, survey: Survey, floor: int) -> None:
    """Delete the records of runs up to the floor, older floors, and what came in late (X2)."""
    expired = []
    for stored in backend.list_objects(keys.collections_prefix()):
        parsed = keys.parse_collection_key(stored.key)
        if parsed is None:
            continue
        run, kind = parsed
        if run < floor or (run == floor and kind != "floor"):
            expired.append(stored.key)
    survey.workers.run(backend.delete, expired)
