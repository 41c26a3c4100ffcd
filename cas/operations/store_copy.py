"""W0 of a copy: store the chunks of another store's version that this one lacks; make its pages.

Entries, their order and where pages are cut stay as they are, and so does the digest: only the
places of the chunks are other ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from blake3 import blake3

from cas.format.manifest import encode_page
from cas.model.ids import PageId
from cas.model.progress import Cancel
from cas.objects.base_version import Surroundings
from cas.objects.collection_log import condemned_by_open_runs
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.copy_meter import CopyMeter
from cas.operations.copy_outcomes import CopyOptions
from cas.operations.feed import Feed
from cas.operations.match_pages import BasePages, CopiedPage, files_to_carry, match_pages
from cas.operations.pinned import PinnedVersion
from cas.operations.store_tree import open_journal
from cas.operations.stored_tree import NewPage, StoredTree
from cas.operations.upload_tree import load_base, read_index
from cas.transfer.carrying import Carrier, CarryTools
from cas.transfer.dedup import PRELOADED_CHUNKS, Deduplicator, Facts
from cas.transfer.place_entries import EntryPlacer
from cas.transfer.rows import EntryColumns
from cas.transfer.stream import no_tree
from cas.transfer.target_lookup import TargetLookup

READ_THREADS = 8


@contextmanager
def store_copy(
    source: tuple[StoreParts, PinnedVersion],
    target: StoreParts,
    options: CopyOptions,
    session: WriterSession,
    found: Surroundings,
    meter: CopyMeter,
) -> Iterator[StoredTree]:
    """Store in `target` what a version of another store holds, and give its pages. The last blobs
    may be under way when they are given; what is not durable when the context is left is dropped.

    Raises:
        CorruptionError: the source has other bytes than it must, or none.
        BackendError: one of the two storages failed.
    """
    journal = open_journal(target)
    stored = StoredTree(target, session, no_tree(), journal, target.clock.now_ns())
    try:
        with _Copying(source, options, found, stored, meter) as copying:
            copying.run()
            yield stored
    finally:
        if journal is not None:
            journal.close()


def facts_of(target: StoreParts, found: Surroundings) -> Facts:
    """Return what is known of a store that was just looked at."""
    return Facts(
        stamp=found.stamp,
        floor=found.log.floor,
        newest=found.log.newest,
        is_condemned=condemned_by_open_runs(target.backend, found.log),
        bad_blobs=found.bad_blobs,
        bad_chunks=found.damage.bad_chunks,
    )


def open_dedup(
    target: StoreParts, stored: StoredTree, facts: Facts, pool: ThreadPoolExecutor
) -> Deduplicator:
    """Load the target's index, and the tables of blobs that interrupted writers left there."""
    index = stored.index = read_index(target, facts)
    dedup = Deduplicator(target.tables, lambda: index, stored.blobs, facts, pool)
    if stored.journal is not None:
        stored.resumed = stored.journal.unpublished_blobs(target.clock.now_ns())
    dedup.load(stored.resumed, chunk_limit=PRELOADED_CHUNKS)
    return dedup


class _Copying(Feed):
    """One pass over a version: match it with the base version, carry the rest, make the pages."""

    def __init__(
        self,
        source: tuple[StoreParts, PinnedVersion],
        options: CopyOptions,
        found: Surroundings,
        stored: StoredTree,
        meter: CopyMeter,
    ) -> None:
        self._source, self._pinned = source
        self._target = stored.parts
        super().__init__(
            stored,
            facts_of(self._target, found),
            options.cancel or Cancel(),
            jobs=read_threads(self._source, self._target, options.jobs),
            threads="cas-copy",
        )
        self._found = found
        self._meter = meter
        self._shared_bytes = 0
        self._columns = EntryColumns(self._pinned.record.totals.entries)

    def run(self) -> None:
        """Do it all.

        Raises:
            CorruptionError: the source has other bytes than it must, or none.
        """
        stored, record = self._stored, self._pinned.record
        pages, stated = match_pages(
            (record, self._pinned.pages),
            BasePages(self._target, self._found, self._facts),
            self._columns,
            stored.blobs,
            self._facts,
            self._pool,
        )
        to_carry = sum(int(one.page.sizes[one.to_carry].sum()) for one in pages)
        self._shared_bytes = record.totals.size - to_carry
        self._carry(pages)
        stored.stated, stored.totals = stated, record.totals
        self._make_pages(pages)

    def _carry(self, pages: list[CopiedPage]) -> None:
        stored = self._stored
        spans = [(one.page.paths[0], one.page.paths[-1]) for one in pages if one.to_carry]
        if not spans:
            return
        dedup = open_dedup(self._target, stored, self._facts, self._pool)
        if self._found.base is not None:
            load_base(self._target, dedup, self._found.base, spans, self._facts.stamp)
        lookup = TargetLookup(dedup, frozenset(ref.blob_id for ref in stored.resumed))
        tools = CarryTools(
            lookup=lookup,
            writer=self._writer,
            pool=self._pool,
            budget=self._budget,
            jobs=self._jobs,
            frame_bytes=self._target.config.frame_bytes,
        )
        carrier = Carrier(
            self._source.backend,
            self._source.tables,
            EntryPlacer(self._columns).place,
            tools,
            cancel=self._cancel,
            report=self._advance,
        )
        stored.counts = carrier.counts
        carrier.run(files_to_carry(pages))
        self._seal()
        stored.refused_bytes = lookup.refused_bytes
        stored.sending = self

    def _make_pages(self, pages: list[CopiedPage]) -> None:
        stored, columns = self._stored, self._columns
        paths = [path for one in pages for path in one.page.paths]
        kinds = np.concatenate([np.zeros(0, np.uint8), *(one.page.kinds for one in pages)])
        for one in pages:
            if one.shared is not None:
                # It is the base version's: nobody writes its content again.
                page_id, page = one.shared
                stored.pages.append(NewPage(page_id, b"", page, self._facts.stamp))
                continue
            page = columns.page(one.start, one.stop, paths, kinds, stored.blobs)
            content = encode_page(page)
            rows = columns.blob_rows(one.start, one.stop).tolist()
            stamps = (stored.blobs.ref(row).stamp for row in rows)
            stamp = min(stamps, default=self._facts.stamp)
            page_id = PageId(blake3(content).digest())
            stored.pages.append(NewPage(page_id, content, page, stamp))

    def _report(self) -> None:
        self._meter.report(
            self._stored.counts,
            done_files=int(self._columns.is_known.sum()),
            done_bytes=self._shared_bytes + self._stored.counts.passed_bytes,
            stored_bytes=self._writer.stored_bytes,
            sent_bytes=self._stored.sent_bytes + self._writer.sent_bytes,
        )


def read_threads(source: StoreParts, target: StoreParts, jobs: int | None) -> int:
    """Return how many threads read: more than CPUs where most of the time is waiting."""
    if jobs is not None:
        return jobs
    is_near = source.backend.capabilities.local and target.backend.capabilities.local
    return target.jobs if is_near else max(target.jobs, READ_THREADS)
