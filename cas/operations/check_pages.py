"""The pages of versions: read once each, compared with their ids, added up to digest and totals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import BackendError, CasError, CorruptionError, UnsupportedError
from cas.format import keys
from cas.format.manifest import (
    DigestCheck,
    DigestPart,
    Page,
    Root,
    decode_page,
    decode_root,
    digest_part,
    place_root,
    root_page_location,
)
from cas.model.entry import EntryKind, PageLocation, Totals
from cas.model.progress import Cancel, Progress, ProgressSink
from cas.objects.checked_pages import CheckedPageReader
from cas.objects.manifests import PageReader
from cas.objects.parts import StoreParts
from cas.operations.live_versions import LiveVersion
from cas.operations.needed_blobs import NeededBlobs
from cas.operations.verify_outcomes import Problem

READERS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class _Summary:
    """What a version is added up from, of one page; and the blobs that the page needs."""

    part: DigestPart
    counts: NDArray[np.int64]
    size: int
    blob_ids: NDArray[np.uint8]
    blob_sizes: NDArray[np.uint32]
    table_offsets: NDArray[np.uint32]


@dataclass(slots=True, eq=False)
class _Tally:
    """What was found so far of a root, which several versions may have."""

    versions: list[LiveVersion]
    pages: NDArray[np.uint32]
    digest: DigestCheck
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, np.int64))
    size: int = 0
    errors: list[tuple[CasError, PageLocation]] = field(default_factory=list)

    def add(self, location: PageLocation, found: _Summary | CasError) -> None:
        """Add the next page in path order."""
        if isinstance(found, CasError):
            self.errors.append((found, location))
            return
        self.counts += found.counts
        self.size += found.size
        try:
            self.digest.add_part(found.part)
        except CorruptionError as error:
            self.errors.append((error, location))

    def fits(self) -> bool:
        """Tell whether it is what its root, and so the records of its versions, say."""
        files, symlinks, directories, externals = map(int, self.counts)
        totals = Totals(
            files=files,
            symlinks=symlinks,
            directories=directories,
            externals=externals,
            size=self.size,
        )
        record = self.versions[0].record
        return self.digest.fits() and totals == record.totals


class PageCheck:
    """Checks the pages of versions. For one thread. Used once.

    Each page is read once, however many versions share it, and none is kept: all pages are gone
    through by their first paths, which is the order in which every version has its own, and each
    is added to all versions that have it.

    Attributes:
        needed: blobs that the versions need, as far as their pages could be read.
        problems: what is damaged.
        unread: what could not be read, of which nothing is known.
        locations: where the distinct pages are that were read.
    """

    def __init__(self, parts: StoreParts, pool: ThreadPoolExecutor, cancel: Cancel) -> None:
        self._parts = parts
        self._pool = pool
        self._cancel = cancel
        self._tallies: dict[tuple[PageLocation, bytes], _Tally] = {}
        # A root's word for where a page begins is part of what makes it the same.
        self._rows: dict[tuple[bytes, PageLocation], int] = {}
        self.needed = NeededBlobs()
        self.problems: list[Problem] = []
        self.unread: list[str] = []
        self.locations: list[PageLocation] = []

    def check(self, versions: Sequence[LiveVersion], progress: ProgressSink | None) -> None:
        """Check all versions."""
        for version, root in self._side_by_side(lambda one: self._read_root(one.root), versions):
            self._add_version(version, root)
        self._add_pages(progress)
        for tally in self._tallies.values():
            self._judge(tally)

    # -- roots

    def _add_version(self, version: LiveVersion, root: Root | CasError) -> None:
        self._need_meta(version.root, root)
        if isinstance(root, CasError):
            self._note(root, version, version.root, kind="root")
            return
        if root.digest != version.record.digest or root.totals != version.record.totals:
            key = keys.meta_key(version.root.blob_id)
            text = f"{key}: the root is another version's"
            self.problems.append(Problem(kind="root", key=key, text=text, versions=(version.ref,)))
            return
        same = self._tallies.get((version.root, root.digest.raw))
        if same is not None:
            same.versions.append(version)
            return
        rows = [
            self._rows.setdefault((first, root_page_location(root, row)), len(self._rows))
            for row, first in enumerate(root.first_paths)
        ]
        tally = _Tally([version], np.array(rows, np.uint32), DigestCheck(root.stated))
        self._tallies[version.root, root.digest.raw] = tally

    def _need_meta(self, location: PageLocation, root: Root | CasError) -> None:
        own = np.frombuffer(location.blob_id.raw, np.uint8).reshape(1, 32)
        zero = np.zeros(1, np.uint32)
        self.needed.add(own, np.array([location.blob_size], np.uint32), zero, is_meta=True)
        if isinstance(root, Root):
            # Some writers say where the tables begin and some do not: one row a blob.
            nothing = np.zeros(len(root.blob_ids), np.uint32)
            self.needed.add(root.blob_ids, root.blob_sizes, nothing, is_meta=True)

    # -- pages

    def _add_pages(self, progress: ProgressSink | None) -> None:
        tallies = list(self._tallies.values())
        owners = _Owners([tally.pages for tally in tallies])
        wanted = sorted(
            zip(self._rows, self._rows.values(), strict=True), key=lambda one: one[0][0]
        )
        read = self._side_by_side(lambda one: self._read_page(one[0][1]), wanted)
        for done, (((_, location), row), found) in enumerate(read):
            if progress is not None:
                progress(Progress(phase="pages", total_files=len(wanted), done_files=done))
            if isinstance(found, _Summary):
                self.locations.append(location)
                self.needed.add(
                    found.blob_ids, found.blob_sizes, found.table_offsets, is_meta=False
                )
            for owner in owners.of(row):
                tallies[owner].add(location, found)

    def _side_by_side(
        self, act: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | CasError]]:
        """Yield each item with what came of it, in order, with several under way at once."""
        ahead: deque[tuple[Item, Future[Result | CasError]]] = deque()
        for item in items:
            self._cancel.check()
            ahead.append((item, self._pool.submit(_attempt, act, item)))
            if len(ahead) > READERS:
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            self._cancel.check()
            first, future = ahead.popleft()
            yield first, future.result()

    # What is read is not kept, and each copy of a page is read: so not by the reader's own cache.

    def _read_root(self, location: PageLocation) -> Root:
        def read(pages: PageReader) -> Root:
            root = decode_root(pages.read_content(location), location.page_id)
            return place_root(root, location)

        return _twice(self._parts, read)

    def _read_page(self, location: PageLocation) -> _Summary:
        page = _twice(
            self._parts,
            lambda pages: decode_page(pages.read_content(location), location.page_id),
        )
        _check_inline(page, location)
        return _Summary(
            part=digest_part(page),
            counts=np.bincount(page.kinds, minlength=4).astype(np.int64),
            size=int(page.sizes[page.kinds == EntryKind.FILE].sum()),
            blob_ids=page.blob_ids,
            blob_sizes=page.blob_sizes,
            table_offsets=page.table_offsets,
        )

    # -- what was found

    def _judge(self, tally: _Tally) -> None:
        fits = bool(tally.errors) or tally.fits()
        for version in tally.versions:
            for error, location in tally.errors:
                self._note(error, version, location)
            if not fits:
                key = keys.version_key(version.record.artifact, version.record.number)
                text = f"{version.ref} does not hold what its digest and totals say"
                self.problems.append(
                    Problem(kind="digest", key=key, text=text, versions=(version.ref,))
                )

    def _note(
        self, error: CasError, version: LiveVersion, at: PageLocation, *, kind: str = "page"
    ) -> None:
        if isinstance(error, BackendError | UnsupportedError):
            self.unread.append(f"{version.ref}: {error}")
            return
        key = keys.meta_key(at.blob_id)
        text = str(error) if key in str(error) else f"{key} at {at.offset}: {error}"
        self.problems.append(Problem(kind=kind, key=key, text=text, versions=(version.ref,)))


class _Owners:
    """Which versions have a page: 8 bytes for each page of each version."""

    def __init__(self, pages: Sequence[NDArray[np.uint32]]) -> None:
        joined = np.concatenate([np.zeros(0, np.uint32), *pages])
        order = np.argsort(joined, kind="stable")
        lengths = np.array([len(one) for one in pages], np.int64)
        self._owners = np.repeat(np.arange(len(pages), dtype=np.uint32), lengths)[order]
        self._pages = joined[order]

    def of(self, page: int) -> list[int]:
        """Return them by their positions."""
        start, stop = np.searchsorted(self._pages, np.array([page, page + 1], np.uint32)).tolist()
        found: list[int] = self._owners[start:stop].tolist()
        return found


def _attempt(act: Callable[[Item], Result], item: Item) -> Result | CasError:
    try:
        return act(item)
    except CasError as error:
        return error


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
