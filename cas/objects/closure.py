"""Which blobs a version, or anything else that names a root or a page, needs.

A root names its pages, a page its data blobs; that is all there is behind a root. What a page says
never changes, so each distinct page is read once, and noted on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Self, TypeAlias

import numpy as np

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import (
    Root,
    decode_root,
    is_root,
    page_blob_ids,
    place_root,
    root_page_location,
)
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.progress import Cancel
from cas.objects.id_sets import GrowingSet, Ids, ids_of, no_ids, sort_ids
from cas.objects.page_notes import PageNotes
from cas.objects.parts import StoreParts
from cas.objects.versions import SlotListing, read_root_location
from cas.objects.workers import Workers

READERS = 32
# What is read of a root or page: the root, the sorted ids of the blobs that the page speaks of, or why
# it cannot be read.
_Found: TypeAlias = Root | Ids | CorruptionError

# Bounds what is in memory: roots of millions of files take some hundred KiB each.
_AT_ONCE = 64


class Unreadable(Enum):
    """What to do about a page or root that cannot be read.

    STOP raises. LEAF takes one that is missing for one that nothing is behind, which is right for
    what a writer may not have stored yet; a damaged one raises. IGNORE takes both so.
    """

    STOP = "stop"
    LEAF = "leaf"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """What is needed: ids as uint8[n, 32], strictly increasing.

    Attributes:
        data_ids: data blobs.
        meta_ids: blobs of pages and roots.
        unreadable: for each page that was taken for a leaf, why.
    """

    data_ids: Ids
    meta_ids: Ids
    unreadable: tuple[str, ...] = ()


class ClosureReader:
    """Finds closures. For one thread, which may have others read pages for it.

    Args:
        threads: how many pages are read at once; 1 reads one after the other in the calling thread.
            None takes what suits the storage.
        cancel: stops a search.
    """

    def __init__(
        self, parts: StoreParts, *, threads: int | None = None, cancel: Cancel | None = None
    ) -> None:
        self._parts = parts
        self._notes = PageNotes(parts.state_dir, parts.config.store_id)
        self._followed = GrowingSet()
        if threads is None:
            threads = parts.jobs if parts.backend.capabilities.local else READERS
        self._workers = Workers(threads, "cas-closure", cancel)

    def of_root(
        self, location: PageLocation, *, unreadable: Unreadable = Unreadable.STOP
    ) -> Closure:
        """Return what a root needs; raises as `of_locations` does."""
        return self.of_locations([location], unreadable=unreadable)

    def of_version(
        self,
        listing: SlotListing,
        record: VersionRecord,
        *,
        unreadable: Unreadable = Unreadable.STOP,
    ) -> Closure:
        """Return what a version needs by its newest revision; raises as `of_locations` does."""
        root = read_root_location(self._parts.backend, listing, record)
        return self.of_locations([root], unreadable=unreadable)

    def of_locations(
        self, locations: Iterable[PageLocation], *, unreadable: Unreadable = Unreadable.STOP
    ) -> Closure:
        """Return what any number of roots and pages need together, their own blobs included.

        Raises:
            CorruptionError: one of them, or a page behind it, is missing or damaged.
            UnsupportedError: a later cas wrote it.
            BackendError: the storage failed.
        """
        search = _Search(self._read, unreadable)
        waiting = iter(locations)
        while some := list(islice(waiting, _AT_ONCE)):
            search.follow(some)
        self._followed.add(search.page_ids())
        return search.closure()

    def read_root(self, location: PageLocation) -> Root:
        """Return a root; raises as `of_locations` does."""
        content = self._parts.pages.read_content(location)
        return place_root(decode_root(content, location.page_id), location)

    def iter_roots(self, locations: Sequence[PageLocation]) -> Iterator[Root | CorruptionError]:
        """Yield roots in their order, several read at once; of one that cannot be read, why."""
        for start in range(0, len(locations), _AT_ONCE):
            yield from self._workers.map(self._try_root, locations[start : start + _AT_ONCE])

    def iter_pages(
        self,
        root: Root,
        skip: Container[bytes] = (),
        *,
        unreadable: Unreadable = Unreadable.STOP,
    ) -> Iterator[tuple[bytes, Ids]]:
        """Yield the id of each page of a root, and the data blobs that it speaks of.

        Args:
            root: from `read_root`.
            skip: ids of pages that are not wanted.
            unreadable: IGNORE leaves out what cannot be read, all else raises.

        Raises as `of_locations` does.
        """
        rows = [row for row, raw in enumerate(root.page_ids) if raw.tobytes() not in skip]
        for start in range(0, len(rows), _AT_ONCE):
            some = [root_page_location(root, row) for row in rows[start : start + _AT_ONCE]]
            for raw, found in self._read(some).items():
                if not isinstance(found, CorruptionError | Root):
                    yield raw, found
                elif unreadable is not Unreadable.IGNORE:
                    raise _not_a_page(found) if isinstance(found, Root) else found

    def forget_others(self) -> None:
        """Remove what is noted on this machine of pages that no closure led to so far.

        For who asked for everything that is live: what is removed and still there is read again.
        """
        self._notes.keep_only(self._followed.ids())

    def close(self) -> None:
        """End threads and close the notes."""
        self._workers.close()
        self._notes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try_root(self, location: PageLocation) -> Root | CorruptionError:
        try:
            return self.read_root(location)
        except CorruptionError as error:
            return error

    def _read(self, locations: Sequence[PageLocation]) -> dict[bytes, _Found]:
        """Return what roots and pages say, by their ids; of pages from the notes, if it is there."""
        by_id = {one.page_id.raw: one for one in locations}
        known = self._notes.load(by_id)
        unknown = [one for raw, one in by_id.items() if raw not in known]
        answers = self._workers.map(self._read_one, unknown)
        read = {one.page_id.raw: found for one, found in zip(unknown, answers, strict=True)}
        self._notes.save({raw: ids for raw, ids in read.items() if isinstance(ids, np.ndarray)})
        return {**known, **read}

    def _read_one(self, location: PageLocation) -> _Found:
        try:
            content = self._parts.pages.read_content(location)
            if is_root(content):
                return place_root(decode_root(content, location.page_id), location)
            return sort_ids(page_blob_ids(content, location.page_id))
        except CorruptionError as error:
            return error


class _Search:
    """One search: what was found so far."""

    def __init__(
        self,
        read: Callable[[Sequence[PageLocation]], dict[bytes, _Found]],
        unreadable: Unreadable,
    ) -> None:
        self._read = read
        self._unreadable = unreadable
        self._data = GrowingSet()
        self._meta = GrowingSet()
        self._pages = GrowingSet()
        self._problems: list[str] = []

    def closure(self) -> Closure:
        return Closure(self._data.ids(), self._meta.ids(), tuple(self._problems))

    def page_ids(self) -> Ids:
        return self._pages.ids()

    def follow(self, locations: Sequence[PageLocation]) -> None:
        """Add what these roots and pages need."""
        self._meta.add(ids_of(one.blob_id.raw for one in locations))
        for root in self._follow_pages(locations):
            self._meta.add(root.blob_ids)
            rows = np.flatnonzero(self._pages.missing_rows(root.page_ids)).tolist()
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                inner = self._follow_pages([root_page_location(root, row) for row in some])
                if inner:
                    self._fail(_not_a_page(inner[0]))

    def _follow_pages(self, locations: Sequence[PageLocation]) -> list[Root]:
        """Add the blobs that pages speak of; return those that are roots."""
        roots, pages, data = [], [], [no_ids()]
        for raw, found in self._read(locations).items():
            if isinstance(found, CorruptionError):
                self._fail(found)
            elif isinstance(found, Root):
                roots.append(found)
            else:
                pages.append(raw)
                data.append(found)
        # Together, since most are in several of them.
        self._data.add(np.concatenate(data))
        self._pages.add(ids_of(pages))
        return roots

    def _fail(self, error: CorruptionError) -> None:
        is_missing = error.code is ErrorCode.MISSING_OBJECT
        if self._unreadable is Unreadable.STOP or (
            self._unreadable is Unreadable.LEAF and not is_missing
        ):
            raise error
        self._problems.append(str(error))


def _not_a_page(root: Root) -> CorruptionError:
    return CorruptionError(
        f"a root of {root.totals.entries} entries stands where a page must",
        code=ErrorCode.MALFORMED_OBJECT,
    )
