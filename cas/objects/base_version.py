"""What a writer reads before it starts: the log of collections and the newest version.

Its facts are fresh: nothing that the version needs was killed by a run up to the stamp
(specs/protocol/put.md, "afresh").
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cas.backend.base import Backend
from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import Root, find_page, root_page_location
from cas.format.version import MoveKind, VersionRecord
from cas.model.entry import PageLocation
from cas.model.names import ArtifactName
from cas.objects.collection_log import LogListing, list_log
from cas.objects.damage import NO_DAMAGE, KnownDamage, read_damage
from cas.objects.manifests import PageReader
from cas.objects.versions import (
    SlotListing,
    iter_visible,
    list_slots,
    read_last_move,
    read_root_location,
)


@dataclass(frozen=True, slots=True, eq=False)
class BaseVersion:
    """The newest visible version and where its pages are."""

    record: VersionRecord
    root: Root
    root_location: PageLocation
    page_locations: dict[bytes, PageLocation]

    @property
    def is_revised(self) -> bool:
        """Whether it lies elsewhere than when it was published."""
        return self.root_location != self.record.root

    def pages_between(self, spans: Sequence[tuple[bytes, bytes]]) -> list[PageLocation]:
        """Return the pages that cover any of the spans of paths, both ends included."""
        rows: dict[int, None] = {}
        if len(self.root.page_ids):
            for first, last in spans:
                start, stop = find_page(self.root, first), find_page(self.root, last)
                rows.update(dict.fromkeys(range(max(0, start), stop + 1)))
        return [root_page_location(self.root, row) for row in rows]


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The store as a writer found it. `stamp` belongs to everything in `base`.

    Attributes:
        bad_blobs: ids of blobs that the log check of an earlier try found bad, or that are damaged.
        damage: what is known to be damaged in the store.
        newest: the newest visible version, whether its pages can be read or not. It is `base` too, if
            that can be read, but for a draft on another version.
        unreadable: the newest visible version, if its root is damaged; then there is no `base`.
        unknown: why it is not known which version is the newest; then `base` is an older one, and
            only chunks and pages are shared with it.
        newest_root: the root of `newest`, if it could be read.
    """

    log: LogListing
    listing: SlotListing
    base: BaseVersion | None
    bad_blobs: frozenset[bytes] = frozenset()
    damage: KnownDamage = NO_DAMAGE
    newest: VersionRecord | None = None
    unreadable: VersionRecord | None = None
    unknown: CorruptionError | None = None
    newest_root: Root | None = None

    def avoiding(self, bad_blobs: frozenset[bytes]) -> Surroundings:
        """Return the same with blobs that must not be shared, besides those known as damaged."""
        return replace(self, bad_blobs=bad_blobs | self.damage.bad_blobs)

    @property
    def usable_pages(self) -> dict[bytes, PageLocation]:
        """The pages of the base version, by id, that a new version may share."""
        if self.base is None:
            return {}
        located = self.base.page_locations
        if not self.bad_blobs:
            return located
        return {
            page_id: location
            for page_id, location in located.items()
            if location.blob_id.raw not in self.bad_blobs
        }

    @property
    def usable_root(self) -> PageLocation | None:
        """Where the base version's root lies, if a new version may share it."""
        if self.base is None or self.base.root_location.blob_id.raw in self.bad_blobs:
            return None
        return self.base.root_location

    @property
    def stamp(self) -> int:
        """Every run up to it had a verdict before the base was read."""
        return self.log.resolved_prefix


def read_surroundings(
    backend: Backend, pages: PageReader, artifact: ArtifactName, *, number: int | None = None
) -> Surroundings:
    """Read the log, the slots of an artifact and its newest visible version.

    A version that is moved or purged between two of these steps is looked for again. One whose root
    is missing though it was not moved, or damaged, is `unreadable`: nothing of it can be shared, and
    a put goes on, and heals it if it can. One whose record is damaged is passed over.

    Args:
        number: take this version for the newest, if it is visible.
    """
    seen: PageLocation | None = None
    failed: tuple[str, ...] = ()
    while True:
        log, listing, record, unknown = _look_around(backend, artifact, number)
        damage = read_damage(backend, log.damage)
        if damage.failed and damage.failed != failed:
            failed = damage.failed  # replaced meanwhile by another, or versions were moved
            continue
        if record is None:
            return Surroundings(log, listing, None, damage=damage, unknown=unknown)
        location: PageLocation | None = None
        try:
            location = read_root_location(backend, listing, record)
            root = pages.read_root(location)
        except CorruptionError as error:
            if error.code is ErrorCode.MISSING_OBJECT and location != seen:
                seen = location
                continue
            newest = record if unknown is None else None
            return Surroundings(
                log,
                listing,
                None,
                damage=damage,
                newest=newest,
                unreadable=record,
                unknown=unknown,
            )
        locations = [root_page_location(root, row) for row in range(len(root.page_ids))]
        by_id = {location.page_id.raw: location for location in locations}
        base = BaseVersion(record, root, location, by_id)
        found = Surroundings(log, listing, base, damage=damage, unknown=unknown)
        return found if unknown else replace(found, newest=record, newest_root=root)


def _look_around(
    backend: Backend, artifact: ArtifactName, number: int | None
) -> tuple[LogListing, SlotListing, VersionRecord | None, CorruptionError | None]:
    """List log and slots and read the newest record, so that what it needs was alive at the log.

    Read after the log, a visible version is alive. Read beside it, as over a network, it is if it
    says so itself: its stamp is a fact for ever, and often no run was decided since.
    """
    if backend.capabilities.local:
        log = list_log(backend)
        listing = list_slots(backend, artifact)
        return log, listing, *_newest(backend, listing, number)
    with ThreadPoolExecutor(1, thread_name_prefix="cas-log") as pool:
        reading_log = pool.submit(list_log, backend)
        listing = list_slots(backend, artifact)
        record, unknown = _newest(backend, listing, number)
        log = reading_log.result()
    # The stamp of a record does not speak of what a revision of it leads to.
    if record is None or (
        record.stamp == log.resolved_prefix and record.number not in listing.revisions
    ):
        return log, listing, record, unknown
    again = list_slots(backend, artifact)
    if again != listing:
        record, unknown = _newest(backend, again, number)
    return log, again, record, unknown


def _newest(
    backend: Backend, listing: SlotListing, number: int | None
) -> tuple[VersionRecord | None, CorruptionError | None]:
    """Return the newest visible version that can be read, and why a newer one cannot."""
    damaged: list[CorruptionError] = []
    if number is not None:
        listing = replace(listing, slots=listing.slots & {number})
    record = next(iter_visible(backend, listing, damaged=damaged), None)
    return record, next(iter(damaged), None)


def is_purged(backend: Backend, record: VersionRecord) -> bool:
    """Tell whether a version is purged by now, so that what it needs may be collected already."""
    listing = list_slots(backend, record.artifact)
    return read_last_move(backend, listing, record.number) is MoveKind.PURGE
