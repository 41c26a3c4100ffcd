"""The index follows the blobs: what was deleted leaves it, and stamps stay above the floor.

Spec: specs/protocol/collection.md, specs/format/08-index.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cas.backend.base import Backend
from cas.environment import random_bytes
from cas.errors import CorruptionError, NotFoundError
from cas.format import keys
from cas.format.collection import listed_rows
from cas.format.segment import (
    FIRST_READ_BYTES,
    Segment,
    decode_segment,
    segment_prefix_bytes,
)
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.objects.collection_log import LogListing, list_log
from cas.objects.collections import read_decided
from cas.objects.id_sets import GrowingSet, Ids
from cas.objects.index import SegmentKey, list_segments, merge_piled_up, write_segment
from cas.objects.workers import Workers

# More than eight levels of eight would be an index of an index; and nothing may go round for ever.
_MERGES = 64
# From the head of an id to the last block of a sample that holds next to nothing.
_THINNEST = 63


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A segment, of which the table of blobs was read."""

    listed: SegmentKey
    table: Segment


def tend_index(backend: Backend, workers: Workers, log: LogListing, next_floor: int) -> None:
    """Rewrite the segments that lead to deleted blobs or that `next_floor` would make useless.

    What merged segments supersede and what is under the floor already goes; what piled up is
    merged. Damaged segments are left as they are. Safe at any time: readers miss a segment that
    goes while they read, which costs space, never data.

    Args:
        log: a listing; runs that it shows with a verdict are looked at.

    Raises:
        BackendError: the storage failed.
    """
    segments = [
        seen
        for seen in workers.map(lambda one: _look(backend, one), list_segments(backend))
        if seen
    ]
    superseded = {key for seen in segments for key in seen.table.supersedes}
    useless = [
        seen.listed.key
        for seen in segments
        if seen.listed.key in superseded or seen.table.stamp < log.floor
    ]
    gone = set(useless)
    useful = [seen for seen in segments if seen.listed.key not in gone]
    killed = _killed(backend, log, [seen.table.stamp for seen in useful])
    if list_log(backend).floor > log.floor:
        return  # what was read may be records that somebody slow gave after the first ones expired
    for seen in useful:
        dead = listed_rows(killed.dead, seen.table.blob_ids)
        is_old = seen.table.stamp < min(next_floor, killed.stamp)
        if (dead.any() or is_old) and _rewrite(backend, seen, killed):
            useless.append(seen.listed.key)
    workers.run(backend.delete, useless)
    for key in _merge_all(backend):
        workers.run(backend.delete, decode_segment(backend.get(key), what=key).supersedes)


@dataclass(frozen=True, slots=True, eq=False)
class _Killed:
    """Blobs that runs killed: all that runs up to `stamp` did, and some of later ones."""

    stamp: int
    dead: Ids


def _look(backend: Backend, listed: SegmentKey) -> _Seen | None:
    """Read a segment's table of blobs, or nothing if it is damaged or gone."""
    key = listed.key
    try:
        content = backend.get(key, 0, min(FIRST_READ_BYTES, listed.size))
        stop = min(segment_prefix_bytes(content, _THINNEST, what=key), listed.size)
        if stop > len(content):
            content += backend.get(key, len(content), stop)
        is_part = len(content) < listed.size
        return _Seen(listed, decode_segment(content, what=key, partial=is_part))
    except (CorruptionError, NotFoundError):
        return None


def _killed(backend: Backend, log: LogListing, stamps: Sequence[int]) -> _Killed:
    """Return what was killed after the lowest of the stamps."""
    lowest = min(stamps, default=log.resolved_prefix)
    dead, stamp = GrowingSet(), lowest
    for run in sorted(log.runs):
        if run <= lowest or "verdict" not in log.runs[run]:
            continue
        try:
            decided = read_decided(backend, run)
        except CorruptionError:
            continue
        if decided is None:
            continue
        dead.add(decided.dead)
        # One that cannot be read ends what is known of all runs.
        stamp = run if stamp == run - 1 else stamp
    return _Killed(min(stamp, log.resolved_prefix), dead.ids())


def _rewrite(backend: Backend, seen: _Seen, killed: _Killed) -> bool:
    """Write a segment anew without dead blobs, unless none is left; tell whether it may go."""
    key = seen.listed.key
    try:
        segment = decode_segment(backend.get(key), what=key)
    except (CorruptionError, NotFoundError):
        return False
    kept = without_blobs(segment, killed.dead)
    if len(kept.blob_ids) == 0:
        return True
    stamp = max(segment.stamp, killed.stamp)
    session = SessionId(random_bytes(SESSION_ID_BYTES))
    anew = replace(kept, stamp=stamp, session=session, supersedes=(key,))
    write_segment(backend, keys.segment_key(seen.listed.level, session, 0), anew)
    return True


def without_blobs(segment: Segment, dead: Ids) -> Segment:
    """Return a segment without the entries that lead to these blobs."""
    kept = ~listed_rows(dead, segment.blob_ids)
    if kept.all():
        return segment
    renumbered = (np.cumsum(kept) - 1).astype(np.uint32)
    entries = kept[segment.values]
    return replace(
        segment,
        blob_ids=segment.blob_ids[kept],
        blob_sizes=segment.blob_sizes[kept],
        table_offsets=segment.table_offsets[kept],
        keys=segment.keys[entries],
        values=renumbered[segment.values[entries]],
    )


def _merge_all(backend: Backend) -> Iterator[str]:
    """Merge what piled up, level by level; yield the keys of what came of it."""
    for _ in range(_MERGES):
        try:
            merged = merge_piled_up(backend, SessionId(random_bytes(SESSION_ID_BYTES)))
        except (CorruptionError, NotFoundError):
            return  # hints: what cannot be read is merged by nobody
        if merged is None:
            return
        yield merged
