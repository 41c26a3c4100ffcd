"""The entries of a version, page by page, and where each file's bytes lie."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from cas.errors import CorruptionError, ErrorCode, NotFoundError
from cas.format.manifest import (
    HOLE,
    DigestCheck,
    Page,
    Root,
    find_page,
    find_row,
    page_entry,
    root_page_location,
)
from cas.format.version import MoveKind, VersionRecord
from cas.model.entry import Entry, PageLocation
from cas.objects.blob_list import BlobRef
from cas.objects.parts import StoreParts
from cas.objects.versions import list_slots, read_last_move, read_root_location
from cas.transfer.reading import FileContent

Extent = tuple[BlobRef | None, int, int, int]
Result = TypeVar("Result")

# Decoded pages are big, and writing the files of one takes longer than a round trip.
PAGES_AHEAD = 8


class VersionPages:
    """The pages of one version, read as they are needed. Thread-safe.

    A version whose objects are moved while it is read is followed to where they lie now: what is
    read here follows by itself, and `following_moves` does so for whatever else is read. A revision
    cuts pages as the one before, so a page keeps its number.

    Args:
        is_vouched: the record's digest is vouched for by the user, so all pages at a new place are
            compared with it before they are used.
    """

    def __init__(
        self,
        parts: StoreParts,
        record: VersionRecord,
        root: PageLocation,
        *,
        is_vouched: bool = False,
    ) -> None:
        self._parts = parts
        self._record = record
        self._location = root
        self._is_vouched = is_vouched
        self._lock = threading.Lock()

    def following_moves(self, read: Callable[[], Result]) -> Result:
        """Call what reads objects of this version; again if they were moved meanwhile (R3).

        Raises:
            NotFoundError: the version was deleted for good while it was read.
            CorruptionError: an object is missing though nobody moved it, or another reason.
        """
        while True:
            seen = self._location
            try:
                return read()
            except CorruptionError as error:
                if error.code is not ErrorCode.MISSING_OBJECT:
                    raise
                self.look_again(seen, error)

    @property
    def location(self) -> PageLocation:
        """Where the root lies, as far as is known."""
        return self._location

    def look_again(self, seen: PageLocation, error: CorruptionError) -> None:
        """Find out why an object is missing, and where the version lies now.

        Args:
            seen: the location of the root by which the object was looked for.
            error: says that it is missing.

        Raises:
            NotFoundError: the version was deleted for good.
            CorruptionError: `error`, if the version is still there and was not moved.
        """
        with self._lock:
            if self._location != seen:
                return  # another thread was here first
            record = self._record
            listing = list_slots(self._parts.backend, record.artifact)
            if read_last_move(self._parts.backend, listing, record.number) is MoveKind.PURGE:
                raise NotFoundError(
                    f"{record.artifact}:v{record.number} was deleted for good while it was read",
                    code=ErrorCode.VERSION_DELETED,
                ) from error
            root = read_root_location(self._parts.backend, listing, record)
            if root == seen:
                raise error
            if self._is_vouched:
                moved = VersionPages(self._parts, record, root)
                moved.verify_digest()
                root = moved.location
            self._location = root

    @property
    def root(self) -> Root:
        """The root, verified."""
        return self.following_moves(self._read_root)

    def _read_root(self) -> Root:
        root = self._parts.pages.read_root(self._location)
        if root.digest != self._record.digest or root.totals != self._record.totals:
            raise CorruptionError(
                f"the root of {self._record.artifact}:v{self._record.number} "
                f"belongs to another version",
                code=ErrorCode.DIGEST_MISMATCH,
            )
        return root

    def __len__(self) -> int:
        return len(self.root.page_ids)

    def page(self, number: int) -> Page:
        """Return page `number`, verified."""

        def read() -> Page:
            root = self._read_root()
            if number >= len(root.page_ids):
                raise CorruptionError(
                    f"a revision of {self._record.artifact}:v{self._record.number} cuts its pages "
                    f"otherwise than the one before",
                    code=ErrorCode.MALFORMED_OBJECT,
                )
            return self._parts.pages.read_page(root_page_location(root, number))

        return self.following_moves(read)

    def iter_pages(self, prefix: bytes = b"") -> Iterator[Page]:
        """Yield the pages that may hold paths at or below `prefix`, in path order."""
        root = self.root
        count = len(root.page_ids)
        first = max(0, find_page(root, prefix)) if prefix and count else 0
        stop = first
        while stop < count and (
            stop == first or not prefix or root.first_paths[stop] < prefix + b"0"
        ):
            stop += 1
        yield from self.iter_numbered(range(first, stop))

    def iter_numbered(self, numbers: Sequence[int]) -> Iterator[Page]:
        """Yield pages in this order: the first alone, since many want no more, then several at
        once.
        """
        if numbers:
            yield self.page(numbers[0])
            yield from self._pages_ahead(numbers[1:])

    def _pages_ahead(self, numbers: Sequence[int]) -> Iterator[Page]:
        """Yield pages in order; where requests take time, several are under way at once."""
        if self._parts.backend.capabilities.local or not numbers:
            yield from map(self.page, numbers)
            return
        pool = ThreadPoolExecutor(PAGES_AHEAD, thread_name_prefix="cas-pages")
        ahead: deque[Future[Page]] = deque()
        try:
            for number in numbers:
                ahead.append(pool.submit(self.page, number))
                if len(ahead) > PAGES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def find(self, path: bytes) -> tuple[Page, int] | None:
        """Return the page and row of a path, or None."""
        root = self.root
        if len(root.page_ids) == 0:
            return None
        number = find_page(root, path)
        if number < 0:
            return None
        page = self.page(number)
        row = find_row(page, path)
        return None if row is None else (page, row)

    def entry(self, path: bytes) -> Entry | None:
        """Return the entry of a path, or None."""
        found = self.find(path)
        return None if found is None else page_entry(*found)

    def iter_entries(self, prefix: bytes = b"") -> Iterator[Entry]:
        """Yield the entries at or below a folder path, in path order."""
        below = prefix + b"/" if prefix else b""
        for page in self.iter_pages(prefix):
            for row, path in enumerate(page.paths):
                if not prefix or path == prefix or path.startswith(below):
                    yield page_entry(page, row)

    def verify_digest(self) -> None:
        """Compute the digest from the pages and compare it with the record's.

        Raises:
            CorruptionError: they differ, so a digest that the user typed does not vouch for it.
        """
        check = DigestCheck(self.root.stated)
        for page in self.iter_pages():
            check.add(page)
        if not check.fits():
            raise CorruptionError(
                f"{self._record.artifact}:v{self._record.number} does not hold what its digest says",
                code=ErrorCode.DIGEST_MISMATCH,
            )


class PageContents:
    """Where the files of one page lie; prefix sums are made once."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._inline_ends = np.cumsum(page.inline_lengths, dtype=np.int64)
        self._extent_ends = np.cumsum(page.extent_counts, dtype=np.int64)
        refs: list[BlobRef | None] = [
            BlobRef(blob_id=i.tobytes(), size=s, table_offset=t, stamp=0)
            for i, s, t in zip(
                page.blob_ids, page.blob_sizes.tolist(), page.table_offsets.tolist(), strict=True
            )
        ]
        refs.append(None)
        blobs = np.where(page.extent_blobs == HOLE, len(refs) - 1, page.extent_blobs).tolist()
        self._extents: list[Extent] = list(
            zip(
                map(refs.__getitem__, blobs),
                page.extent_first.tolist(),
                page.extent_chunks.tolist(),
                page.extent_lengths.tolist(),
                strict=True,
            )
        )

    def inline(self, row: int) -> bytes:
        """Return the inlined bytes of an entry: a tiny file, or a link's target."""
        stop = int(self._inline_ends[row])
        return self._page.inline[stop - int(self._page.inline_lengths[row]) : stop]

    def extents(self, row: int) -> list[Extent]:
        """Return the extents of an entry."""
        stop = int(self._extent_ends[row])
        return self._extents[stop - int(self._page.extent_counts[row]) : stop]

    def content(self, row: int) -> FileContent:
        """Return where the bytes of a file are."""
        extents = self.extents(row)
        inline = None if extents else self.inline(row)
        return FileContent(int(self._page.sizes[row]), inline, extents)


def file_content(page: Page, row: int) -> FileContent:
    """Return where the bytes of one file are, without looking at the others of its page."""
    first, last = page.extent_starts[row : row + 2].tolist()
    start, stop = page.inline_starts[row : row + 2].tolist()
    extents: list[Extent] = []
    for at in range(first, last):
        blob = int(page.extent_blobs[at])
        ref = None if blob == HOLE else _blob_ref(page, blob)
        span = page.extent_first[at], page.extent_chunks[at], page.extent_lengths[at]
        extents.append((ref, int(span[0]), int(span[1]), int(span[2])))
    inline = None if extents else page.inline[start:stop]
    return FileContent(int(page.sizes[row]), inline, extents)


def _blob_ref(page: Page, blob: int) -> BlobRef:
    return BlobRef(
        blob_id=page.blob_ids[blob].tobytes(),
        size=int(page.blob_sizes[blob]),
        table_offset=int(page.table_offsets[blob]),
        stamp=0,
    )
