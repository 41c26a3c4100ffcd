"""Every version of a store and what speaks for keeping it: aliases, and versions made from it.

Reads every record of the artifacts asked for: one listing or two an artifact, and a request for each
record, 16 at once. Records never change, so on a store that is not local they are kept on this
machine, and the next census asks only for new ones. One that cannot be read is told with the others,
so that each reader can go on where that is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cas.backend.base import Backend
from cas.backend.forwarding import ForwardingBackend
from cas.errors import CorruptionError
from cas.format.encoding import MAX_RECORD_BYTES
from cas.format.version import Lineage, MoveKind, MoveRecord, VersionRecord
from cas.model.ids import VersionDigest
from cas.model.names import ArtifactName
from cas.objects.aliases import AliasState, read_aliases
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    list_artifacts,
    list_slots,
    read_expiry,
    read_move,
    read_slot,
)
from cas.operations.damaged_records import (
    DamagedRecord,
    as_error,
    damage_of_alias,
    damage_of_version,
)
from cas.operations.side_by_side import map_side_by_side

Name = tuple[str, int]


class VersionState(StrEnum):
    """Where a version is: visible, in the trash, gone for good; or restored or gone, since what says
    which of them cannot be read.
    """

    LIVE = "live"
    TRASHED = "trashed"
    PURGED = "purged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedVersion:
    """A version in a census.

    Attributes:
        move: its last move, or None.
        expires_ns: when it may go by itself, as was said last; None is never.
        aliases: what points at it.
        protected: those of its aliases that are protected.
        damage: why `move` is not known, or None.
    """

    record: VersionRecord
    move: MoveRecord | None = None
    expires_ns: int | None = None
    aliases: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    damage: DamagedRecord | None = None

    @property
    def name(self) -> Name:
        """Artifact and number."""
        return str(self.record.artifact), self.record.number

    @property
    def ref(self) -> str:
        """The version as a reference: `name:v4`."""
        return self.record.ref

    @property
    def state(self) -> VersionState:
        """Where it is."""
        return VersionState.UNKNOWN if self.damage else _state(self.move)

    @property
    def is_live(self) -> bool:
        """Whether it is visible."""
        return self.state is VersionState.LIVE


@dataclass(frozen=True, slots=True)
class Census:
    """The versions of some artifacts, or of all, by artifact and number. Voids are left out.

    Attributes:
        damaged: records that could not be read: of versions, which are not among `versions` then, of
            last moves, and of aliases. Of what was purged for certain none is told.
    """

    store_id: str
    versions: dict[Name, CountedVersion]
    listings: dict[ArtifactName, SlotListing]
    damaged: tuple[DamagedRecord, ...] = field(default=())

    def require_whole(self) -> None:
        """Raise if a record could not be read.

        Raises:
            CorruptionError: that is so.
        """
        if self.damaged:
            raise as_error(self.damaged[0])

    @property
    def damaged_versions(self) -> tuple[DamagedRecord, ...]:
        """Those of `damaged` that are of versions."""
        return tuple(one for one in self.damaged if one.number is not None)

    def by_artifact(self) -> dict[str, list[CountedVersion]]:
        """Return the versions of each artifact, the oldest first."""
        found: dict[str, list[CountedVersion]] = {}
        for name in sorted(self.versions):
            found.setdefault(name[0], []).append(self.versions[name])
        return found

    def inputs_of(self) -> Callable[[CountedVersion], list[CountedVersion]]:
        """Return a function that finds the visible versions that a version was made from.

        A record that was copied from another store speaks of that store's numbers: there the digest
        decides, so that a copied model keeps the data that was copied with it.
        """
        by_digest: dict[bytes, list[CountedVersion]] = {}
        for one in self.versions.values():
            if one.is_live:
                by_digest.setdefault(one.record.digest.raw, []).append(one)

        def inputs(user: CountedVersion) -> list[CountedVersion]:
            return [
                one
                for lineage in user.record.inputs
                for one in by_digest.get(lineage.digest.raw, [])
                if one.name != user.name
                and names_version(lineage, one.name, one.record.digest, self.store_id)
            ]

        return inputs


def take_census(parts: StoreParts, artifacts: Iterable[ArtifactName] | None = None) -> Census:
    """Read the versions of some artifacts, or of all."""
    backend = KeptRecords(parts.backend)
    names = list_artifacts(backend) if artifacts is None else list(artifacts)
    found = map_side_by_side(
        parts, lambda name: (list_slots(backend, name), _aliases(backend, name)), names
    )
    listings = {listing.artifact: listing for listing, _ in found}
    slots = [(listing, number) for listing, _ in found for number in sorted(listing.slots)]
    counted = map_side_by_side(parts, lambda slot: _read_version(backend, *slot), slots)
    aliases = {listing.artifact: states for listing, states in found}
    versions = {
        one.name: _with_aliases(one, aliases[one.record.artifact])
        for one in counted
        if isinstance(one, CountedVersion)
    }
    damaged = [one for one in counted if isinstance(one, DamagedRecord)]
    damaged += [one.damage for one in versions.values() if one.damage is not None]
    damaged += [
        damage_of_alias(str(artifact), str(state.alias), state.damage)
        for artifact, states in aliases.items()
        for state in states
        if state.damage is not None
    ]
    return Census(parts.config.store_id, versions, listings, tuple(damaged))


def find_users(
    parts: StoreParts, targets: Iterable[tuple[Name, VersionDigest]]
) -> dict[Name, tuple[str, ...]]:
    """Return which versions, neither in the trash nor purged, were made from these.

    Reads all records of the store, as a census does, but no aliases, and moves of users alone.
    """
    wanted = dict(targets)
    backend = KeptRecords(parts.backend)
    listings = map_side_by_side(
        parts, lambda name: list_slots(backend, name), list_artifacts(backend)
    )
    slots = [(listing, number) for listing in listings for number in sorted(listing.slots)]

    def uses(slot: tuple[SlotListing, int]) -> set[Name]:
        listing, number = slot
        try:
            record = read_slot(backend, listing.artifact, number)
        except CorruptionError:
            return set()  # nobody knows any more what it was made from
        if not isinstance(record, VersionRecord) or not record.inputs:
            return set()
        used = {
            name
            for name, digest in wanted.items()
            if any(names_version(one, name, digest, parts.config.store_id) for one in record.inputs)
        }
        if used and _state(read_move(backend, listing, number)) is VersionState.LIVE:
            return used
        return set()

    found: dict[Name, list[str]] = {}
    for (listing, number), used in zip(slots, map_side_by_side(parts, uses, slots), strict=True):
        for name in used - {(str(listing.artifact), number)}:
            found.setdefault(name, []).append(f"{listing.artifact}:v{number}")
    return {name: tuple(users) for name, users in found.items()}


def names_version(lineage: Lineage, name: Name, digest: VersionDigest, store_id: str) -> bool:
    """Tell whether a lineage names a version of this store; see `Census.inputs_of`."""
    if lineage.digest != digest:
        return False
    return lineage.store_id != store_id or (lineage.artifact, lineage.number) == name


class KeptRecords(ForwardingBackend):
    """Reads whole records as ranges, which the cache of a store that is not local keeps.

    For what decides nothing that must be safe: everything else asks the storage itself.
    """

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object; of a whole one, as far as a record may reach."""
        if start == 0 and stop is None:
            return self._backend.get(key, 0, MAX_RECORD_BYTES + 1)
        return self._backend.get(key, start, stop)


