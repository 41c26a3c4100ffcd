"""Local files whose chunks need not be fetched: cut as a put cuts them, and found by chunk id.

All of this is a hint. A seed that cannot be read or that changes meanwhile is of no use, and that is
all: what is copied out of it is hashed where it arrived.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cas.chunking.cutter import Cutter
from cas.format.blob import BlobTable
from cas.transfer.cutting import (
    SEGMENT_BYTES,
    CutSegment,
    Items,
    SegmentJoiner,
    cut_content,
    cut_segment,
    hole_segments,
    read_fully,
)
from cas.transfer.plan import Placement, part_of
from cas.transfer.stamp import FileStamp

Int64s = NDArray[np.int64]

# The chunks of 128 GiB at 64 KiB each. They take about 100 MiB; what lies beyond is fetched.
MAXIMUM_CHUNKS = 1 << 21
COPY_BYTES = 8 << 20
SMALL_BATCH_FILES = 256
_ID_BYTES = 32


@dataclass(frozen=True, slots=True)
class Seed:
    """A local file that may hold wanted chunks.

    Attributes:
        open: gives a descriptor to read it by, which the caller closes.
        stamp: what it looked like; when it looks otherwise it is left alone.
        is_leftover: it is what an interrupted get left behind.
    """

    open: Callable[[], int]
    stamp: FileStamp
    is_leftover: bool = False

    def open_unchanged(self) -> int | None:
        """Open it for reading, or return None if it is gone or changed since."""
        try:
            descriptor = self.open()
        except OSError:
            return None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and self.stamp.fits(status):
            return descriptor
        os.close(descriptor)
        return None


@dataclass(frozen=True, slots=True)
class LocalCopy:
    """Chunks that lie together in a seed, from its byte `start` on, and where they go."""

    placement: Placement
    seed: int
    start: int


class SeedIndex:
    """Where chunks lie in local files. Does not change, so any thread may ask."""

    def __init__(self, seeds: Sequence[Seed], rows: _Rows) -> None:
        """Index the chunks of `rows`; of equal chunks the first one counts."""
        self.seeds = tuple(seeds)
        ids = np.frombuffer(bytes(rows.ids), np.uint8).reshape(-1, _ID_BYTES)
        # Ids are hashes, so eight bytes of one find it; all 32 decide.
        self._keys, order = np.unique(_keys_of(ids), return_index=True)
        self._ids = ids[order]
        self._files = np.frombuffer(rows.files, np.uint32)[order].astype(np.int64)
        self._offsets = np.frombuffer(rows.offsets, np.uint64)[order].astype(np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, ids: NDArray[np.uint8]) -> Int64s:
        """Return the row of each chunk id (uint8[n, 32]) in the index, -1 for those not in it."""
        if len(self._keys) == 0:
            return np.full(len(ids), -1, np.int64)
        rows = np.searchsorted(self._keys, _keys_of(ids))
        rows = np.minimum(rows, len(self._keys) - 1)
        return np.where((self._ids[rows] == ids).all(axis=1), rows, -1).astype(np.int64)

    def locate(self, chunk_id: bytes) -> tuple[int, int] | None:
        """Return the seed that holds a chunk and where it begins there, or None."""
        row = int(self.find(np.frombuffer(chunk_id, np.uint8).reshape(1, _ID_BYTES))[0])
        return None if row < 0 else (int(self._files[row]), int(self._offsets[row]))

    def split(
        self, table: BlobTable, placements: Sequence[Placement]
    ) -> tuple[list[LocalCopy], list[Placement]]:
        """Split what is wanted of a blob into what can be copied, and what must be fetched."""
        rows = np.full(len(table.chunk_lengths), -1, np.int64)
        wanted = np.zeros(len(rows) + 1, np.int64)
        np.add.at(wanted, [placement.first for placement in placements], 1)
        np.add.at(wanted, [placement.stop for placement in placements], -1)
        chunks = np.flatnonzero(np.cumsum(wanted)[:-1])
        rows[chunks] = self.find(table.chunk_ids[chunks])
        if (rows < 0).all():
            return [], list(placements)
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(table.chunk_lengths, out=starts[1:])
        copies: list[LocalCopy] = []
        rest: list[Placement] = []
        for placement in placements:
            for part in self._runs(placement, rows, starts):
                row = int(rows[part.first])
                if row < 0:
                    rest.append(part)
                else:
                    seed, start = int(self._files[row]), int(self._offsets[row])
                    copies.append(LocalCopy(part, seed, start))
        return copies, rest

    def _runs(self, placement: Placement, rows: Int64s, starts: Int64s) -> Iterator[Placement]:
        """Split a placement where a chunk does not follow the one before it in the same seed."""
        if placement.stop - placement.first == 1:
            yield placement
            return
        of = rows[placement.first : placement.stop]
        begin = starts[placement.first : placement.stop]
        seeds = np.where(of < 0, -1, self._files[of])
        # Constant along a run: where the blob's raw bytes would begin in the seed.
        shifts = np.where(of < 0, 0, self._offsets[of] - begin)
        # Long runs are cut, so that several threads copy and memory stays bounded.
        pieces = np.where(of < 0, 0, (begin - begin[0]) // COPY_BYTES)
        breaks = (np.diff(seeds) != 0) | (np.diff(shifts) != 0) | (np.diff(pieces) != 0)
        first = placement.first
        for at in (np.flatnonzero(breaks) + 1 + placement.first).tolist():
            yield part_of(placement, first, at, starts)
            first = at
        yield part_of(placement, first, placement.stop, starts)


def _keys_of(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(ids[:, :8]).view(np.uint64).reshape(-1)


class _Rows:
    """Chunks as they are found: 44 bytes each."""

    def __init__(self) -> None:
        self.ids = bytearray()
        self.files = array("I")
        self.offsets = array("Q")

    def __len__(self) -> int:
        return len(self.files)

    def add(self, file: int, offset: int, items: Items) -> int:
        """Add the chunks of consecutive items of a file; return where they end in it."""
        for chunk_id, length, span in zip(items.ids, items.lengths, items.spans, strict=True):
            if span is not None:
                self.ids += chunk_id
                self.files.append(file)
                self.offsets.append(offset)
            offset += length
        return offset


def index_seeds(
    cutter: Cutter,
    seeds: Sequence[Seed],
    *,
    jobs: int,
    memory_bytes: int,
    advance: Callable[[int], None],
) -> SeedIndex:
    """Cut files and index their chunks, the first files first if it gets too much.

    Args:
        jobs: threads that cut.
        memory_bytes: bounds what is read and not yet indexed.
        advance: told of bytes that are dealt with; may raise to stop it all.
    """
    rows = _Rows()
    window = max(2, min(2 * jobs + 2, memory_bytes // (2 * SEGMENT_BYTES)))
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="cas-seed")
    indexing = _Indexing(cutter, seeds, rows)
    try:
        indexing.run(pool, window, advance)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        indexing.close()
    return SeedIndex(seeds, rows)


class _Step(NamedTuple):
    """Work for a thread, how many bytes it deals with, and what to do with the result."""

    size: int
    run: Callable[[], object]
    take: Callable[[object], None]


class _Indexing:
    """One pass over seeds: small ones in batches, big ones in segments, as a put does it."""

    def __init__(self, cutter: Cutter, seeds: Sequence[Seed], rows: _Rows) -> None:
        self._cutter = cutter
        self._seeds = seeds
        self._rows = rows
        self._open: set[int] = set()

    def run(self, pool: ThreadPoolExecutor, window: int, advance: Callable[[int], None]) -> None:
        """Cut everything, `window` steps at a time; take the results in order."""
        steps = self._steps()
        running: deque[tuple[_Step, Future[object]]] = deque()
        step = next(steps, None)
        while step is not None or running:
            while step is not None and len(running) < window:
                running.append((step, pool.submit(step.run)))
                step = next(steps, None)
            first, future = running.popleft()
            first.take(future.result())
            advance(first.size)
            if len(self._rows) >= MAXIMUM_CHUNKS:
                step = None

    def close(self) -> None:
        """Close what is open still because the pass ended early."""
        while self._open:
            os.close(self._open.pop())

    def _steps(self) -> Iterator[_Step]:
        batch: list[int] = []
        size = 0
        for number, seed in enumerate(self._seeds):
            if seed.stamp.size > SEGMENT_BYTES:
                yield from self._big_steps(number, seed)
                continue
            batch.append(number)
            size += seed.stamp.size
            if size >= SEGMENT_BYTES or len(batch) >= SMALL_BATCH_FILES:
                yield self._small_step(batch, size)
                batch, size = [], 0
        if batch:
            yield self._small_step(batch, size)

    def _small_step(self, numbers: list[int], size: int) -> _Step:
        def cut() -> list[Items]:
            return [_cut_whole(self._cutter, self._seeds[number]) for number in numbers]

        def take(found: object) -> None:
            assert isinstance(found, list)
            for number, items in zip(numbers, found, strict=True):
                self._rows.add(number, 0, items)

        return _Step(size, cut, take)

    def _big_steps(self, number: int, seed: Seed) -> Iterator[_Step]:
        descriptor = seed.open_unchanged()
        if descriptor is None:
            return
        self._open.add(descriptor)
        joiner = SegmentJoiner(self._cutter)
        offset = 0

        def take(found: object) -> None:
            nonlocal offset
            if isinstance(found, CutSegment):
                offset = self._rows.add(number, offset, joiner.add(found))

        def finish(_: object) -> None:
            self._rows.add(number, offset, joiner.finish())
            self._open.discard(descriptor)
            os.close(descriptor)

        for start, length, is_hole in hole_segments(descriptor, seed.stamp.size):
            if is_hole:
                yield _Step(length, partial(CutSegment, length, None, [length]), take)
            else:
                cut = partial(_cut_part, self._cutter, descriptor, start, length)
                yield _Step(length, cut, take)
        yield _Step(0, lambda: None, finish)


def _cut_part(cutter: Cutter, descriptor: int, start: int, length: int) -> CutSegment | None:
    """Cut a segment; what cannot be read has no chunks, and those after it will not be right."""
    with suppress(OSError):
        return cut_segment(cutter, descriptor, start, length)
    return None


def _cut_whole(cutter: Cutter, seed: Seed) -> Items:
    """Cut a small file; one that cannot be read has no chunks."""
    items = Items()
    descriptor = seed.open_unchanged()
    if descriptor is None:
        return items
    try:
        cut_content(cutter, read_fully(descriptor, 0, seed.stamp.size), items)
    except OSError:
        return Items()
    finally:
        os.close(descriptor)
    return items
