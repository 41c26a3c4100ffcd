"""Ranges of many stored files as bytes: one plan, many reads in flight, every byte verified."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from cas.errors import CasError
from cas.format.blob import BlobTable
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader
from cas.transfer.budget import MemoryBudget
from cas.transfer.decoding import decode_read, rows_of
from cas.transfer.gathering import check_placements
from cas.transfer.kept_chunks import KeptRows, keep_rows, split_kept
from cas.transfer.plan import Placement, Read, ReadLimits, plan_reads
from cas.transfer.reading import FileContent

Buffer = bytearray | memoryview


@dataclass(frozen=True, slots=True)
class WantedRange:
    """Bytes `start` to `stop` of a file, which must lie inside of it."""

    content: FileContent
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class RangeTools:
    """How ranges are read: `threads` fetch and decode, and `memory_bytes` bounds what they hold
    beside the answer.
    """

    tables: TableReader
    limits: ReadLimits
    threads: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What a range wants of one extent: bytes `low` to `high` of it, `offset` of which in the range
    is where the extent begins; before the range, if that is negative.
    """

    number: int
    offset: int
    extent: tuple[int, int, int]
    low: int
    high: int


def read_ranges(wanted: Sequence[WantedRange], tools: RangeTools) -> list[bytes | CasError]:
    """Return the bytes of each range, or what went wrong with it.

    Ranges that lie near each other in a blob are fetched by one read, and what several ranges need
    is fetched once. A read that fails does so for all ranges that it was for.
    """
    buffers = [bytearray(max(0, one.stop - one.start)) for one in wanted]
    failed = fill_ranges(wanted, buffers, tools)
    return [failed.get(at) or bytes(buffer) for at, buffer in enumerate(buffers)]


def fill_ranges(
    wanted: Sequence[WantedRange], buffers: Sequence[Buffer], tools: RangeTools
) -> dict[int, CasError]:
    """Read ranges as `read_ranges` does, each into a buffer of its length that holds zeros.

    Returns:
        What went wrong, by the number of the range; the contents of its buffer are then unknown.
    """
    reading = _Reading(wanted, buffers, tools)
    with ThreadPoolExecutor(tools.threads, thread_name_prefix="cas-ranges") as pool:
        reading.run(pool)
    return reading.failed


class _Reading:
    """The state of one call. Threads fetch; the one that called plans and waits."""

    def __init__(
        self, wanted: Sequence[WantedRange], buffers: Sequence[Buffer], tools: RangeTools
    ) -> None:
        self._tools = tools
        self._budget = MemoryBudget(tools.memory_bytes)
        self._window: deque[tuple[Read, Future[None]]] = deque()
        self._parts: dict[BlobRef, list[_Part]] = {}
        self._buffers = buffers
        self.failed: dict[int, CasError] = {}
        for number, one in enumerate(wanted):
            self._add(number, one)

    def run(self, pool: ThreadPoolExecutor) -> None:
        """Fill the buffers."""
        tables = {ref: pool.submit(self._tools.tables.open, ref) for ref in self._parts}
        for ref, parts in self._parts.items():
            try:
                table = tables[ref].result()
                wanted = self._take_kept(table, _placements(ref, table, parts))
                reads = plan_reads(table, wanted, self._tools.limits)
            except CasError as error:
                self.failed |= {part.number: error for part in parts}
                continue
            for read in reads:
                while not self._budget.try_acquire(read.memory_bytes):
                    self._take()
                self._window.append((read, pool.submit(self._fetch, ref, table, read)))
        while self._window:
            self._take()

    def _take_kept(self, table: BlobTable, placements: list[Placement]) -> list[Placement]:
        """Copy what is cached on this machine to where the ranges have it; return what is not."""
        chunks = self._tools.tables.chunks
        if chunks is None:
            return placements
        kept, missing = split_kept(chunks, table, placements)
        rows = KeptRows(chunks, table)
        for one in sorted(kept, key=lambda placement: placement.first):
            missing += rows.write(one, partial(_copy_chunk, self._buffers[one.file]))
        return missing

    def _add(self, number: int, wanted: WantedRange) -> None:
        content = wanted.content
        if wanted.start >= wanted.stop:
            return
        if content.inline is not None:
            self._buffers[number][:] = content.inline[wanted.start : wanted.stop]
            return
        at = bisect_right(content.starts, wanted.start) - 1
        while at < len(content.extents) and content.starts[at] < wanted.stop:
            ref, first, chunks, length = content.extents[at]
            begin = content.starts[at]
            if ref is not None:
                low, high = max(wanted.start - begin, 0), min(wanted.stop - begin, length)
                extent = (first, chunks, length)
                part = _Part(number, begin - wanted.start, extent, low, high)
                self._parts.setdefault(ref, []).append(part)
            at += 1

    def _take(self) -> None:
        read, future = self._window.popleft()
        try:
            future.result()
        except CasError as error:
            self.failed |= {one.file: error for one in read.placements}
        self._budget.release(read.memory_bytes)

    def _fetch(self, ref: BlobRef, table: BlobTable, read: Read) -> None:
        raws = self._tools.tables.read_checked(
            ref,
            read.start,
            read.stop,
            lambda content: decode_read(ref.blob_id, table, read, memoryview(content)),
        )
        for one in read.placements:
            _copy(table, raws, one, self._buffers[one.file])
        if (chunks := self._tools.tables.chunks) is not None:
            keep_rows(chunks, table, raws, rows_of(read))


def _placements(ref: BlobRef, table: BlobTable, parts: Sequence[_Part]) -> list[Placement]:
    """Return the chunks that each part needs, and where in its range the first one begins.

    Raises:
        CorruptionError: a page speaks of chunks that the blob does not have.
    """
    whole = [Placement(0, 0, e[0], e[0] + e[1], e[2]) for e in (part.extent for part in parts)]
    check_placements(ref, table, whole)
    ends = np.cumsum(table.chunk_lengths, dtype=np.int64)
    placements = []
    for part in parts:
        first, chunks, _ = part.extent
        begin = int(ends[first]) - int(table.chunk_lengths[first])
        rows = ends[first : first + chunks]
        one = first + int(np.searchsorted(rows, begin + part.low, side="right"))
        last = first + int(np.searchsorted(rows, begin + part.high, side="left"))
        start = int(ends[one]) - int(table.chunk_lengths[one])
        length = int(ends[last]) - start
        offset = part.offset + start - begin
        placements.append(Placement(part.number, offset, one, last + 1, length))
    return placements


def _copy_chunk(buffer: Buffer, chunk: memoryview, offset: int) -> None:
    """Copy a chunk to where a range has it, as far as it lies in it."""
    low, high = max(0, -offset), min(len(chunk), len(buffer) - offset)
    buffer[offset + low : offset + high] = chunk[low:high]


def _copy(
    table: BlobTable, raws: dict[int, memoryview], placement: Placement, buffer: Buffer
) -> None:
    """Copy the chunks of a placement to where the range has them, as far as they lie in it."""
    offset, row = placement.offset, placement.first
    while row < placement.stop:
        frame = int(table.chunk_frames[row])
        last = min(placement.stop, int(table.first_chunks[frame + 1])) - 1
        start = int(table.chunk_starts[row])
        stop = int(table.chunk_starts[last]) + int(table.chunk_lengths[last])
        low, high = max(0, -offset), min(stop - start, len(buffer) - offset)
        buffer[offset + low : offset + high] = raws[frame][start + low : start + high]
        offset += stop - start
        row = last + 1
