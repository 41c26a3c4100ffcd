"""The upload of a tree set up and watched: threads, index, known tables, checkpoints, progress."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import BinaryIO

from cas.errors import CasError, IncompleteError
from cas.format.manifest import Page
from cas.model.progress import Cancel, Progress
from cas.objects.base_version import BaseVersion
from cas.objects.blob_list import BlobRef
from cas.objects.index import Index, load_index
from cas.objects.parts import StoreParts
from cas.operations.feed import Feed
from cas.operations.outcomes import PutOptions
from cas.operations.stored_tree import StoredTree
from cas.transfer.dedup import PRELOADED_CHUNKS, Deduplicator, Facts
from cas.transfer.rows import EntryColumns
from cas.transfer.upload import Upload, UploadTools

SMALLEST_INDEX_BYTES = 16 << 20


class TreeUpload(Feed):
    """Uploads chosen entries of a tree, once."""

    def __init__(
        self,
        parts: StoreParts,
        options: PutOptions,
        cancel: Cancel,
        facts: Facts,
        stored: StoredTree,
        columns: EntryColumns,
    ) -> None:
        super().__init__(stored, facts, cancel, jobs=options.jobs or parts.jobs, threads="cas-cpu")
        self._parts = parts
        self._sink = options.progress
        self._columns = columns
        self._total_bytes = stored.tree.total_bytes
        self._unread_bytes = 0
        self._index = begin_index(parts, facts, stored)
        self._dedup = Deduplicator(
            parts.tables, self._index.result, stored.blobs, facts, self._pool
        )
        tools = UploadTools(
            cutter=parts.cutter,
            dedup=self._dedup,
            writer=self._writer,
            pool=self._pool,
            budget=self._budget,
            jobs=self._jobs,
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
        self._seal()
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
        is_done = super().wait()
        if is_done:
            self._stored.index = self._index.result()
        return is_done

    def _close(self) -> None:
        super()._close()
        wait([self._index])

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
    try:
        return reader.submit(read_index, parts, facts)
    finally:
        # After Ctrl-C, too: of a thread that was just started nobody else may know.
        reader.shutdown(wait=False)


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
