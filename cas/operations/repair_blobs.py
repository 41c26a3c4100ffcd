"""Bringing back the chunks of damaged blobs: found, verified, and stored anew in other blobs.

A damaged blob is emptied: whole chunks that versions need of it go along, so that nobody needs it
any more and a collection takes it away. It is never written to, and nothing is removed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from blake3 import blake3

from cas.backend.base import Backend
from cas.compression.codec import decode
from cas.errors import CasError
from cas.format.blob import BlobTable, decode_frame
from cas.format.verification import DamageState
from cas.model.ids import SessionId
from cas.model.progress import WAIT_SECONDS, Cancel
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.blobs import TableReader
from cas.objects.damage import BlobDamage
from cas.objects.examine_blob import damaged_chunks, read_table
from cas.objects.parts import StoreParts
from cas.objects.scan_blob import is_table_of, scan_blob
from cas.operations.damaged_extents import Int64s
from cas.operations.repair_needs import BlobNeed, FileNeed, Span
from cas.operations.repair_sources import Source, StoreSource
from cas.transfer.budget import MemoryBudget
from cas.transfer.packing import BlobWriter, SentBlob
from cas.transfer.relocation import STAYS, MovedBlob


@dataclass(slots=True, eq=False)
class RepairedBlob:
    """What became of a damaged blob.

    Attributes:
        places: for each row that was brought back, row of a blob of the writer and of its chunk.
        lengths: int64[n], of all chunks, as far as they are known.
        lost: rows that are needed and were found nowhere; without a table, whole spans of them.
        lost_spans: parts of files that were found nowhere, where no table is known.
    """

    need: BlobNeed
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    lost_spans: list[Span] = field(default_factory=list)

    def moved(self, blobs: BlobList) -> MovedBlob:
        """Return where its chunks lie now; all new blobs must be stored."""
        count = max([*self.lengths, -1]) + 1
        rows: dict[int, int] = {}
        refs: list[BlobRef] = []
        to_blobs = np.full(count, STAYS, np.int64)
        to_chunks = np.zeros(count, np.int64)
        for row, (blob, chunk) in self.places.items():
            if blob not in rows:
                rows[blob] = len(refs)
                refs.append(blobs.ref(blob))
            to_blobs[row], to_chunks[row] = rows[blob], chunk
        lengths = np.zeros(count, np.int64)
        for row, length in self.lengths.items():
            lengths[row] = length
        return MovedBlob(refs, to_blobs, to_chunks, lengths)


@dataclass(slots=True)
class RepairCounts:
    """What was found so far, in chunks and raw bytes."""

    found_chunks: int = 0
    found_bytes: int = 0
    moved_bytes: int = 0


class BlobRepair:
    """Brings back the chunks of damaged blobs. For one thread; a context manager.

    Args:
        parts: those of the store past its cache; writes go there.
        sources: what is asked for chunks, in this order.
        stamp: every collection up to it had a verdict before anything is stored.
    """

    def __init__(
        self,
        parts: StoreParts,
        session: SessionId,
        sources: Sequence[Source],
        stamp: int,
        cancel: Cancel,
    ) -> None:
        self._parts = parts
        self._backend: Backend = parts.backend
        self._sources = sources
        self._cancel = cancel
        self._budget = MemoryBudget(parts.memory_bytes)
        self._pool = ThreadPoolExecutor(parts.jobs, thread_name_prefix="cas-repair")
        self.blobs = BlobList()
        self.counts = RepairCounts()
        self.sent: list[SentBlob] = []
        self._writer = BlobWriter(
            parts.backend,
            session,
            self.blobs,
            self._pool,
            self._budget,
            frame_bytes=parts.config.frame_bytes,
            stamp=stamp,
        )

    def find_tables(self, needs: Sequence[BlobNeed], cached: TableReader) -> TableReader:
        """Find the tables of damaged blobs, wherever one that the id vouches for is to be had.

        Args:
            cached: may know a table that is damaged in the store.

        Returns:
            A reader that takes what a scan found for the tables of blobs that have none: only for
            reading files that are verified as a whole.
        """
        guesses = TableReader(self._backend)
        for need in needs:
            self._cancel.check()
            need.table = self._find_table(need, cached)
            if need.table is None and need.damage.state is not DamageState.MISSING:
                guess = self._scan(need)
                if guess is not None:
                    guesses.remember(need.target.blob_id, guess)
        return guesses

    def _find_table(self, need: BlobNeed, cached: TableReader) -> BlobTable | None:
        target = need.target
        try:
            return read_table(self._backend, target)
        except CasError:
            pass
        scanned = self._scan(need)
        if scanned is not None and is_table_of(scanned, target):
            return scanned
        for source in self._sources:
            table = source.table(target)
            if table is not None:
                return table
        ref = BlobRef(
            blob_id=target.blob_id, size=target.size, table_offset=target.table_offset, stamp=0
        )
        try:
            return cached.read(ref)
        except CasError:
            return None

    def _scan(self, need: BlobNeed) -> BlobTable | None:
        target = need.target
        spans = [span for file in need.files.values() for span in file.spans]
        extents = [(span.first, span.chunks, span.stop - span.start) for span in spans]
        try:
            return scan_blob(self._backend.get(target.key), target, extents)
        except CasError:
            return None

    def repair(self, need: BlobNeed) -> RepairedBlob:
        """Bring back what is needed of one blob, as far as it is to be had."""
        self._cancel.check()
        repaired = RepairedBlob(need)
        if need.table is None:
            for file in need.files.values():
                self._repair_spans(file, repaired)
        else:
            self._repair_rows(need, need.table, repaired)
        return repaired

    def _repair_rows(self, need: BlobNeed, table: BlobTable, repaired: RepairedBlob) -> None:
        lengths = table.chunk_lengths.tolist()
        repaired.lengths = dict(enumerate(lengths))
        rows = need.rows
        if len(rows) and rows[-1] >= len(lengths):
            # A page speaks of chunks that there are not; that is no damage of the blob.
            rows = rows[rows < len(lengths)]
        if need.damage.state is DamageState.CHUNKS:
            # What is damaged first: if some of it is nowhere, the blob stays needed for that, and
            # what is whole in it may as well stay there.
            damaged = np.intersect1d(rows, need.damage.chunks)
            self._move_rows(need, table, damaged, repaired)
            if repaired.lost:
                return
            rows = np.setdiff1d(rows, damaged)
        self._move_rows(need, table, rows, repaired)

    def _move_rows(
        self, need: BlobNeed, table: BlobTable, rows: Int64s, repaired: RepairedBlob
    ) -> None:
        frames = table.chunk_frames[rows]
        for frame in np.unique(frames).tolist():
            self._cancel.check()
            whole = self._whole_chunks(need, table, frame)
            for row in rows[frames == frame].tolist():
                content = whole.get(row)
                if content is None:
                    content = self._ask(table.chunk_ids[row].tobytes(), repaired.lengths[row])
                if content is None:
                    repaired.lost.add(row)
                    continue
                repaired.places[row] = self._store(table.chunk_ids[row].tobytes(), content)

    def _whole_chunks(self, need: BlobNeed, table: BlobTable, frame: int) -> dict[int, bytes]:
        """Return the chunks of a frame of the damaged blob itself that are whole, by row."""
        if need.damage.state is DamageState.MISSING:
            return {}
        start, stop = int(table.frame_offsets[frame]), table.frame_stop(frame)
        try:
            content = self._backend.get(need.target.key, start, stop)
            damaged, _ = damaged_chunks(table, frame, content)
            first, last = table.first_chunks[frame : frame + 2].tolist()
            if len(damaged) == last - first:
                return {}
            head = decode_frame(content, what=need.target.key)
            raw = memoryview(decode(head.payload, head.codec, head.param, head.raw_length))
        except CasError:
            return {}
        whole = set(range(first, last)) - set(damaged.tolist())
        return {row: _slice(raw, table, row) for row in whole}

    def _ask(self, chunk_id: bytes, length: int) -> bytes | None:
        for source in self._sources:
            content = source.chunk(chunk_id, length)
            if content is not None and blake3(content).digest() == chunk_id:
                self.counts.found_chunks += 1
                self.counts.found_bytes += length
                return content
        return None

    def _repair_spans(self, file: FileNeed, repaired: RepairedBlob) -> None:
        """Bring back the parts of a file that lie in a blob of which nothing is known."""
        pieces = next(filter(None, (source.pieces(file) for source in self._sources)), None)
        for number, span in enumerate(file.spans):
            if pieces is None or not self._take_span(span, pieces[number], repaired):
                repaired.lost_spans.append(span)

    def _take_span(self, span: Span, content: bytes, repaired: RepairedBlob) -> bool:
        """Cut a part of a file as it was cut; False if that gives another number of chunks."""
        ends = self._parts.cutter.cut(content).tolist()
        if len(ends) != span.chunks:
            return False
        starts = [0, *ends[:-1]]
        for row, start, end in zip(range(span.first, span.first + span.chunks), starts, ends):  # noqa: B905
            if row in repaired.places:
                continue
            chunk = content[start:end]
            repaired.lengths[row] = len(chunk)
            repaired.places[row] = self._store(blake3(chunk).digest(), chunk)
            self.counts.found_chunks += 1
            self.counts.found_bytes += len(chunk)
        return True

    def _store(self, chunk_id: bytes, content: bytes) -> tuple[int, int]:
        while not self._budget.try_acquire(len(content)):
            self._writer.flush()
            self._writer.raise_failure()
            self._budget.wait_for_release(WAIT_SECONDS)
        self.counts.moved_bytes += len(content)
        return self._writer.add(chunk_id, (content, 0, len(content)))

    def finish(self) -> None:
        """Wait until everything is durable."""
        self._writer.flush()
        while not self._writer.wait(WAIT_SECONDS):
            self._cancel.check()
        self.sent += self._writer.collect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _slice(raw: memoryview, table: BlobTable, row: int) -> bytes:
    start = int(table.chunk_starts[row])
    return bytes(raw[start : start + int(table.chunk_lengths[row])])


def guess_source(source: StoreSource, needs: Sequence[BlobNeed]) -> StoreSource:
    """Have a source try the files themselves, by tables that a scan found; return it."""
    for need in needs:
        if need.table is None:
            for file in need.files.values():
                source.offer(file)
    return source


def lost_damage(repaired: RepairedBlob) -> tuple[BlobDamage | None, Int64s]:
    """Return what of a blob stays damaged, and the rows of its chunks that are lost."""
    need = repaired.need
    rows = set(repaired.lost)
    for span in repaired.lost_spans:
        rows |= set(range(span.first, span.first + span.chunks))
    rows -= repaired.places.keys()
    lost = np.array(sorted(rows), np.int64)
    if len(lost) == 0:
        return None, lost
    if need.table is None:
        return need.damage, lost
    return BlobDamage(need.target.blob_id, False, DamageState.CHUNKS, lost), lost
