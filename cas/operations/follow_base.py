"""What a journal remembers, led to where the newest version lies now.

A repack or a repair moves what a version holds. A writer that went on by its journal would keep the
old blobs alive, or name some that are gone; so where the newest version holds the same file at the
same path, its places count.
"""

from __future__ import annotations

import numpy as np
from blake3 import blake3

from cas.format.manifest import Page, encode_page, has_same_entries
from cas.model.ids import PageId
from cas.objects.base_version import Surroundings
from cas.objects.blob_list import BlobList
from cas.objects.parts import StoreParts
from cas.operations.match_pages import BasePages
from cas.transfer.dedup import Facts
from cas.transfer.journal import JournalPage
from cas.transfer.reuse import page_blob_rows
from cas.transfer.rows import EntryColumns


class BaseFollower:
    """Leads the journal's pages to the places of the newest version. Not thread-safe."""

    def __init__(self, parts: StoreParts, found: Surroundings, facts: Facts) -> None:
        self._base = BasePages(parts, found, facts)
        self._is_revised = found.base is not None and found.base.is_revised
        self._facts = facts

    def follow(self, page: JournalPage) -> None:
        """Change a page that the newest version does not have, where it may be out of date."""
        if not self._is_revised and not self._names_bad_blobs(page.page):
            return
        for page_id, candidate in self._base.covering(page.page):
            if has_same_entries(candidate, page.page):
                page.replace(page_id, encode_page(candidate), self._facts.stamp)
                return
            self._follow_entries(page, candidate)

    def _names_bad_blobs(self, page: Page) -> bool:
        bad = self._facts.bad_blobs
        return bool(bad) and any(blob_id.tobytes() in bad for blob_id in page.blob_ids)

    def _follow_entries(self, page: JournalPage, candidate: Page) -> None:
        old = page.page
        row_of = {path: row for row, path in enumerate(candidate.paths)}
        pairs = [
            (row, other)
            for row, path in enumerate(old.paths)
            if (other := row_of.get(path)) is not None
        ]
        if not pairs:
            return
        rows, others = np.array(pairs, np.int64).T
        same = (candidate.kinds[others] == old.kinds[rows]) & (
            candidate.hashes[others] == old.hashes[rows]
        ).all(axis=1)
        same &= candidate.sizes[others] == old.sizes[rows]
        same &= candidate.extent_counts[others] > 0
        rows, others = rows[same], others[same]
        if len(rows) == 0:
            return
        blobs = BlobList()
        columns = EntryColumns(len(old.paths))
        every = np.arange(len(old.paths))
        columns.copy_rows(old, every, every, page_blob_rows(old, blobs, page.stamp))
        new_blobs = page_blob_rows(candidate, blobs, self._facts.stamp)
        columns.copy_rows(candidate, others, rows, new_blobs)
        # Whether a file may be executed is the local file's.
        columns.modes[:] = old.modes
        made = columns.page(0, len(old.paths), old.paths, old.kinds, blobs)
        stamps = (blobs.ref(row).stamp for row in columns.blob_rows(0, len(old.paths)).tolist())
        content = encode_page(made)
        stamp = min(stamps, default=self._facts.stamp)
        page.replace(PageId(blake3(content).digest()), content, stamp)
