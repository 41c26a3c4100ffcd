"""Which ranged reads fetch a set of extents. Pure: it decides, `download` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Capabilities
from cas.format.blob import CHUNK_BYTES, CODEC_RAW, FRAME_HEAD_BYTES, BlobTable
from cas.model.units import KIB, MIB

Int64s = NDArray[np.int64]
_Integer = TypeVar("_Integer", bound=np.integer[Any])


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What shapes the reads of a kind of backend.

    Attributes:
        gap_bytes: unwanted bytes between two wanted frames that are fetched along with them.
        read_bytes: no read of several frames is longer.
        raw_bytes: nor do its frames decode to more: what compresses well takes memory, too.
        in_flight: reads that wait for the backend at the same time; 0 for one per worker thread.
    """

    gap_bytes: int
    read_bytes: int = 8 * MIB
    raw_bytes: int = 32 * MIB
    in_flight: int = 0


# A disk gives 1 GB/s or more, and a read costs this library some 0.2 ms. While one thread waits
# for a disk the others decode, so more reads than workers would only take memory.
LOCAL_READS = ReadLimits(gap_bytes=256 * KIB)
# A connection gives about 100 MB/s, and the answer to a request begins after 10 ms or more. The
# number in flight has nothing to do with CPUs, only with latency: 32 reads of 8 MiB keep 10 Gbit/s
# busy at 200 ms, if the memory budget allows as many.
REMOTE_READS = ReadLimits(gap_bytes=1 * MIB, in_flight=32)


def distinct(values: NDArray[_Integer]) -> NDArray[_Integer]:
    """Return the values in order, each once, as `np.unique` does.

    That imports `numpy.ma` when it is first called, which takes as long as half a round trip.
    """
    ordered = np.sort(values)
    is_first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]


def limits_of(capabilities: Capabilities) -> ReadLimits:
    """Return the limits for a backend."""
    return LOCAL_READS if capabilities.local else REMOTE_READS


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

    `memory_bytes` is what fetching and decoding hold in memory.
    """

    start: int
    stop: int
    first_frame: int
    stop_frame: int
    memory_bytes: int
    placements: tuple[Placement, ...]


def plan_reads(
    table: BlobTable, placements: Sequence[Placement], limits: ReadLimits = LOCAL_READS
) -> list[Read]:
    """Group the frames of one blob that hold the wanted chunks into as few reads as allowed.

    A placement that crosses reads is split.

    Returns:
        Reads in the order of the blob. Every wanted chunk is in exactly one of them.
    """
    if not placements:
        return []
    offsets, ends = table.frame_offsets.astype(np.int64), _frame_ends(table)
    groups = _group(_wanted_frames(table, placements), offsets, ends, _decoded(table), limits)
    starts = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.cumsum(table.chunk_lengths, out=starts[1:])
    ordered = sorted(placements, key=lambda placement: placement.first)
    open_ones: list[Placement] = []  # that began before the group and may reach into it
    at = 0
    reads: list[Read] = []
    for group in groups:
        low = int(table.first_chunks[group.first])
        high = int(table.first_chunks[group.stop])
        while at < len(ordered) and ordered[at].first < high:
            open_ones.append(ordered[at])
            at += 1
        open_ones = [placement for placement in open_ones if placement.stop > low]
        inside = tuple(_clip(placement, low, high, starts) for placement in open_ones)
        start, stop = int(offsets[group.first]), int(ends[group.stop - 1])
        memory = stop - start + group.decoded
        reads.append(Read(start, stop, group.first, group.stop, memory, inside))
    return reads


def part_of(placement: Placement, first: int, stop: int, starts: Int64s) -> Placement:
    """Return the chunks `first` to `stop` of a placement.

    Args:
        starts: where each chunk of the blob begins in the blob's raw bytes.
    """
    offset = placement.offset + int(starts[first] - starts[placement.first])
    return Placement(placement.file, offset, first, stop, int(starts[stop] - starts[first]))


def runs_of(chunks: Int64s) -> list[Placement]:
    """Return sorted chunks of a blob as runs of consecutive ones, which is what a plan takes."""
    begins = np.flatnonzero(np.diff(chunks, prepend=-2) != 1)
    stops = [*begins[1:].tolist(), len(chunks)]
    return [
        Placement(0, 0, int(chunks[begin]), int(chunks[stop - 1]) + 1, 0)
        for begin, stop in zip(begins.tolist(), stops, strict=True)
    ]


def _clip(placement: Placement, low: int, high: int, starts: Int64s) -> Placement:
    if low <= placement.first and placement.stop <= high:
        return placement
    return part_of(placement, max(low, placement.first), min(high, placement.stop), starts)


def _frame_ends(table: BlobTable) -> Int64s:
    heads = FRAME_HEAD_BYTES + CHUNK_BYTES * table.frame_chunks.astype(np.int64)
    return table.frame_offsets.astype(np.int64) + heads + table.frame_stored.astype(np.int64)


def _decoded(table: BlobTable) -> Int64s:
    """Bytes that decoding each frame takes; a raw one is used where it was read."""
    return np.where(table.frame_codecs == CODEC_RAW, 0, table.frame_raw).astype(np.int64)


def _wanted_frames(table: BlobTable, placements: Sequence[Placement]) -> Int64s:
    """The frames that hold a wanted chunk, sorted, each once."""
    edges = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.add.at(edges, [placement.first for placement in placements], 1)
    np.add.at(edges, [placement.stop for placement in placements], -1)
    return distinct(table.chunk_frames[np.cumsum(edges)[:-1] > 0])


@dataclass(slots=True)
class _Group:
    """Frames `first` to `stop`, of which the wanted ones decode to `decoded` bytes."""

    first: int
    stop: int
    decoded: int


def _group(
    frames: Int64s, offsets: Int64s, ends: Int64s, decoded: Int64s, limits: ReadLimits
) -> list[_Group]:
    groups: list[_Group] = []
    for frame in frames.tolist():
        raw = int(decoded[frame])
        if groups:
            last = groups[-1]
            if (
                offsets[frame] - ends[last.stop - 1] <= limits.gap_bytes
                and ends[frame] - offsets[last.first] <= limits.read_bytes
                and last.decoded + raw <= limits.raw_bytes
            ):
                last.stop = frame + 1
                last.decoded += raw
                continue
        groups.append(_Group(frame, frame + 1, raw))
    return groups
