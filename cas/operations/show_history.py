"""What artifacts and versions there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cas.errors import CorruptionError
from cas.format.version import Lineage, MoveKind, VersionRecord
from cas.model.entry import Totals
from cas.model.ids import VersionDigest
from cas.model.names import ArtifactName
from cas.objects.aliases import read_aliases
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    is_given_up,
    iter_visible,
    list_artifacts,
    list_slots,
    read_expiry,
    read_last_move,
    read_slot,
    unknown_artifact,
)
from cas.operations.side_by_side import map_side_by_side


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSummary:
    """An artifact at a glance: `latest` is the newest visible version, `size` its bytes.

    `expires_ns` is when that may go by itself, None is never.
    """

    name: str
    type: str
    versions: int
    latest: int | None
    size: int
    created_ns: int
    aliases: tuple[str, ...]
    description: str
    expires_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSummary:
    """A version at a glance. A void one has no digest: its put was abandoned.

    Attributes:
        state: `live`, `trashed`, `purged`, `void`, or `damaged`: its record, or its last move.
        expires_ns: when it may go by itself, as was said last; None is never.
    """

    artifact: str
    number: int
    state: str
    digest: VersionDigest | None = None
    aliases: tuple[str, ...] = ()
    totals: Totals | None = None
    new_bytes: int = 0
    stored_bytes: int = 0
    created_ns: int = 0
    type: str = ""
    description: str = ""
    message: str = ""
    parent: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    producer: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Lineage, ...] = ()
    expires_ns: int | None = None


class ArtifactList(list[ArtifactSummary]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import artifacts_table

        return show_or_nothing(lambda: artifacts_table(self))


class VersionList(list[VersionSummary]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import versions_table

        return show_or_nothing(lambda: versions_table(self))


def show_artifacts(parts: StoreParts) -> ArtifactList:
    """Return the artifacts that have a version or had one, by name."""
    names = list_artifacts(parts.backend)
    found = map_side_by_side(parts, lambda name: _summarize(parts, name), names)
    return ArtifactList(summary for summary in found if summary is not None)


def show_versions(
    parts: StoreParts, artifact: ArtifactName, *, include_hidden: bool
) -> VersionList:
    """Return the versions of an artifact, the newest first.

    Raises:
        NotFoundError: there is no such artifact.
    """
    listing = list_slots(parts.backend, artifact)
    if not listing.slots:
        raise unknown_artifact(parts.backend, artifact)
    aliases = live_aliases(parts, artifact)
    summaries = map_side_by_side(
        parts,
        lambda number: summarize_version(parts, listing, number, aliases),
        listing.newest_first(),
    )
    shown = ("live", "damaged")
    return VersionList(one for one in summaries if include_hidden or one.state in shown)


def live_aliases(parts: StoreParts, artifact: ArtifactName) -> dict[str, int]:
    """Return where the aliases of an artifact point; removed and damaged ones are left out."""
    states = read_aliases(parts.backend, artifact, past_damage=True)
    return {
        alias: state.record.number
        for alias, state in states.items()
        if state.record.number is not None and not state.is_damaged
    }


def protected_aliases(parts: StoreParts, artifact: ArtifactName) -> list[str]:
    """Return which aliases of an artifact are set and protected."""
    states = read_aliases(parts.backend, artifact, past_damage=True)
    return [
        alias
        for alias, state in states.items()
        if state.record.protected and state.record.number is not None and not state.is_damaged
    ]


def summarize_version(
    parts: StoreParts, listing: SlotListing, number: int, aliases: dict[str, int]
) -> VersionSummary:
    """Read one slot of a listing. One whose record or last move is damaged is listed as such."""
    artifact = str(listing.artifact)
    try:
        record = read_slot(parts.backend, listing.artifact, number)
    except CorruptionError:
        given_up = is_given_up(parts.backend, listing, number)
        state = "purged" if given_up else "damaged"
        return VersionSummary(artifact=artifact, number=number, state=state)
    if not isinstance(record, VersionRecord):
        return VersionSummary(artifact=artifact, number=number, state="void")
    try:
        move = read_last_move(parts.backend, listing, number)
        state = {MoveKind.TRASH: "trashed", MoveKind.PURGE: "purged"}.get(move, "live")  # type: ignore[arg-type]
    except CorruptionError:
        state = "damaged"
    return VersionSummary(
        artifact=artifact,
        number=number,
        state=state,
        digest=record.digest,
        aliases=tuple(alias for alias, target in sorted(aliases.items()) if target == number),
        totals=record.totals,
        new_bytes=record.new_bytes,
        stored_bytes=record.stored_bytes,
        created_ns=record.created_ns,
        type=record.type,
        description=record.description,
        message=record.message,
        parent=record.parent,
        metadata=record.metadata,
        producer=record.producer,
        inputs=record.inputs,
        expires_ns=read_expiry(parts.backend, listing, record),
    )


def _summarize(parts: StoreParts, name: ArtifactName) -> ArtifactSummary | None:
    listing = list_slots(parts.backend, name)
    if not listing.slots:
        return None
    damaged: list[CorruptionError] = []
    record = next(iter_visible(parts.backend, listing, damaged=damaged), None)
    return ArtifactSummary(
        name=str(name),
        type=record.type if record else "",
        versions=len(listing.slots),
        # Which one that is cannot be known past damage.
        latest=record.number if record and not damaged else None,
        size=record.totals.size if record else 0,
        created_ns=record.created_ns if record else 0,
        aliases=tuple(live_aliases(parts, name)),
        description=record.description if record else "",
        expires_ns=read_expiry(parts.backend, listing, record) if record else None,
    )
