"""The upload of a tree set up and watched: threads, index, known tables, checkpoints, progress."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import BinaryIO, Self

from cas.errors import CasError, IncompleteError
from cas.format.manifest import Page
from cas.model.progress import Cancel, Progress
from cas.objects.base_version import BaseVersion
from cas.objects.blob_list import BlobRef
from cas.objects.index import Index, load_index
from cas.objects.parts import StoreParts
from cas.operations.outcomes import PutOptions
from cas.operations.stored_tree import StoredTree
from cas.transfer.budget import MemoryBudget
from cas.transfer.dedup import PRELOADED_CHUNKS, Deduplicator, Facts
from cas.transfer.packing import BlobWriter
from cas.transfer.rows import EntryColumns
from cas.transfer.upload import Upload, UploadTools

SMALLEST_INDEX_BYTES = 16 << 20
# How long the end of a put waits for uploads before it looks whether it was cancelled.
WAIT_SECONDS = 0.2


class TreeUpload:
    """Uploads chosen entries of a tree, once. A context manager: leaving it stops the threads and
    notes what is durable, so that a put that failed resumes there.
    """

    def __init__(
        self,
        parts: StoreParts,
        options: PutOptions,
        cancel: Cancel,
        facts: Facts,
        stored: StoredTree,
        columns: EntryColumns,
    ) -> None:
        self._parts = parts
        self._sink = options.progress
        self._cancel = cancel
        self._facts = facts
        self._stored = stored
        self._columns = columns
        self._total_bytes = stored.tree.total_bytes
        self._unread_bytes = 0
        jobs = options.jobs or parts.jobs
        budget = MemoryBudget(parts.memory_bytes)
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="cas-cpu")
        self._writer = BlobWriter(
            parts.backend,
            stored.session.id,
            stored.blobs,
            self._pool,
            budget,
            frame_bytes=parts.config.frame_bytes,
            stamp=facts.stamp,
            on_stored=stored.note_stored,
        )
        self._index = begin_index(parts, facts, stored)
        self._dedup = Deduplicator(
            parts.tables, self._index.result, stored.blobs, facts, self._pool
        )
        tools = UploadTools(
            cutter=parts.cutter,
            dedup=self._dedup,
            writer=self._writer,
            pool=self._pool,
            budget=budget,
            jobs=jobs,
        )
        self._upload = Upload(stored.tree, columns, tools, cancel=cancel, report=self._advance)
        stored.counts = self._upload.counts

    def load_known(self, base: BaseVersion | None, spans: Sequence[tuple[bytes, bytes]]) -> None:
        """Load tables that are likely to hit: an interrupted put's, and those of the base version
        at the spans of paths (first, last) that will be read.
        """
        stored = self._stored
        if stored.journal is not None:
            stored.resumed = stored.journal.unpublished_blobs(self._parts.clock.now_ns())
        self._upload.placer.resumed_ids = frozenset(ref.blob_id for ref in stored.resumed)
        self._dedup.load(stored.resumed, chunk_limit=PRELOADED_CHUNKS)
        if base is not None:
            load_base(self._parts, self._dedup, base, spans, self._facts.stamp)

    def run(self, rows: Sequence[int], stream: BinaryIO | None) -> None:
        """Upload the entries of `rows`, or the stream as the content of the only one.

        When this returns every blob has its id; the last ones are still under way, see `wait`.

        Raises:
            IncompleteError: some files could not be read.
        """
        tree, stored = self._stored.tree, self._stored
        self._unread_bytes = self._total_bytes - int(tree.sizes[rows].sum())
        if stream is not None:
            self._upload.run_stream(0, stream)
        else:
            self._upload.run(rows)
        self._writer.flush()
        while not self._writer.wait_sealed(WAIT_SECONDS):
            self._advance()
        stored.note_sent(self._writer.collect())
        stored.sending = self
        if self._upload.problems:
            # What could be read is kept for the next put, though nothing will be published.
            stored.finish_sending()
            raise_problems(self._upload.problems)
        placer = self._upload.placer
        stored.refused_bytes = placer.refused_bytes
        stored.new_bytes_by_row = placer.new_bytes_by_row

    def wait(self) -> bool:
        """Wait a moment for blobs under way; return whether all are durable."""
        self._cancel.check()
        stored, writer = self._stored, self._writer
        is_done = writer.wait(WAIT_SECONDS)
        stored.note_sent(writer.collect())
        self._report()
        if is_done:
            stored.index = self._index.result()
            stored.stored_bytes = writer.stored_bytes
            stored.sent_bytes += writer.sent_bytes
        return is_done

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
        wait([self._index])
        self._stored.note_sent(self._writer.collect())

    def _advance(self) -> None:
        self._cancel.check()
        self._stored.note_sent(self._writer.collect())
        self._stored.checkpoint(self._facts.stamp)
        self._report()

    def _report(self) -> None:
        if self._sink is None:
            return
        counts = self._upload.counts
        tree = self._stored.tree
        self._sink(
            Progress(
                phase="put",
                total_files=len(tree),
                done_files=int(self._columns.is_known.sum()),
                total_bytes=self._total_bytes,
                done_bytes=self._unread_bytes + counts.passed_bytes,
                new_bytes=counts.new_bytes,
                stored_bytes=self._writer.stored_bytes,
                sent_bytes=self._stored.sent_bytes + self._writer.sent_bytes,
            )
        )


def begin_index(parts: StoreParts, facts: Facts, stored: StoredTree) -> Future[Index]:
    """Begin to read the index, beside the tables of the base version and the first files.

    A put of next to nothing does without.
    """
    if not stored.reads_index:
        nothing: Future[Index] = Future()
        nothing.set_result(Index(()))
        return nothing
    reader = ThreadPoolExecutor(1, thread_name_prefix="cas-index")
    reading = reader.submit(read_index, parts, facts)
    reader.shutdown(wait=False)
    return reading


def read_index(parts: StoreParts, facts: Facts) -> Index:
    """Read as much of the index as memory allows."""
    return load_index(
        parts.backend,
        floor=facts.floor,
        budget_bytes=max(SMALLEST_INDEX_BYTES, parts.memory_bytes // 4),
    )


def load_base(
    parts: StoreParts,
    dedup: Deduplicator,
    base: BaseVersion,
    spans: Sequence[tuple[bytes, bytes]],
    stamp: int,
) -> None:
    """Load the tables of the blobs that the base version has at spans of paths, up to a limit."""
    limit = PRELOADED_CHUNKS
    for location in base.pages_between(spans):
        try:
            page = parts.pages.read_page(location)
        except CasError:
            continue  # a damaged base costs dedup here; reading it will tell
        limit -= dedup.load(_refs_of(page, stamp), chunk_limit=limit)
        if limit <= 0:
            return


def _refs_of(page: Page, stamp: int) -> list[BlobRef]:
    return [
        BlobRef(blob_id=i.tobytes(), size=s, table_offset=t, stamp=stamp)
        for i, s, t in zip(
            page.blob_ids, page.blob_sizes.tolist(), page.table_offsets.tolist(), strict=True
        )
    ]


def raise_problems(problems: Sequence[str]) -> None:
    """Fail with the list of what cannot be read, if anything cannot."""
    if problems:
        raise IncompleteError(
            f"{problems[0]}" if len(problems) == 1 else f"{len(problems)} paths cannot be read",
            problems=tuple(problems),
            hint="nothing was published; make them readable or --exclude them, then put again",
        )
