"""The pages of versions: read once each, compared with their ids, added up to digest and totals."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import BackendError, CasError, CorruptionError, UnsupportedError
from cas.format import keys
from cas.format.manifest import DigestBuilder, Page, Root, root_page_location
from cas.model.entry import EntryKind, PageLocation, Totals
from cas.objects.checked_pages import CheckedPageReader
from cas.objects.manifests import PageReader
from cas.objects.parts import StoreParts
from cas.operations.live_versions import LiveVersion
from cas.operations.needed_blobs import NeededBlobs
from cas.operations.verify_outcomes import Problem

# Versions share most of their pages with the one before.
KEPT_BYTES = 96 << 20
READERS = 16

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Summary:
    """What a version is added up from, of one page."""

    page: Page
    counts: NDArray[np.int64]
    size: int
    weight: int


class PageCheck:
    """Checks the pages of versions, one after the other. For one thread.

    Attributes:
        needed: blobs that the versions need, as far as their pages could be read.
        problems: what is damaged.
        unread: what could not be read, of which nothing is known.
        locations: where the distinct pages are that were read.
    """

    def __init__(self, parts: StoreParts, pool: ThreadPoolExecutor) -> None:
        self._parts = parts
        self._pool = pool
        self._kept: OrderedDict[bytes, _Summary] = OrderedDict()
        self._kept_bytes = 0
        self._roots: dict[tuple[bytes, bytes], None] = {}
        self.needed = NeededBlobs()
        self.problems: list[Problem] = []
        self.unread: list[str] = []
        self.locations: dict[tuple[bytes, bytes, int], PageLocation] = {}

    def check(self, version: LiveVersion, check_cancel: Callable[[], None]) -> None:
        """Check one version."""
        root = self._root(version)
        if root is None:
            return
        self._need_meta(version.root, root)
        done = (version.root.page_id.raw, version.record.digest.raw)
        if done in self._roots:
            return  # another version is just the same
        builder = DigestBuilder()
        counts, size, is_whole = np.zeros(4, np.int64), 0, True
        for location, summary in self._summaries(root):
            check_cancel()
            if isinstance(summary, CasError):
                is_whole = False
                self._note(summary, version, location)
                continue
            counts += summary.counts
            size += summary.size
            try:
                builder.add(summary.page)
            except CorruptionError as error:
                is_whole = False
                self._note(error, version, location)
        if is_whole:
            self._roots[done] = None
            self._compare(version, builder, counts, size)

    def _root(self, version: LiveVersion) -> Root | None:
        try:
            root = _twice(self._parts, lambda pages: pages.read_root(version.root))
        except CasError as error:
            self._note(error, version, version.root, kind="root")
            self._need_meta(version.root, None)
            return None
        if root.digest != version.record.digest or root.totals != version.record.totals:
            text = f"{keys.meta_key(version.root.blob_id)}: the root is another version's"
            self.problems.append(
                Problem(
                    kind="root",
                    key=keys.meta_key(version.root.blob_id),
                    text=text,
                    versions=(version.ref,),
                )
            )
            return None
        return root

    def _need_meta(self, location: PageLocation, root: Root | None) -> None:
        own = np.frombuffer(location.blob_id.raw, np.uint8).reshape(1, 32)
        zero = np.zeros(1, np.uint32)
        self.needed.add(own, np.array([location.blob_size], np.uint32), zero, is_meta=True)
        if root is not None:
            # Some writers say where the tables begin and some do not: one row a blob.
            nothing = np.zeros(len(root.blob_ids), np.uint32)
            self.needed.add(root.blob_ids, root.blob_sizes, nothing, is_meta=True)

    def _summaries(self, root: Root) -> Iterator[tuple[PageLocation, _Summary | CasError]]:
        """Yield what is known of each page, in order, with several being read at once."""
        ahead: deque[tuple[PageLocation, Future[_Summary] | _Summary]] = deque()
        for row in range(len(root.page_ids)):
            location = root_page_location(root, row)
            known = self._known(location)
            waits = known if known is not None else self._pool.submit(self._read, location)
            ahead.append((location, waits))
            if len(ahead) > READERS:
                yield self._finish(*ahead.popleft())
        while ahead:
            yield self._finish(*ahead.popleft())

    def _known(self, location: PageLocation) -> _Summary | None:
        key = (location.page_id.raw, location.blob_id.raw, location.offset)
        if key not in self.locations:
            return None
        summary = self._kept.get(location.page_id.raw)
        if summary is not None:
            self._kept.move_to_end(location.page_id.raw)
        return summary

    def _finish(
        self, location: PageLocation, waits: Future[_Summary] | _Summary
    ) -> tuple[PageLocation, _Summary | CasError]:
        if isinstance(waits, _Summary):
            return location, waits
        try:
            summary = waits.result()
        except CasError as error:
            return location, error
        key = (location.page_id.raw, location.blob_id.raw, location.offset)
        if key not in self.locations:
            self.locations[key] = location
            page = summary.page
            self.needed.add(page.blob_ids, page.blob_sizes, page.table_offsets, is_meta=False)
        if location.page_id.raw not in self._kept:
            self._kept[location.page_id.raw] = summary
            self._kept_bytes += summary.weight
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                self._kept_bytes -= dropped.weight
        return location, summary

    def _read(self, location: PageLocation) -> _Summary:
        page = _twice(self._parts, lambda pages: pages.read_page(location))
        _check_inline(page, location)
        counts = np.bincount(page.kinds, minlength=4).astype(np.int64)
        size = int(page.sizes[page.kinds == EntryKind.FILE].sum())
        # Paths are objects of Python, which take about as much again.
        weight = 160 * len(page.paths) + len(page.inline) + 20 * len(page.extent_blobs)
        return _Summary(page, counts, size, weight + 40 * len(page.blob_ids))

    def _compare(
        self, version: LiveVersion, builder: DigestBuilder, counts: NDArray[np.int64], size: int
    ) -> None:
        files, symlinks, directories, externals = map(int, counts)
        totals = Totals(
            files=files, symlinks=symlinks, directories=directories, externals=externals, size=size
        )
        if builder.digest() == version.record.digest and totals == version.record.totals:
            return
        key = keys.version_key(version.record.artifact, version.record.number)
        text = f"{version.ref} does not hold what its digest and totals say"
        self.problems.append(Problem(kind="digest", key=key, text=text, versions=(version.ref,)))

    def _note(
        self, error: CasError, version: LiveVersion, at: PageLocation, *, kind: str = "page"
    ) -> None:
        if isinstance(error, BackendError | UnsupportedError):
            self.unread.append(f"{version.ref}: {error}")
            return
        key = keys.meta_key(at.blob_id)
        text = str(error) if key in str(error) else f"{key} at {at.offset}: {error}"
        self.problems.append(Problem(kind=kind, key=key, text=text, versions=(version.ref,)))


def _twice(parts: StoreParts, read: Callable[[PageReader], Result]) -> Result:
    """Read; what looks damaged is read once more, by a reader that keeps no bytes of before."""
    try:
        return read(parts.pages)
    except (CorruptionError, BackendError):
        return read(CheckedPageReader(parts.backend, 0))


def _check_inline(page: Page, location: PageLocation) -> None:
    """Small files and links stand in the page itself, and have hashes, too."""
    has_hash = (page.kinds == EntryKind.FILE) | (page.kinds == EntryKind.SYMLINK)
    for row in np.flatnonzero(has_hash & (page.extent_counts == 0)).tolist():
        start, stop = page.inline_starts[row : row + 2].tolist()
        if blake3(page.inline[start:stop]).digest() != page.hashes[row].tobytes():
            raise CorruptionError(
                f"{keys.meta_key(location.blob_id)} at {location.offset}: the page holds other "
                f"bytes of {page.paths[row][:80]!r} than its hash says"
            )
