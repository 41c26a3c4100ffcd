"""What a put has stored: the pages of the version to be, and the blobs sent for it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cas.errors import CasError
from cas.format import keys
from cas.format.manifest import DigestBuilder, GroupDigestBuilder, Page, Root, StatedDigest
from cas.format.session import Intent
from cas.format.version import VersionRecord
from cas.model.entry import Totals
from cas.model.ids import PageId, VersionDigest
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.index import Index, build_segment, merge_piled_up, write_segment
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.transfer.journal import Journal, JournalPage
from cas.transfer.packing import SentBlob
from cas.transfer.placing import UploadCounts
from cas.transfer.tree import LocalTree, SkippedFile

# After this many blobs a long put tells what it stored so far: to collectors by an intent, to
# other machines that resume it by an index segment. A GiB at most.
CHECKPOINT_BLOBS = 16
# To store so much twice costs less time and money than the listing, the reads and the segment that
# might avoid it, unless they are of this machine.
SMALL_PUT_BYTES = 64 << 10


@dataclass(slots=True, eq=False)
class NewPage:
    """A page of the version: raw content, id, and whether the base version has it already."""

    page_id: PageId
    content: bytes
    page: Page
    stamp: int

    @property
    def first_path(self) -> bytes:
        """Its first path."""
        return self.page.paths[0]

    @property
    def entries(self) -> int:
        """How many entries it has."""
        return len(self.page.paths)

    @property
    def blob_ids(self) -> NDArray[np.uint8]:
        """The data blobs that it speaks of, uint8[n, 32]."""
        return self.page.blob_ids


@dataclass(frozen=True, slots=True, eq=False)
class KeptPage:
    """A page of the base version that stays as it is: what a root and a collector must know of it,
    so that a version of millions of files is never held as a whole. See `NewPage`.

    Attributes:
        number: its row in the root of the base.
        blob_ids: None if it was not read.
    """

    page_id: PageId
    first_path: bytes
    entries: int
    number: int
    blob_ids: NDArray[np.uint8] | None
    stamp: int


# Reads pages that are kept, in the order given.
KeptReader = Callable[[Sequence[KeptPage]], Iterator[Page]]


class Sending(Protocol):
    """Blobs that have their ids already and are under way."""

    def wait(self) -> bool:
        """Wait a moment; return whether every blob is durable, so that nothing else is to come.

        Raises:
            BackendError: a blob cannot be stored.
            Cancelled: the caller wants no more of it.
        """
        ...


@dataclass(slots=True, eq=False)
class StoredTree:
    """A tree, and the pages that describe it. Its content is in the store but for the last blobs,
    which may be under way until `is_sent` says so.

    Attributes:
        sending: what is under way, if anything is.
        reads_index: whether so much is to be read that the index is worth asking.
        pages: every page of the version, in path order.
        blobs: the blobs that the pages speak of, and those of this put.
        sent: data blobs that this put stored.
        announced: how many of them intents name.
        segmented: how many of them index segments name.
        resumed: data blobs that interrupted puts stored.
        stated: the digest of the pages; `older` is that of kind 1, if it was computed.
        read_kept: reads pages that are kept.
    """

    parts: StoreParts
    session: WriterSession
    tree: LocalTree
    journal: Journal | None
    started_ns: int
    takes_notes: bool = True
    sending: Sending | None = None
    reads_index: bool = True
    index: Index | None = None
    resumed: list[BlobRef] = field(default_factory=list)
    blobs: BlobList = field(default_factory=BlobList)
    counts: UploadCounts = field(default_factory=UploadCounts)
    pages: list[NewPage | KeptPage] = field(default_factory=list)
    sent: list[SentBlob] = field(default_factory=list)
    stated: StatedDigest = field(default_factory=lambda: GroupDigestBuilder().stated())
    older: StatedDigest | None = None
    read_kept: KeptReader | None = None
    totals: Totals = field(
        default_factory=lambda: Totals(files=0, symlinks=0, directories=0, externals=0, size=0)
    )
    new_bytes_by_row: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    stored_bytes: int = 0
    sent_bytes: int = 0
    refused_bytes: int = 0
    announced: int = 0
    segmented: int = 0

    @property
    def digest(self) -> VersionDigest:
        """The digest of what the pages hold."""
        return self.stated.digest

    def stated_for(self, record: VersionRecord, root: Root | None = None) -> StatedDigest | None:
        """Return the digest of this tree as a version has it that holds the same, which may be one
        of kind 1; None if it holds something else.

        Args:
            root: the version's, if it is at hand: it tells the kind.
        """
        if record.digest == self.digest:
            return self.stated
        may_be_older = root is None or root.groups is None
        if self.stated.groups is None or not may_be_older or record.totals != self.totals:
            return None
        if self.older is None:
            builder = DigestBuilder()
            for page in self.contents():
                builder.add(page)
            self.older = builder.stated()
        return self.older if self.older.digest == record.digest else None

    def contents(self) -> Iterator[Page]:
        """Yield all pages in path order; reads those that are kept."""
        read = self._read([page for page in self.pages if isinstance(page, KeptPage)])
        for page in self.pages:
            yield page.page if isinstance(page, NewPage) else next(read)

    def blob_tables(self) -> list[NDArray[np.uint8]]:
        """Return the ids of the data blobs of each page; reads what was not read so far."""
        known = [page.blob_ids for page in self.pages if page.blob_ids is not None]
        kept = (page for page in self.pages if isinstance(page, KeptPage))
        unread = [page for page in kept if page.blob_ids is None]
        # Copied: a view would hold the whole page.
        return [*known, *(page.blob_ids.copy() for page in self._read(unread))]

    def _read(self, pages: Sequence[KeptPage]) -> Iterator[Page]:
        return iter(()) if self.read_kept is None else self.read_kept(pages)

    @property
    def skipped(self) -> list[SkippedFile]:
        """What the scan left out for its kind."""
        return self.tree.skipped

    def is_worth_requests(self, size: int) -> bool:
        """Tell whether not storing so many bytes twice is worth asking and keeping the index."""
        return size > SMALL_PUT_BYTES or self.parts.backend.capabilities.local

    def is_sent(self) -> bool:
        """Wait a moment; return whether all content is durable. Raises as `Sending.wait` does."""
        if self.sending is None or self.sending.wait():
            self.sending = None
        return self.sending is None

    def finish_sending(self) -> None:
        """Wait until all content is durable; raises as `Sending.wait` does."""
        while not self.is_sent():
            pass

    def note_stored(self, ref: BlobRef) -> None:
        """Note a blob that is durable now, for a put that may have to resume. Thread-safe."""
        if self.journal is not None and self.takes_notes:
            self.journal.note_blobs([ref], self.parts.clock.now_ns())

    def note_sent(self, sent: Sequence[SentBlob]) -> None:
        """Remember blobs that are durable, for the intents and segments of this put."""
        self.sent += sent

    def checkpoint(self, stamp: int) -> None:
        """In a long put, protect and announce what is stored so far."""
        if len(self.sent) - self.announced < CHECKPOINT_BLOBS:
            return
        self.announce(stamp)
        self.write_segment(stamp)

    def announce(self, stamp: int) -> None:
        """Tell collectors of the data blobs that no intent of this put names yet.

        Together the plain intents of a long put name each blob once. Only the final one is complete:
        a collector that takes the put for dead deletes those before it.
        """
        fresh = self.sent[self.announced :]
        if not fresh:
            return
        intent = Intent(
            session=self.session.id,
            k=self.session.next_intent,
            final=False,
            artifact=None,
            slot=None,
            revision=None,
            blob_ids=b"".join(sorted(blob.ref.blob_id for blob in fresh)),
            meta_ids=b"",
            pages=(),
            stamp=stamp,
            created_ns=self.parts.clock.now_ns(),
        )
        self.session.put_intent(intent)
        self.announced += len(fresh)

    def write_segment(self, stamp: int) -> None:
        """Write an index segment of the blobs that no segment of this put names yet.

        Of next to nothing there is none: the next put loads the tables of the version made now.
        """
        fresh = self.sent[self.segmented :]
        if not fresh or not self.is_worth_requests(self.counts.new_bytes):
            return
        segment = build_segment(
            self.session.id, stamp, [(blob.ref, blob.chunk_ids) for blob in fresh]
        )
        key = keys.segment_key(0, self.session.id, self.session.segments)
        self.session.segments += 1
        self.sent_bytes += write_segment(self.parts.backend, key, segment)
        self.segmented = len(self.sent)

    def merge_index(self) -> None:
        """Merge index segments that piled up; what fails is left to the next put."""
        segments = self.session.segments
        if segments == 0 or self.index is None or not self.index.has_piled_up(segments):
            return
        with suppress(CasError):  # hints: losing them costs space, never data
            merge_piled_up(self.parts.backend, self.session.id, self.index.superseded)

    def save_journal(self, stamp: int, vouched: Container[bytes] | None = None) -> None:
        """Note the tree's pages as unchanged until proven otherwise; forget the resume notes.

        Args:
            stamp: every run up to it had a verdict, and none killed a blob of the pages.
            vouched: ids of the pages of which that is known; None for all, which takes a log check
                of all of them.
        """
        if self.journal is None:
            return
        if self.tree.key and (self.counts.read_files or vouched is None):
            self.journal.replace(self.tree.key, self._journal_pages(stamp, vouched))
        self.journal.forget_blobs(blob.ref.blob_id for blob in self.sent)
        if self.resumed:
            # No others can be behind pages that nobody read: the base version has those.
            tables = [page.blob_ids for page in self.pages if page.blob_ids is not None]
            needed = {row.tobytes() for table in tables for row in table}
            self.journal.forget_blobs(needed & {ref.blob_id for ref in self.resumed})

    def _journal_pages(self, stamp: int, vouched: Container[bytes] | None) -> list[JournalPage]:
        pages, start = [], 0
        tree = self.tree
        for new in self.pages:
            if isinstance(new, KeptPage):
                raise TypeError("a tree of local files is known page by page")
            stop = start + new.entries
            is_vouched = vouched is None or new.page_id.raw in vouched
            pages.append(
                JournalPage(
                    new.page_id,
                    new.content,
                    tree.mtimes[start:stop],
                    tree.ctimes[start:stop],
                    tree.inodes[start:stop],
                    max(stamp, new.stamp) if is_vouched else new.stamp,
                    self.started_ns,
                )
            )
            start = stop
        return pages
