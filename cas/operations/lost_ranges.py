"""Which bytes of which files are lost with chunks and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cas.errors import CasError
from cas.format.blob import BlobTable
from cas.format.manifest import Page
from cas.model.entry import path_to_text
from cas.objects.parts import StoreParts
from cas.operations.affected_versions import pages_of
from cas.operations.damaged_extents import Int64s
from cas.operations.holes import Hole
from cas.operations.live_versions import LiveVersion
from cas.operations.repair_needs import BlobNeed

Lost = Mapping[bytes, tuple[Int64s, BlobNeed]]


def holes_of(parts: StoreParts, version: LiveVersion, lost: Lost, *, whole: bool) -> Iterator[Hole]:
    """Yield what of a version is lost, in path order.

    Args:
        lost: by blob id, the rows of chunks that are lost.
        whole: pages of the version that cannot be read are lost, too.
    """
    try:
        root = parts.pages.read_root(version.root)
    except CasError:
        if whole:
            yield Hole(version.ref, "", 0, version.record.totals.size)
        return
    firsts = [path_to_text(path) for path in root.first_paths]
    for row, (_, page) in enumerate(pages_of(parts, version)):
        if page is not None:
            yield from page_holes(version.ref, page, lost)
        elif whole:
            last = firsts[row + 1] if row + 1 < len(firsts) else ""
            yield Hole(version.ref, "", 0, 0, firsts[row], last)


def page_holes(ref: str, page: Page, lost: Lost) -> Iterator[Hole]:
    """Yield the byte ranges of the files of a page that lie in lost chunks, joined."""
    rows_of = {
        row: lost[blob_id.tobytes()]
        for row, blob_id in enumerate(page.blob_ids)
        if blob_id.tobytes() in lost
    }
    if not rows_of:
        return
    for entry in range(len(page.paths)):
        start, stop = page.extent_starts[entry : entry + 2].tolist()
        offset = 0
        open_hole: list[int] = []
        for extent in range(start, stop):
            length = int(page.extent_lengths[extent])
            known = rows_of.get(int(page.extent_blobs[extent]))
            if known is not None:
                first, count = int(page.extent_first[extent]), int(page.extent_chunks[extent])
                for a, b in _ranges(known[0], known[1].table, first, count, length):
                    if open_hole and open_hole[1] == offset + a:
                        open_hole[1] = offset + b
                        continue
                    if open_hole:
                        yield Hole(ref, path_to_text(page.paths[entry]), open_hole[0], open_hole[1])
                    open_hole = [offset + a, offset + b]
            offset += length
        if open_hole:
            yield Hole(ref, path_to_text(page.paths[entry]), open_hole[0], open_hole[1])


def _ranges(
    rows: Int64s, table: BlobTable | None, first: int, count: int, length: int
) -> Iterator[tuple[int, int]]:
    """Yield the lost byte ranges of an extent."""
    begin, end = np.searchsorted(rows, [first, first + count]).tolist()
    if begin == end:
        return
    if table is None or first + count > len(table.chunk_lengths):
        yield 0, length  # nobody knows where in it the chunks begin
        return
    ends = np.cumsum(table.chunk_lengths[first : first + count], dtype=np.int64)
    for row in rows[begin:end].tolist():
        stop = int(ends[row - first])
        yield stop - int(table.chunk_lengths[row]), stop
