"""Where everything lies that versions need: which blobs, how much of each, for which versions."""

from __future__ import annotations

from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.errors import NotFoundError
from cas.format.manifest import root_page_location
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.model.names import ArtifactName
from cas.model.progress import Cancel
from cas.objects.id_sets import Ids, within
from cas.objects.live_chunks import LiveBlobs, LiveChunks
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    list_artifacts,
    list_slots,
    read_kept,
    read_root_location,
)
from cas.operations.side_by_side import map_side_by_side
from cas.operations.version_pages import VersionPages

READ_THREADS = 16
PAGES_AHEAD = 32

VersionId = tuple[ArtifactName, int]


@dataclass(frozen=True, slots=True, eq=False)
class SurveyedVersion:
    """A version that is kept: its record, where its root lies, its pages as rows of the survey's."""

    record: VersionRecord
    root: PageLocation
    pages: NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Survey:
    """What was found.

    Attributes:
        versions: artifact by artifact, the newest first, those in the trash included.
        pages: where each page lies, once.
        page_blobs: ids of the data blobs that each page names, in the page's order.
        data: the data blobs, and how many of their chunks are named.
    """

    data: LiveBlobs
    versions: list[SurveyedVersion] = field(default_factory=list)
    pages: list[PageLocation] = field(default_factory=list)
    page_blobs: list[Ids] = field(default_factory=list)

    def pages_naming(self, blobs: Ids) -> NDArray[np.bool_]:
        """Tell which pages name any of these blobs."""
        return np.array([len(within(ids, blobs)) > 0 for ids in self.page_blobs], np.bool_)


def survey_places(parts: StoreParts, cancel: Cancel, leave_out: Container[VersionId]) -> Survey:
    """Go through all versions that are kept, but for some, reading each page once.

    Raises:
        CorruptionError: a page or root is missing or damaged.
        BackendError: the storage failed.
    """
    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="cas-survey") as pool:
        surveyor = _Surveyor(parts, pool, cancel)
        for record, root in _kept_roots(parts, leave_out):
            # Nothing is left to survey of a version that is purged meanwhile.
            with suppress(NotFoundError):
                surveyor.add(record, root)
        return surveyor.survey()


def _kept_roots(
    parts: StoreParts, leave_out: Container[VersionId]
) -> list[tuple[VersionRecord, PageLocation]]:
    """Return the versions that are kept, and where the root of each lies."""
    backend = parts.backend
    artifacts = list_artifacts(backend)
    listings = map_side_by_side(parts, lambda name: list_slots(backend, name), artifacts)
    slots = [
        (listing, number)
        for listing in listings
        for number in listing.newest_first()
        if (listing.artifact, number) not in leave_out
    ]

    def read(slot: tuple[SlotListing, int]) -> tuple[VersionRecord, PageLocation] | None:
        record = read_kept(backend, *slot)
        if record is None:
            return None
        return record, read_root_location(backend, slot[0], record)

    return [one for one in map_side_by_side(parts, read, slots) if one is not None]


class _Surveyor:
    """Adds versions up."""

    def __init__(self, parts: StoreParts, pool: ThreadPoolExecutor, cancel: Cancel) -> None:
        self._parts = parts
        self._pool = pool
        self._cancel = cancel
        self._live = LiveChunks()
        self._survey = Survey(self._live.blobs())
        self._rows: dict[PageLocation, int] = {}

    def add(self, record: VersionRecord, root: PageLocation) -> None:
        pages = VersionPages(self._parts, record, root)
        rows = pages.following_moves(lambda: self._add_pages(pages))
        self._survey.versions.append(SurveyedVersion(record, pages.location, rows))

    def survey(self) -> Survey:
        self._survey.data = self._live.blobs()
        return self._survey

    def _add_pages(self, pages: VersionPages) -> NDArray[np.int64]:
        root = pages.root
        every = [root_page_location(root, row) for row in range(len(root.page_ids))]
        fresh = [location for location in every if location not in self._rows]
        for start in range(0, len(fresh), PAGES_AHEAD):
            self._cancel.check()
            some = fresh[start : start + PAGES_AHEAD]
            for location, page in zip(
                some, self._pool.map(self._parts.pages.read_page, some), strict=True
            ):
                self._live.add(page)
                self._rows[location] = len(self._survey.pages)
                self._survey.pages.append(location)
                self._survey.page_blobs.append(page.blob_ids.copy())
        return np.array([self._rows[location] for location in every], np.int64)
