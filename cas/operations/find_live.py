"""What is needed: by versions that are not purged, and by what writers and readers announced.

A search looks as often as it is asked to, and only ever finds more: a collector looks once to choose
candidates, and once more, after it has condemned them, to see what must be cleared. Steps G1 and
G4 of specs/protocol/collection.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cas.errors import CorruptionError, NotFoundError
from cas.format import keys
from cas.format.session import Intent
from cas.format.version import MoveKind, MoveRecord, VersionRecord
from cas.model.entry import PageLocation
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.closure import Closure, ClosureReader, Unreadable
from cas.objects.id_sets import GrowingSet, Ids, view_sorted
from cas.objects.listed_sessions import ListedIntent, groups_by_size, read_intent
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    is_given_up,
    list_artifacts,
    list_slots,
    read_move,
    read_root_location,
    read_slot,
)
from cas.objects.workers import Workers
from cas.operations.brakes import Brake, BrakeKind
from cas.operations.short_listings import check_listings, list_slots_surely

VersionId = tuple[ArtifactName, int]


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version that a listing shows: its record, where its root lies now, and its last move."""

    record: VersionRecord
    root: PageLocation
    move: MoveRecord | None

    @property
    def ref(self) -> str:
        """The version as people name it."""
        return self.record.ref

    @property
    def is_purged(self) -> bool:
        """Whether it is out of the store for good; in the trash it still is in it."""
        return self.move is not None and self.move.kind is MoveKind.PURGE

    @property
    def is_trashed(self) -> bool:
        """Whether it lies in the trash."""
        return self.move is not None and self.move.kind is MoveKind.TRASH


