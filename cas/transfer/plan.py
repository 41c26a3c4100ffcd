"""Which ranged reads fetch a set of extents. Pure: it decides, `download` reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.format.blob import CHUNK_BYTES, FRAME_HEAD_BYTES, BlobTable

# A gap up to this is cheaper to fetch than another round trip costs at 100 MB/s and 10 ms.
MAXIMUM_GAP_BYTES = 1 << 20
MAXIMUM_READ_BYTES = 8 << 20

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placement:
    """Chunks `first` to `stop` of a blob, `length` bytes, go to a file from `offset` on."""

    file: int
    offset: int
    first: int
    stop: int
    length: int


@dataclass(frozen=True, slots=True)
class Read:
    """One ranged GET: bytes `start` to `stop` of a blob, which hold frames `first_frame` to
    `stop_frame`, and what to do with the chunks in them.
    """

    start: int
    stop: int
    first_frame: int
    stop_frame: int
    placements: tuple[Placement, ...]


def plan_reads(
    table: BlobTable,
    placements: list[Placement],
    *,
    max_gap_bytes: int = MAXIMUM_GAP_BYTES,
    max_read_bytes: int = MAXIMUM_READ_BYTES,
) -> list[Read]:
    """Group the frames of one blob that hold the wanted chunks into as few reads as allowed.

    Frames share a read when the gap between them is at most `max_gap_bytes`; a read of several
    frames spans at most `max_read_bytes`. A placement that crosses reads is split.

    Returns:
        Reads in the order of the blob. Every wanted chunk is in exactly one of them.
    """
    if not placements:
        return []
    frame_ends = _frame_ends(table)
    frames = _wanted_frames(table, placements)
    groups = _group(
        frames, table.frame_offsets.astype(np.int64), frame_ends, max_gap_bytes, max_read_bytes
    )
    first_chunks = table.first_chunks
    lengths = table.chunk_lengths.astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    ordered = sorted(placements, key=lambda placement: placement.first)
    reads: list[Read] = []
    begin = 0
    for first_frame, stop_frame in groups:
        low, high = int(first_chunks[first_frame]), int(first_chunks[stop_frame])
        inside: list[Placement] = []
        while begin < len(ordered) and ordered[begin].stop <= low:
            begin += 1
        for placement in ordered[begin:]:
            if placement.first >= high:
                break
            if placement.stop <= low:
                continue
            first, stop = max(low, placement.first), min(high, placement.stop)
            offset = placement.offset + int(starts[first] - starts[placement.first])
            length = int(starts[stop] - starts[first])
            inside.append(Placement(placement.file, offset, first, stop, length))
        reads.append(
            Read(
                int(table.frame_offsets[first_frame]),
                int(frame_ends[stop_frame - 1]),
                first_frame,
                stop_frame,
                tuple(inside),
            )
        )
    return reads


def _frame_ends(table: BlobTable) -> Int64s:
    heads = FRAME_HEAD_BYTES + CHUNK_BYTES * table.frame_chunks.astype(np.int64)
    return table.frame_offsets.astype(np.int64) + heads + table.frame_stored.astype(np.int64)


def _wanted_frames(table: BlobTable, placements: list[Placement]) -> Int64s:
    """The frames that hold a wanted chunk, sorted, each once."""
    edges = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.add.at(edges, [placement.first for placement in placements], 1)
    np.add.at(edges, [placement.stop for placement in placements], -1)
    return np.unique(table.chunk_frames[np.cumsum(edges)[:-1] > 0])


def _group(
    frames: Int64s, offsets: Int64s, ends: Int64s, max_gap_bytes: int, max_read_bytes: int
) -> list[tuple[int, int]]:
    groups: list[tuple[int, int]] = []
    first = previous = -1
    for frame in frames.tolist():
        joins = (
            first >= 0
            and offsets[frame] - ends[previous] <= max_gap_bytes
            and ends[frame] - offsets[first] <= max_read_bytes
        )
        if first >= 0 and not joins:
            groups.append((first, previous + 1))
            first = -1
        if first < 0:
            first = frame
        previous = frame
    groups.append((first, previous + 1))
    return groups
