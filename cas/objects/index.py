"""The index: which blob may hold a chunk. Hints only; a blob's table decides.

Spec: specs/format/08-index.md
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.errors import CasError
from cas.format import keys
from cas.format.segment import (
    ENTRY_BYTES,
    Segment,
    chunk_keys,
    decode_segment,
    encode_segment,
)
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobRef

MERGE_WIDTH = 8
READ_THREADS = 8
# 192 MiB, of chunks of 1 TiB: merging and rewriting one takes three times as much memory.
MAXIMUM_MERGED_ENTRIES = 1 << 24
# A segment that is read in part is never read thinner than 1 entry in 16: measured cold loss at
# that density is under 1 % on folders and under 7 % on tars.
THINNEST_SHIFT = 4
# A chunk stored more often than this under one segment was refused for fragmentation time and again;
# missing its later copies only costs space.
MAXIMUM_COPIES = 8


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """A segment in a listing."""

    key: str
    level: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class LoadedSegment:
    """A segment, or the head of one, in memory."""

    key: str
    segment: Segment


class Index:
    """The segments that are worth reading for one job, looked up in batches. Not thread-safe.

    Attributes:
        superseded: keys of segments whose entries stand in a merged one.
        levels: how many other segments there were of each level.
    """

    def __init__(
        self,
        segments: Sequence[LoadedSegment],
        superseded: frozenset[str] = frozenset(),
        levels: Mapping[int, int] | None = None,
    ) -> None:
        self._segments = segments
        self.superseded = superseded
        self.levels = levels or {}

    def has_piled_up(self, added: int) -> bool:
        """Tell whether, with so many segments added, there may be enough of a level to merge."""
        levels = Counter(self.levels)
        levels[0] += added
        return any(count >= MERGE_WIDTH for count in levels.values())

    def candidates(self, ids: NDArray[np.uint8], copy: int = 0) -> list[BlobRef]:
        """Return the blobs that may hold some of the chunks `ids`, shape (n, 32), each once.

        Args:
            copy: which of several entries of one chunk in a segment. The first is enough, unless
                its blob is of no use: then ask for the next, up to `MAXIMUM_COPIES`.
        """
        wanted = chunk_keys(ids)
        found: dict[bytes, BlobRef] = {}
        for loaded in self._segments:
            segment = loaded.segment
            at = np.searchsorted(segment.keys, wanted) + copy
            inside = at < len(segment.keys)
            hits = at[inside][segment.keys[at[inside]] == wanted[inside]]
            for row in sorted(set(segment.values[hits].tolist())):
                blob_id = segment.blob_ids[row].tobytes()
                found[blob_id] = BlobRef(
                    blob_id=blob_id,
                    size=int(segment.blob_sizes[row]),
                    table_offset=int(segment.table_offsets[row]),
                    stamp=segment.stamp,
                )
        return list(found.values())


def list_segments(backend: Backend) -> list[SegmentKey]:
    """Return the segments there are, in the order of their keys."""
    found = []
    for stored in backend.list_objects(keys.index_prefix()):
        parsed = keys.parse_segment_key(stored.key)
        if parsed is not None:
            found.append(SegmentKey(stored.key, parsed[0], stored.size))
    return sorted(found, key=lambda segment: segment.key)


def load_index(backend: Backend, *, floor: int, budget_bytes: int) -> Index:
    """Read the index as far as the budget allows; what is damaged or gone is left out.

    Args:
        floor: segments with a stamp below it are useless: their blobs may have been collected.
        budget_bytes: memory for it. Segments that do not fit are read in part: ids are sorted, so
            any prefix is a sample.
    """
    segments = list_segments(backend)
    total = sum(segment.size for segment in segments)
    loaded: list[LoadedSegment] = []
    superseded: set[str] = set()

    def read(listed: SegmentKey) -> LoadedSegment | None:
        stop = listed.size
        if total > budget_bytes:
            stop = max(listed.size >> THINNEST_SHIFT, listed.size * budget_bytes // total)
        try:
            content = backend.get(listed.key, 0, stop)
            segment = decode_segment(content, what=listed.key, partial=stop < listed.size)
        except CasError:
            return None  # a hint that cannot be read costs space, never data
        return LoadedSegment(listed.key, segment) if segment.stamp >= floor else None

    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="cas-index") as pool:
        # Merged segments first: they say which of the others need not be read.
        for level in sorted({one.level for one in segments}, reverse=True):
            wanted = [s for s in segments if s.level == level and s.key not in superseded]
            for one in filter(None, pool.map(read, wanted)):
                loaded.append(one)
                superseded.update(one.segment.supersedes)
    levels = Counter(one.level for one in segments if one.key not in superseded)
    return Index(loaded, frozenset(superseded), levels)


def build_segment(
    session: SessionId, stamp: int, blobs: Sequence[tuple[BlobRef, NDArray[np.uint8]]]
) -> Segment:
    """Build a segment from blobs and the ids of their chunks, each of shape (n, 32)."""
    refs = [ref for ref, _ in blobs]
    ids = [chunks for _, chunks in blobs]
    keys_of = chunk_keys(np.concatenate(ids)) if ids else np.zeros(0, np.uint64)
    values = np.repeat(np.arange(len(ids), dtype=np.uint32), [len(chunks) for chunks in ids])
    order = np.argsort(keys_of, kind="stable")
    return Segment(
        stamp=stamp,
        session=session,
        supersedes=(),
        blob_ids=np.frombuffer(b"".join(r.blob_id for r in refs), np.uint8).reshape(-1, 32),
        blob_sizes=np.array([r.size for r in refs], np.uint32),
        table_offsets=np.array([r.table_offset for r in refs], np.uint32),
        keys=keys_of[order],
        values=values[order],
    )


def write_segment(backend: Backend, key: str, segment: Segment) -> int:
    """Write a segment and return its size in bytes."""
    content = encode_segment(segment)
    backend.put(key, [content])
    return len(content)


def merge_piled_up(
    backend: Backend, session: SessionId, superseded: frozenset[str] | None = None
) -> str | None:
    """Merge eight segments of one level into one that supersedes them, if there are eight.

    Deletes nothing: a writer needs no right to. Readers skip what is superseded.

    Args:
        superseded: what merged segments cover already, as `Index` knows it; None reads them.

    Returns:
        The key of the merged segment, or None.
    """
    by_level: dict[int, list[SegmentKey]] = {}
    for listed in list_segments(backend):
        by_level.setdefault(listed.level, []).append(listed)
    for level, listed_segments in sorted(by_level.items()):
        if len(listed_segments) < MERGE_WIDTH:
            continue
        merged_before: frozenset[str] | set[str]
        if superseded is None:
            merged_before = _superseded_by(backend, by_level.get(level + 1, []))
        else:
            merged_before = superseded
        fresh = [one for one in listed_segments if one.key not in merged_before]
        if len(fresh) >= MERGE_WIDTH:
            return _merge(backend, session, level, fresh[:MERGE_WIDTH])
    return None


def _superseded_by(backend: Backend, segments: Sequence[SegmentKey]) -> set[str]:
    found: set[str] = set()
    for listed in segments:
        content = backend.get(listed.key)
        found.update(decode_segment(content, what=listed.key).supersedes)
    return found


def _joined(backend: Backend, session: SessionId, listed: Sequence[SegmentKey]) -> Segment:
    """Read segments, one after the other, and return one of all their entries."""
    table = _BlobTable()
    stamps: list[int] = []
    room = sum(one.size for one in listed) // ENTRY_BYTES
    all_keys, all_values = np.empty(room, np.uint64), np.empty(room, np.uint32)
    count = 0
    for one in listed:
        segment = decode_segment(backend.get(one.key), what=one.key)
        stop = count + len(segment.keys)
        all_keys[count:stop] = segment.keys
        all_values[count:stop] = table.rows_of(segment)[segment.values]
        stamps.append(segment.stamp)
        count = stop
    order = np.argsort(all_keys[:count], kind="stable")
    # One after the other, so that little is there twice.
    all_keys = all_keys[order]
    all_values = all_values[order]
    del order
    return Segment(
        stamp=min(stamps),
        session=session,
        supersedes=tuple(one.key for one in listed),
        **table.columns(),
        keys=all_keys,
        values=all_values,
    )


class _BlobTable:
    """The blobs of several segments, each once."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._blobs: list[tuple[bytes, int, int]] = []

    def rows_of(self, segment: Segment) -> NDArray[np.uint32]:
        """Return the rows of the blobs of a segment, adding those that are new."""
        rows = []
        for raw, size, offset in zip(
            segment.blob_ids,
            segment.blob_sizes.tolist(),
            segment.table_offsets.tolist(),
            strict=True,
        ):
            blob_id = raw.tobytes()
            if blob_id not in self._rows:
                self._rows[blob_id] = len(self._blobs)
                self._blobs.append((blob_id, size, offset))
            rows.append(self._rows[blob_id])
        return np.array(rows, np.uint32)

    def columns(self) -> dict[str, Any]:
        """Return the table as a segment has it."""
        return {
            "blob_ids": np.frombuffer(b"".join(b[0] for b in self._blobs), np.uint8).reshape(
                -1, 32
            ),
            "blob_sizes": np.array([b[1] for b in self._blobs], np.uint32),
            "table_offsets": np.array([b[2] for b in self._blobs], np.uint32),
        }


def _merge(
    backend: Backend, session: SessionId, level: int, listed: Sequence[SegmentKey]
) -> str | None:
    # By the listing, since eight that are too many together may have 200 MB each.
    if sum(one.size for one in listed) > MAXIMUM_MERGED_ENTRIES * ENTRY_BYTES:
        return None
    merged = _joined(backend, session, listed)
    key = keys.segment_key(level + 1, session, 0)
    write_segment(backend, key, merged)
    return key
