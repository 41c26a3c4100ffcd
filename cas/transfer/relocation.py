"""Where chunks of blobs lie now, and pages that say so.

A page is rewritten in columns: extents of blobs whose chunks moved fall apart into chunks, these
get their new places, and what then lies together is joined again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import HOLE, Page
from cas.objects.blob_list import BlobList, BlobRef
from cas.transfer.rows import HOLE_ROW, Extents, blob_table, merge_extents, page_blobs, ranges

STAYS = -1

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MovedBlob:
    """Where the n chunks of one blob lie now.

    Attributes:
        refs: the blobs that they lie in.
        blobs: int64[n], row in `refs`, or `STAYS`.
        chunks: int64[n], row of the chunk in that blob.
        lengths: int64[n], raw bytes of each chunk.
    """

    refs: Sequence[BlobRef]
    blobs: Int64s
    chunks: Int64s
    lengths: Int64s


@dataclass(slots=True, eq=False)
class Relocation:
    """The blobs of which chunks moved, by id."""

    moved: dict[bytes, MovedBlob] = field(default_factory=dict)

    def touches(self, page: Page) -> bool:
        """Tell whether a page names a blob of which chunks moved."""
        return any(blob_id.tobytes() in self.moved for blob_id in page.blob_ids)

    def apply(self, page: Page) -> Page | None:
        """Return a page with the same entries at their new places; None if none of them moved.

        Raises:
            CorruptionError: the page names chunks that its blob does not have.
        """
        if not self.touches(page):
            return None
        blobs = BlobList()
        rows = blobs.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, 0)
        spread = _spread(page, rows, self._moved_rows(page))
        if not self._move(page, spread, blobs):
            return None
        # The first row of every file that has any.
        firsts = page.extent_starts[:-1][page.extent_counts > 0]
        merged, per_file = merge_extents(spread.extents, spread.starts[firsts])
        counts = np.zeros(len(page.paths), np.uint32)
        counts[page.extent_counts > 0] = per_file
        used, inverse = np.unique(merged.blobs, return_inverse=True)
        refs, table = page_blobs(used, blobs)
        is_hole = merged.blobs == HOLE_ROW
        return replace(
            page,
            extent_counts=counts,
            extent_blobs=table[inverse].astype(np.uint32),
            extent_first=np.where(is_hole, 0, merged.first).astype(np.uint32),
            extent_chunks=np.where(is_hole, 0, merged.chunks).astype(np.uint32),
            extent_lengths=merged.lengths.astype(np.uint64),
            **blob_table(refs),
        )

    def _moved_rows(self, page: Page) -> NDArray[np.bool_]:
        """Tell of each blob of a page whether chunks of it moved."""
        return np.array([row.tobytes() in self.moved for row in page.blob_ids], np.bool_)

    def _move(self, page: Page, spread: _Spread, blobs: BlobList) -> bool:
        """Give chunks their new places; tell whether any has one."""
        any_moved = False
        extents = spread.extents
        for row, blob_id in enumerate(page.blob_ids):
            move = self.moved.get(blob_id.tobytes())
            if move is None:
                continue
            at = np.flatnonzero(spread.is_chunk & (spread.blobs == row))
            chunks = extents.first[at]
            if len(at) and int(chunks.max()) >= len(move.lengths):
                raise disagreement(blob_id.tobytes())
            extents.lengths[at] = move.lengths[chunks]
            goes = move.blobs[chunks] != STAYS
            at, chunks = at[goes], chunks[goes]
            if len(at):
                any_moved = True
                to_rows = np.array([blobs.row_of(ref) for ref in move.refs], np.int64)
                extents.blobs[at] = to_rows[move.blobs[chunks]]
                extents.first[at] = move.chunks[chunks]
        sums = np.add.reduceat(extents.lengths, spread.starts)
        wrong = np.flatnonzero(sums != page.extent_lengths.astype(np.int64))
        if len(wrong):
            raise disagreement(page.blob_ids[page.extent_blobs[wrong[0]]].tobytes())
        return any_moved


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """The extents of a page, those of moved blobs chunk by chunk.

    Attributes:
        starts: the row at which each extent of the page begins.
        blobs: row of the blob in the page, of each row.
        is_chunk: which rows are single chunks of moved blobs.
    """

    extents: Extents
    starts: Int64s
    blobs: Int64s
    is_chunk: NDArray[np.bool_]


def _spread(page: Page, blob_rows: Int64s, moved: NDArray[np.bool_]) -> _Spread:
    is_hole = page.extent_blobs == HOLE
    old = np.where(is_hole, len(moved), page.extent_blobs).astype(np.int64)
    falls_apart = np.append(moved, False)[old]
    chunks = page.extent_chunks.astype(np.int64)
    counts = np.where(falls_apart, chunks, 1)
    within = ranges(np.zeros(len(counts), np.int64), counts)
    is_chunk = np.repeat(falls_apart, counts)
    blobs = np.repeat(old, counts)
    extents = Extents(
        np.append(blob_rows, HOLE_ROW)[blobs],
        np.repeat(page.extent_first.astype(np.int64), counts) + within,
        np.where(is_chunk, 1, np.repeat(chunks, counts)),
        np.repeat(page.extent_lengths.astype(np.int64), counts),
    )
    return _Spread(extents, np.cumsum(counts) - counts, blobs, is_chunk)


def disagreement(blob_id: bytes) -> CorruptionError:
    """Return the error for a page that names what its blob does not have."""
    return CorruptionError(
        f"a page and the table of blob {blob_id.hex()[:12]} disagree",
        code=ErrorCode.MALFORMED_OBJECT,
    )
