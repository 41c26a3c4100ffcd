"""Where the chunks and pages of damaged blobs lie after they were brought back. See `NewPlaces`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cas.errors import CorruptionError
from cas.format.manifest import Page, Root, root_page_location
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.objects.parts import StoreParts
from cas.operations.damaged_extents import Int64s
from cas.transfer.relocation import Relocation


@dataclass(slots=True, eq=False)
class RepairedPlaces:
    """New places of what was damaged.

    Attributes:
        lost: by blob id, rows of chunks that stay lost, where no table tells their lengths.
        emptied: ids of damaged meta blobs, whose pages go elsewhere.
        copies: by version digest, the root of a copy of the version that is stored whole.
    """

    parts: StoreParts
    relocation: Relocation
    stamp: int
    lost: Mapping[bytes, Int64s] = field(default_factory=dict)
    emptied: frozenset[bytes] = frozenset()
    copies: dict[bytes, Root] = field(default_factory=dict)

    def page(self, location: PageLocation) -> Page | None:
        """Return a page at the new places of its chunks, or its copy if it cannot be read."""
        try:
            page = self.parts.pages.read_page(location)
        except CorruptionError:
            copy = self._copy_of(location)
            if copy is None:
                raise
            return copy
        hidden = self._hide_lost(page)
        moved = self.relocation.apply(hidden)
        if moved is None:
            return None
        return replace(moved, blob_ids=self._shown(moved.blob_ids))

    def root(self, record: VersionRecord, error: CorruptionError) -> Root:
        """Return the root of a copy of the version; raise `error` if there is none."""
        copy = self.copies.get(record.digest.raw)
        if copy is None:
            raise error
        return copy

    def empties(self, blob_id: bytes) -> bool:
        """Tell whether a meta blob is damaged."""
        return blob_id in self.emptied

    def note_version(self, record: VersionRecord, root: Root) -> None:
        """Note which pages belong to a version of which there is a copy."""
        copy = self.copies.get(record.digest.raw)
        if copy is None:
            return
        rows = {first: row for row, first in enumerate(copy.first_paths)}
        for row, first in enumerate(root.first_paths):
            at = rows.get(first)
            if at is not None and copy.page_entries[at] == root.page_entries[row]:
                old = root_page_location(root, row)
                self._pages[old] = root_page_location(copy, at)

    _pages: dict[PageLocation, PageLocation] = field(default_factory=dict)

    def _copy_of(self, location: PageLocation) -> Page | None:
        at = self._pages.get(location)
        return None if at is None else self.parts.pages.read_page(at)

    def _hide_lost(self, page: Page) -> Page:
        """Give extents that cannot be moved, of blobs without a table, to a blob of no such name:
        nobody knows the lengths of their chunks, so they must stay as they are.
        """
        for row in range(len(page.blob_ids)):
            rows = self.lost.get(page.blob_ids[row].tobytes())
            if rows is None:
                continue
            extents = np.flatnonzero(page.extent_blobs == row)
            first = page.extent_first[extents].astype(np.int64)
            begin = np.searchsorted(rows, first)
            end = np.searchsorted(rows, first + page.extent_chunks[extents])
            stay = extents[end > begin]
            if len(stay) == 0:
                continue
            blobs = page.extent_blobs.copy()
            blobs[stay] = len(page.blob_ids)
            page = replace(
                page,
                extent_blobs=blobs,
                blob_ids=np.concatenate([page.blob_ids, ~page.blob_ids[row : row + 1]]),
                blob_sizes=np.append(page.blob_sizes, page.blob_sizes[row]),
                table_offsets=np.append(page.table_offsets, page.table_offsets[row]),
            )
        return page

    def _shown(self, blob_ids: np.ndarray) -> np.ndarray:
        """Give hidden blobs their names again."""
        if not self.lost:
            return blob_ids
        shown = blob_ids.copy()
        for row in range(len(shown)):
            turned = (~shown[row]).tobytes()
            if turned in self.lost:
                shown[row] = np.frombuffer(turned, np.uint8)
        return shown
