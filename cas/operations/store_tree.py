"""W0 of a put: store the content of a tree that the store does not have, and make its pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from blake3 import blake3

from cas.errors import CasError, ErrorCode, IncompleteError, InvalidInputError
from cas.format.manifest import DigestBuilder, Page, encode_page
from cas.model.entry import EntryKind, Totals, path_to_bytes
from cas.model.ids import PageId
from cas.model.progress import Cancel, Progress
from cas.objects.base_version import Surroundings
from cas.objects.blob_list import BlobRef
from cas.objects.collection_log import condemned_by_open_runs
from cas.objects.index import Index, load_index
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.outcomes import PutOptions
from cas.operations.stored_tree import NewPage, StoredTree
from cas.transfer.budget import MemoryBudget
from cas.transfer.dedup import PRELOADED_CHUNKS, Deduplicator, Facts
from cas.transfer.journal import Journal, JournalPage, JournalView
from cas.transfer.packing import BlobWriter
from cas.transfer.reuse import PageGroup, group_pages, match_groups
from cas.transfer.rows import EntryColumns
from cas.transfer.stream import stream_tree
from cas.transfer.tree import scan_tree
from cas.transfer.upload import Upload


@dataclass(frozen=True, slots=True)
class StreamSource:
    """Bytes that come from a stream, and the path of the one file they become."""

    stream: BinaryIO
    path: str


Source = str | Sequence[str] | StreamSource


@contextmanager
def store_tree(
    parts: StoreParts,
    source: Source,
    options: PutOptions,
    session: WriterSession,
    found: Surroundings,
    bad_blobs: frozenset[bytes],
    *,
    notes: bool = True,
) -> Iterator[StoredTree]:
    """Scan a source, store its new content, and give its pages.

    Args:
        notes: keep notes of what was stored, for the next put; a dry run stores nothing.

    Raises:
        IncompleteError: some files could not be read.
    """
    started_ns = parts.clock.now_ns()
    cancel = options.cancel or Cancel()
    if isinstance(source, StreamSource):
        tree = stream_tree(_stream_path(source))
    else:
        sources = [source] if isinstance(source, str) else source
        tree = scan_tree(sources, exclude=options.exclude, check=cancel.check)
    _raise_problems(tree.problems)
    journal = open_journal(parts)
    stored = StoredTree(parts, session, tree, journal, started_ns, takes_notes=notes)
    try:
        _Storing(parts, options, cancel, found, bad_blobs, stored).run(source)
        yield stored
    finally:
        if journal is not None:
            journal.close()


class _Storing:
    """One pass over a tree: match it with the journal, upload the rest, make the pages."""

    def __init__(
        self,
        parts: StoreParts,
        options: PutOptions,
        cancel: Cancel,
        found: Surroundings,
        bad_blobs: frozenset[bytes],
        stored: StoredTree,
    ) -> None:
        self._parts = parts
        self._options = options
        self._cancel = cancel
        self._found = found
        self._stored = stored
        self._columns = EntryColumns(len(stored.tree))
        self._columns.sizes[:] = stored.tree.sizes
        self._columns.modes[:] = stored.tree.modes
        self._facts = Facts(
            stamp=found.stamp,
            floor=found.log.floor,
            is_condemned=condemned_by_open_runs(parts.backend, found.log),
            bad_blobs=bad_blobs,
        )
        self._unread_bytes = 0
        self._base_pages = found.base.page_locations if found.base else {}

    def run(self, source: object) -> None:
        tree, stored = self._stored.tree, self._stored
        groups = group_pages(tree)
        view = JournalView(())
        if stored.journal is not None and tree.key:
            view = stored.journal.load(tree.key)
        match_groups(tree, groups, view, self._columns, stored.blobs, self._may_use)
        rows = [row for group in groups for row in group.to_read]
        if rows:
            self._unread_bytes = tree.total_bytes - int(tree.sizes[rows].sum())
            self._upload(groups, rows, source)
        self._make_pages(groups)

    def _may_use(self, page: JournalPage) -> bool:
        """The journal's word is good while its stamp is, or if the base version has the page."""
        if page.page_id.raw in self._base_pages:
            page.stamp = max(page.stamp, self._facts.stamp)
        if page.stamp < self._facts.floor:
            return False
        ids = page.page.blob_ids
        if len(ids) == 0:
            return True
        if self._facts.is_condemned(ids).any():
            return False
        bad = self._facts.bad_blobs
        return not bad or not any(blob_id.tobytes() in bad for blob_id in ids)

    def _upload(self, groups: list[PageGroup], rows: list[int], source: object) -> None:
        parts, stored, options = self._parts, self._stored, self._options
        jobs = options.jobs or parts.jobs
        budget = MemoryBudget(parts.memory_bytes)
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="cas-cpu")
        writer = BlobWriter(
            parts.backend,
            stored.session.id,
            stored.blobs,
            pool,
            budget,
            frame_bytes=parts.config.frame_bytes,
            stamp=self._facts.stamp,
        )
        try:
            index = stored.index = self._load_index()
            dedup = Deduplicator(parts.tables, index, stored.blobs, self._facts, pool)
            upload = Upload(
                stored.tree,
                self._columns,
                parts.cutter,
                dedup,
                writer,
                pool,
                budget,
                jobs=jobs,
                cancel=self._cancel,
                report=lambda: self._advance(upload, writer),
            )
            stored.counts = upload.counts
            if stored.journal is not None:
                stored.resumed = stored.journal.unpublished_blobs(parts.clock.now_ns())
            upload.placer.resumed_ids = frozenset(ref.blob_id for ref in stored.resumed)
            self._load_known(dedup, groups)
            if isinstance(source, StreamSource):
                upload.run_stream(0, source.stream)
            else:
                upload.run(rows)
            stored.note_sent(writer.finish())
            _raise_problems(upload.problems)
        except BaseException:
            self._keep_what_is_sent(writer)
            raise
        finally:
            writer.close()
            pool.shutdown(wait=True, cancel_futures=True)
        stored.stored_bytes = writer.stored_bytes
        stored.sent_bytes += writer.sent_bytes
        stored.refused_bytes = upload.placer.refused_bytes
        stored.new_bytes_by_row = upload.placer.new_bytes_by_row
        self._report(upload, writer)

    def _keep_what_is_sent(self, writer: BlobWriter) -> None:
        """The put fails: note what is durable, so that the next one sends only the rest."""
        writer.close()
        self._stored.note_sent(writer.collect())

    def _load_index(self) -> Index:
        return load_index(
            self._parts.backend,
            floor=self._facts.floor,
            budget_bytes=max(16 << 20, self._parts.memory_bytes // 4),
        )

    def _load_known(self, dedup: Deduplicator, groups: list[PageGroup]) -> None:
        """Load tables that are likely to hit: an interrupted put's, and those of the base version
        near what changed.
        """
        dedup.load(self._stored.resumed, chunk_limit=PRELOADED_CHUNKS)
        base = self._found.base
        if base is None:
            return
        limit = PRELOADED_CHUNKS
        paths = self._stored.tree.paths
        wanted = [group for group in groups if group.to_read]
        near = base.pages_between([(paths[g.start], paths[g.stop - 1]) for g in wanted])
        for location in near:
            try:
                page = self._parts.pages.read_page(location)
            except CasError:
                continue  # a damaged base costs dedup here; reading it will tell
            limit -= dedup.load(_refs_of(page, self._facts.stamp), chunk_limit=limit)
            if limit <= 0:
                return

    def _advance(self, upload: Upload, writer: BlobWriter) -> None:
        self._cancel.check()
        self._stored.note_sent(writer.collect())
        self._stored.checkpoint(self._facts.stamp)
        self._report(upload, writer)

    def _report(self, upload: Upload, writer: BlobWriter) -> None:
        if self._options.progress is None:
            return
        known = self._columns.is_known
        tree = self._stored.tree
        self._options.progress(
            Progress(
                phase="put",
                total_files=len(tree),
                done_files=int(known.sum()),
                total_bytes=tree.total_bytes,
                done_bytes=self._unread_bytes + upload.counts.passed_bytes,
                new_bytes=upload.counts.new_bytes,
                stored_bytes=writer.stored_bytes,
                sent_bytes=self._stored.sent_bytes + writer.sent_bytes,
            )
        )

    def _make_pages(self, groups: list[PageGroup]) -> None:
        stored, tree = self._stored, self._stored.tree
        builder = DigestBuilder()
        counts = np.zeros(4, np.int64)
        size = 0
        for group in groups:
            if group.reused is not None:
                reused = group.reused
                new = NewPage(reused.page_id, reused.content, reused.page, reused.stamp)
            else:
                page = self._columns.page(
                    group.start, group.stop, tree.paths, tree.kinds, stored.blobs
                )
                content = encode_page(page)
                page_id = PageId(blake3(content).digest())
                new = NewPage(page_id, content, page, self._stamp_of(group))
            stored.pages.append(new)
            builder.add(new.page)
            counts += np.bincount(new.page.kinds, minlength=4)
            size += int(new.page.sizes[new.page.kinds == EntryKind.FILE].sum())
        stored.digest = builder.digest()
        stored.totals = Totals(
            files=int(counts[EntryKind.FILE]),
            symlinks=int(counts[EntryKind.SYMLINK]),
            directories=int(counts[EntryKind.DIRECTORY]),
            externals=int(counts[EntryKind.EXTERNAL]),
            size=size,
        )

    def _stamp_of(self, group: PageGroup) -> int:
        """The lowest stamp among the blobs of a page: what may be said of the page as a whole."""
        rows = self._columns.blob_rows(group.start, group.stop).tolist()
        stamps = (self._stored.blobs.ref(row).stamp for row in rows)
        return min(stamps, default=self._facts.stamp)


def _refs_of(page: Page, stamp: int) -> list[BlobRef]:
    return [
        BlobRef(blob_id=i.tobytes(), size=s, table_offset=t, stamp=stamp)
        for i, s, t in zip(
            page.blob_ids, page.blob_sizes.tolist(), page.table_offsets.tolist(), strict=True
        )
    ]


def open_journal(parts: StoreParts) -> Journal | None:
    """Open this user's journal; None where there is to be none or it cannot be opened."""
    if parts.state_dir is None:
        return None
    try:
        return Journal(parts.state_dir, parts.config.store_id)
    except (OSError, sqlite3.Error):
        return None  # a read-only home costs time, never data


def _stream_path(source: StreamSource) -> bytes:
    path = path_to_bytes(source.path)
    if not path or path.startswith(b"/") or any(p in (b"", b".", b"..") for p in path.split(b"/")):
        raise InvalidInputError(
            f"{source.path!r} cannot be a path inside a version",
            code=ErrorCode.INVALID_PATH,
            hint="give --path a relative path such as logs/run.txt",
        )
    return path


def _raise_problems(problems: Sequence[str]) -> None:
    if problems:
        raise IncompleteError(
            f"{problems[0]}" if len(problems) == 1 else f"{len(problems)} paths cannot be read",
            problems=tuple(problems),
            hint="nothing was published; make them readable or --exclude them, then put again",
        )