def _read_version(
    backend: Backend, listing: SlotListing, number: int
) -> CountedVersion | DamagedRecord | None:
    artifact = str(listing.artifact)
    move = damage = None
    try:
        move = read_move(backend, listing, number)
    except CorruptionError as error:
        damage = damage_of_version(artifact, number, error)
    try:
        record = read_slot(backend, listing.artifact, number)
    except CorruptionError as error:
        state = _state(move)
        if state is VersionState.PURGED:
            return None
        # What lies in the trash speaks for nothing, whatever it was made from.
        hides = state is VersionState.LIVE
        return damage_of_version(artifact, number, error, hides_inputs=hides)
    if not isinstance(record, VersionRecord):
        return None
    if damage is not None:
        return CountedVersion(record=record, damage=damage)
    expires_ns = None
    if _state(move) is VersionState.LIVE:
        expires_ns = read_expiry(backend, listing, record)
    return CountedVersion(record=record, move=move, expires_ns=expires_ns)


def _aliases(backend: Backend, artifact: ArtifactName) -> list[AliasState]:
    return list(read_aliases(backend, artifact, past_damage=True).values())


def _with_aliases(one: CountedVersion, aliases: Iterable[AliasState]) -> CountedVersion:
    pointing = {
        str(state.alias): state.record
        for state in aliases
        if state.record.number == one.record.number and state.damage is None
    }
    protected = tuple(alias for alias, record in pointing.items() if record.protected)
    return replace(one, aliases=tuple(pointing), protected=protected) if pointing else one


def _state(move: MoveRecord | None) -> VersionState:
    if move is None or move.kind is MoveKind.RESTORE:
        return VersionState.LIVE
    return VersionState.TRASHED if move.kind is MoveKind.TRASH else VersionState.PURGED
