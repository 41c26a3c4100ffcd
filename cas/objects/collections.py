"""The records of a run of collection: candidates, verdict, done, floor.

Condemn and verdict are created if absent and read back: what stands there counts, whoever wrote
it. Spec: specs/protocol/collection.md, specs/format/10-collection.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from cas.backend.base import Backend, create_confirmed
from cas.environment import random_bytes
from cas.errors import NotFoundError
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    decode_condemn,
    decode_verdict,
    encode_condemn,
    encode_done,
    encode_floor,
    encode_verdict,
)
from cas.format.encoding import malformed
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.objects.id_sets import Ids, no_ids, without

_Record = TypeVar("_Record", CondemnRecord, VerdictRecord)


@dataclass(frozen=True, slots=True, eq=False)
class DecidedRun:
    """A run and its verdict: `condemned` less `cleared` are dead."""

    run: int
    condemned: Ids
    cleared: Ids
    abandoned: bool

    @property
    def dead(self) -> Ids:
        """The blobs that are to be deleted."""
        return no_ids() if self.abandoned else without(self.condemned, self.cleared)


def open_run(backend: Backend, first_free: int, candidates: Ids) -> int:
    """Create a condemn record under the lowest number from `first_free` on that is free (G2).

    When this returns the record is durable. Numbers that others take meanwhile are passed over.

    Raises:
        BackendError: whether the record stands there is unknown; it may appear later, as an open
            run that anyone can abandon.
    """
    run = first_free
    while True:
        # A new mark each time, by which a writer tells its own record from another's.
        mark = SessionId(random_bytes(SESSION_ID_BYTES))
        content = encode_condemn(CondemnRecord(run, mark, candidates))
        if create_confirmed(backend, keys.condemn_key(run), content) == content:
            return run
        run += 1


def give_verdict(backend: Backend, run: int, cleared: Ids | None) -> VerdictRecord:
    """Create the verdict of a run unless it has one; return the one that stands (G5, B1).

    Args:
        cleared: the candidates that are alive; None clears all, which abandons the run.

    Raises:
        BackendError: which verdict stands is unknown.
        CorruptionError: the one that stands is damaged.
    """
    given = VerdictRecord(run, no_ids() if cleared is None else cleared, all=cleared is None)
    key = keys.verdict_key(run)
    stands = decode_verdict(create_confirmed(backend, key, encode_verdict(given)), what=key)
    return _of_run(stands, run, key)


def read_condemned(backend: Backend, run: int) -> Ids | None:
    """Return the candidates of a run, or None if their record is gone.

    Raises:
        CorruptionError: it is damaged, or another run's; nothing may be deleted by it.
    """
    key = keys.condemn_key(run)
    try:
        content = backend.get(key)
    except NotFoundError:
        return None
    return _of_run(decode_condemn(content, what=key), run, key).blob_ids


def read_verdict(backend: Backend, run: int) -> VerdictRecord | None:
    """Return the verdict of a run, or None if there is none.

    Raises:
        CorruptionError: it is damaged, or another run's.
    """
    key = keys.verdict_key(run)
    try:
        content = backend.get(key)
    except NotFoundError:
        return None
    return _of_run(decode_verdict(content, what=key), run, key)


def read_decided(backend: Backend, run: int) -> DecidedRun | None:
    """Return a run that has a verdict, or None if one of its records is gone.

    Raises as `read_condemned` does.
    """
    verdict = read_verdict(backend, run)
    if verdict is None:
        return None
    # Of a run that clears all it does not matter what it condemned.
    condemned = no_ids() if verdict.all else read_condemned(backend, run)
    if condemned is None:
        return None
    return DecidedRun(run, condemned, verdict.cleared, verdict.all)


def put_done(backend: Backend, run: int) -> None:
    """Say that nothing that the run killed is there any more (G8)."""
    backend.put(keys.done_key(run), [encode_done(run)])


def put_floor(backend: Backend, run: int) -> None:
    """Say that the records of all runs up to this one may go (X1); when this returns it is durable."""
    backend.put(keys.floor_key(run), [encode_floor(run)])


def _of_run(record: _Record, run: int, key: str) -> _Record:
    if record.run != run:
        raise malformed(key, f"is the record of run {record.run}")
    return record