class LiveSearch:
    """What was found to be needed so far. For one thread, which lets `workers` read for it.

    Attributes:
        needed: blobs that versions need.
        announced: blobs that intents name, or that are behind what they name.
        versions: what is known of every version that is not void.
        left_out: those of them that were not followed, since they are about to go.
        listings: the newest listing of each artifact.
        brakes: why what was found may be less than there is.
    """

    def __init__(
        self,
        parts: StoreParts,
        workers: Workers,
        closures: ClosureReader,
        *,
        ignore_unreadable: bool = False,
    ) -> None:
        self._parts = parts
        self._backend = parts.backend
        self._workers = workers
        self._closures = closures
        self._ignore_unreadable = ignore_unreadable
        self._seen: dict[VersionId, tuple[int, int]] = {}
        self._followed: set[PageLocation] = set()
        self._read_intents: set[str] = set()
        self.needed = GrowingSet()
        self.announced = GrowingSet()
        self.versions: dict[VersionId, FoundVersion] = {}
        self.left_out: set[VersionId] = set()
        self.listings: dict[ArtifactName, SlotListing] = {}
        self.brakes: list[Brake] = []

    # -- intents

    def add_intents(self, sessions: Mapping[SessionId, Sequence[ListedIntent]]) -> None:
        """Read the intents of sessions, and follow the pages that they name.

        Raises:
            UnsupportedError: a later cas wrote one of them.
            BackendError: the storage failed.
        """
        listed = [
            intent
            for intents in sessions.values()
            for intent in intents
            if intent.key not in self._read_intents
        ]
        for group in groups_by_size(listed):
            for intent in self._workers.map(self._read_intent, group):
                if intent is not None:
                    self._add(self.announced, self._closure_of_intent(intent))
            self._read_intents.update(one.key for one in group)

    def _read_intent(self, listed: ListedIntent) -> Intent | None:
        try:
            return read_intent(self._backend, listed)
        except CorruptionError as error:
            # It may protect anything.
            self.brakes.append(Brake(BrakeKind.UNREADABLE_PAGE, str(error)))
            return None

    def _closure_of_intent(self, intent: Intent) -> Closure:
        self.announced.add(view_sorted(intent.blob_ids))
        self.announced.add(view_sorted(intent.meta_ids))
        return self._follow(intent.pages, Unreadable.LEAF)

    # -- versions

    def add_versions(
        self, about_to_go: Mapping[VersionId, int] | None = None
    ) -> list[FoundVersion]:
        """List all versions, and follow those that are not purged; return what is new or changed.

        Args:
            about_to_go: versions that are not followed, unless they were moved again after the
                move of this number. The next call takes another look at them.

        Raises:
            UnsupportedError: a later cas wrote something that must be understood.
            BackendError: the storage failed.
        """
        names = list_artifacts(self._backend)
        listed = self._workers.map(lambda name: list_slots_surely(self._backend, name), names)
        listings = dict(zip(names, listed, strict=True))
        self.brakes += check_listings(listings.values(), before=self.listings)
        self.listings |= listings
        wanted = [
            (listing, number)
            for listing in listings.values()
            for number in sorted(listing.slots)
            if self._seen.get((listing.artifact, number)) != _state(listing, number)
        ]
        fresh = []
        self.left_out = set()
        for (listing, number), found in zip(
            wanted, self._workers.map(self._read_version, wanted), strict=True
        ):
            if isinstance(found, Brake):
                self.brakes.append(found)
                continue
            version = (listing.artifact, number)
            if found is not None:
                self.versions[version] = found
                if about_to_go and listing.moves.get(number, 0) == about_to_go.get(version):
                    self.left_out.add(version)
                    continue
                fresh.append(found)
            self._seen[version] = _state(listing, number)
        self._follow_versions([one for one in fresh if not one.is_purged])
        return fresh

    def _read_version(self, asked: tuple[SlotListing, int]) -> FoundVersion | Brake | None:
        """Return what stands in a slot, None for a void, or why that cannot be known."""
        listing, number = asked
        known = self.versions.get((listing.artifact, number))
        ref = f"{listing.artifact}:v{number}"
        try:
            record = known.record if known else read_slot(self._backend, listing.artifact, number)
            if record is None:
                key = keys.version_key(listing.artifact, number)
                return Brake(BrakeKind.SHORT_LISTING, f"{key} is listed, and not there")
            if not isinstance(record, VersionRecord):
                return None
            move = read_move(self._backend, listing, number)
            return FoundVersion(record, read_root_location(self._backend, listing, record), move)
        except NotFoundError as error:
            return Brake(BrakeKind.SHORT_LISTING, f"{error}, though it is listed")
        except CorruptionError as error:
            if is_given_up(self._backend, listing, number):
                return None
            message = f"{error}, so what {ref} needs is not known (cas rm --now --force {ref} gives it up)"
            return Brake(BrakeKind.UNREADABLE_PAGE, message)

    def _follow_versions(self, versions: Sequence[FoundVersion]) -> None:
        roots = [one.root for one in versions if one.root not in self._followed]
        try:
            self._add(self.needed, self._closures.of_locations(roots))
        except CorruptionError:
            # Which one it is, and everything else, is found one by one.
            for one in versions:
                self._follow_alone(one)
        self._followed.update(roots)

    def _follow_alone(self, version: FoundVersion) -> None:
        """Follow a version to where it lies now; to nothing if it was purged meanwhile.

        Then another collector may have taken what it needed when it was found.
        """
        one = version
        while True:
            try:
                self._add(self.needed, self._closures.of_locations([one.root]))
                return
            except CorruptionError:
                now = self._look_again(one)
            if now is not None and now.is_purged:
                return
            if now is None or now.root == one.root:
                self._add(self.needed, self._follow([one.root], Unreadable.STOP, of=one.ref))
                return
            one = now

    def _look_again(self, one: FoundVersion) -> FoundVersion | None:
        artifact, number = one.record.artifact, one.record.number
        now = self._read_version((list_slots(self._backend, artifact), number))
        if not isinstance(now, FoundVersion):
            return None  # it is what could not be read that brakes
        self.versions[artifact, number] = now
        return now

    # -- both

    def _follow(
        self, locations: Sequence[PageLocation], unreadable: Unreadable, *, of: str = "an intent"
    ) -> Closure:
        try:
            return self._closures.of_locations(locations, unreadable=unreadable)
        except CorruptionError as error:
            if not self._ignore_unreadable:
                message = f"{error}, which {of} needs"
                self.brakes.append(Brake(BrakeKind.UNREADABLE_PAGE, message))
            return self._closures.of_locations(locations, unreadable=Unreadable.IGNORE)

    @staticmethod
    def _add(found: GrowingSet, closure: Closure) -> None:
        found.add(closure.data_ids)
        found.add(closure.meta_ids)


def _state(listing: SlotListing, number: int) -> tuple[int, int]:
    return listing.moves.get(number, 0), listing.revisions.get(number, 0)


def closure_ids(closure: Closure) -> list[Ids]:
    """Return the ids of a closure, data first."""
    return [closure.data_ids, closure.meta_ids]
