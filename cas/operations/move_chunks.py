"""Storing the live chunks of blobs that are to be emptied anew, in the order of the paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import HOLE, Page
from cas.model.progress import WAIT_SECONDS, Cancel, Progress, ProgressSink
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader
from cas.operations.feed import Feed
from cas.operations.store_copy import open_dedup
from cas.operations.stored_tree import StoredTree
from cas.transfer.carry_batches import CarriedFile
from cas.transfer.carrying import Carrier, CarryTools
from cas.transfer.dedup import Facts
from cas.transfer.relocation import STAYS, MovedBlob, Relocation, disagreement
from cas.transfer.rows import ranges
from cas.transfer.target_lookup import Found, TargetLookup

Int64s = NDArray[np.int64]


class ChunkMover(Feed):
    """Moves chunks out of blobs, once.

    Chunks that the store has elsewhere, where it is known and not scattered, are not stored again.
    So a repack that died is gone on with.

    Args:
        stored: takes note of the new blobs.
        facts: names the blobs that are to be emptied as bad ones.
    """

    def __init__(
        self,
        stored: StoredTree,
        facts: Facts,
        *,
        cancel: Cancel,
        progress: ProgressSink | None,
    ) -> None:
        parts = stored.parts
        super().__init__(stored, facts, cancel, jobs=parts.jobs, threads="cas-repack")
        self._progress = progress
        self._moves: dict[bytes, MovedBlob] = {}
        tools = CarryTools(
            lookup=TargetLookup(open_dedup(parts, stored, facts, self._pool)),
            writer=self._writer,
            pool=self._pool,
            budget=self._budget,
            jobs=self._jobs,
            frame_bytes=parts.config.frame_bytes,
        )
        self._carrier = Carrier(
            parts.backend, parts.tables, self._place, tools, cancel=cancel, report=self._advance
        )
        stored.counts = self._carrier.counts

    def run(self, files: Iterable[CarriedFile]) -> Relocation:
        """Move what the files consist of; when this returns all of it is durable.

        Raises:
            CorruptionError: a blob is damaged where it is live.
            BackendError: the storage failed.
        """
        self._carrier.run(files)
        self._writer.flush()
        while not self._writer.wait(WAIT_SECONDS):
            self._advance()
        self._advance()
        stored = self._stored
        stored.stored_bytes = self._writer.stored_bytes
        stored.announce(self._facts.stamp)
        stored.write_segment(self._facts.stamp)
        return Relocation({blob_id: self._settled(move) for blob_id, move in self._moves.items()})

    def _place(self, found: Found) -> None:
        batch = found.batch
        for row, (ref, table) in enumerate(zip(batch.refs, batch.tables, strict=True)):
            move = self._moves.get(ref.blob_id)
            if move is None:
                lengths = table.chunk_lengths.astype(np.int64)
                blobs, chunks = np.full(len(lengths), STAYS, np.int64), np.zeros_like(lengths)
                move = self._moves[ref.blob_id] = MovedBlob((), blobs, chunks, lengths)
            at = np.flatnonzero(batch.blobs == row)
            move.blobs[batch.chunks[at]] = found.blobs[at]
            move.chunks[batch.chunks[at]] = found.chunks[at]

    def _settled(self, move: MovedBlob) -> MovedBlob:
        """Name the blobs of a move, which all have ids by now."""
        rows = np.unique(move.blobs[move.blobs != STAYS])
        refs = [self._stored.blobs.ref(row) for row in rows.tolist()]
        blobs = np.where(move.blobs == STAYS, STAYS, np.searchsorted(rows, move.blobs))
        return MovedBlob(refs, blobs, move.chunks, move.lengths)

    def _report(self) -> None:
        if self._progress is None:
            return
        counts = self._stored.counts
        self._progress(
            Progress(
                phase="repack",
                done_bytes=counts.passed_bytes,
                new_bytes=counts.new_bytes,
                stored_bytes=self._writer.stored_bytes,
                sent_bytes=self._writer.sent_bytes,
            )
        )


class LiveFeed:
    """What pages name of blobs that are to be emptied, each chunk once. Not thread-safe."""

    def __init__(self, tables: TableReader, emptied: Iterable[BlobRef]) -> None:
        self._tables = tables
        self._emptied = {ref.blob_id: ref for ref in emptied}
        self._fed: dict[bytes, NDArray[np.bool_]] = {}
        self._pages = 0

    def of_page(self, page: Page) -> Iterator[CarriedFile]:
        """Yield what nobody named before, as one piece, in the order of the page's entries.

        Raises:
            CorruptionError: a table is missing or damaged, or the page disagrees with it.
        """
        refs = [self._emptied.get(row.tobytes()) for row in page.blob_ids]
        is_emptied = np.array([ref is not None for ref in refs] + [False], np.bool_)
        rows = np.where(page.extent_blobs == HOLE, len(refs), page.extent_blobs).astype(np.int64)
        at = np.flatnonzero(is_emptied[rows])
        if len(at) == 0:
            return
        counts = page.extent_chunks[at].astype(np.int64)
        blobs = np.repeat(rows[at], counts)
        chunks = ranges(page.extent_first[at].astype(np.int64), counts)
        fresh = self._fresh(refs, blobs, chunks)
        blobs, chunks = blobs[fresh], chunks[fresh]
        if len(blobs) == 0:
            return
        begins = np.ones(len(blobs), np.bool_)
        begins[1:] = (np.diff(blobs) != 0) | (np.diff(chunks) != 1)
        starts = np.flatnonzero(begins).tolist()
        extents: list[tuple[BlobRef | None, int, int, int]] = []
        for start, stop in zip(starts, [*starts[1:], len(blobs)], strict=True):
            ref = refs[int(blobs[start])]
            assert ref is not None
            first, end = int(chunks[start]), int(chunks[stop - 1]) + 1
            lengths = self._tables.read(ref).chunk_lengths[first:end]
            extents.append((ref, first, end - first, int(lengths.sum(dtype=np.int64))))
        entry = int(np.searchsorted(page.extent_starts, at[0], "right")) - 1
        size = sum(extent[3] for extent in extents)
        yield CarriedFile(self._pages, page.paths[entry], size, None, extents)
        self._pages += 1

    def _fresh(
        self, refs: list[BlobRef | None], blobs: Int64s, chunks: Int64s
    ) -> NDArray[np.bool_]:
        """Tell which chunks were not named before, here included, and note them."""
        fresh = np.zeros(len(blobs), np.bool_)
        for row in np.unique(blobs).tolist():
            ref = refs[row]
            assert ref is not None
            fed = self._fed.get(ref.blob_id)
            if fed is None:
                count = len(self._tables.read(ref).chunk_lengths)
                fed = self._fed[ref.blob_id] = np.zeros(count, np.bool_)
            at = np.flatnonzero(blobs == row)
            named, first = np.unique(chunks[at], return_index=True)
            if int(named[-1]) >= len(fed):
                raise disagreement(ref.blob_id)
            is_new = ~fed[named]
            fresh[at[first[is_new]]] = True
            fed[named] = True
        return fresh
