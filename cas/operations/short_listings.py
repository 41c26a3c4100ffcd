"""How a listing that leaves something out gives itself away.

Slots, revisions and moves are never removed, and slots are taken one after the other. So whatever
anything speaks of must be listed, with everything below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cas.backend.base import Backend
from cas.errors import CasError
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import SlotListing, list_slots
from cas.operations.brakes import Brake, BrakeKind


def missing_slots(listing: SlotListing) -> list[int]:
    """Return the slots that must be there by what else is listed."""
    named = listing.slots | listing.moves.keys() | listing.revisions.keys()
    return sorted(set(range(max(named, default=-1) + 1)) - listing.slots)


def list_slots_surely(backend: Backend, artifact: ArtifactName) -> SlotListing:
    """List the slots of an artifact, once more if some are missing.

    A listing that is no snapshot may show a slot and not the one before it, when both were taken
    while it went on. The next one shows both.
    """
    listing = list_slots(backend, artifact)
    if not missing_slots(listing):
        return listing
    again = list_slots(backend, artifact)
    return SlotListing(
        artifact,
        listing.slots | again.slots,
        _higher(listing.revisions, again.revisions),
        _higher(listing.moves, again.moves),
    )


def _higher(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {n: max(one.get(n, 0), other.get(n, 0)) for n in one.keys() | other.keys()}


def check_listings(
    listings: Iterable[SlotListing], *, before: Mapping[ArtifactName, SlotListing]
) -> list[Brake]:
    """Return what the listings of all artifacts lack, by themselves and by earlier ones.

    Args:
        before: what was listed before them.
    """
    brakes = []
    found = {listing.artifact: listing for listing in listings}
    for listing in found.values():
        brakes += [
            _missing(listing.artifact, n, "though others are") for n in missing_slots(listing)
        ]
    for artifact, earlier in before.items():
        now = found.get(artifact, SlotListing(artifact, frozenset()))
        for number in sorted(earlier.slots - now.slots):
            brakes.append(_missing(artifact, number, "though it was a moment ago"))
        for number in sorted(earlier.slots & now.slots):
            if any(
                a < b for a, b in zip(_counts(now, number), _counts(earlier, number), strict=True)
            ):
                brakes.append(_missing(artifact, number, "with all its moves and revisions"))
    return brakes


def check_known(
    listings: Mapping[ArtifactName, SlotListing], known: Mapping[str, int], *, by: str
) -> list[Brake]:
    """Return which versions are not listed although something knows of them.

    Args:
        known: for artifacts, how many slots each must have at least.
        by: what knows of them.
    """
    brakes = []
    for name, slots in sorted(known.items()):
        try:
            artifact = ArtifactName(name)
        except CasError:
            continue
        listing = listings.get(artifact)
        if slots > (0 if listing is None else listing.next_slot):
            brakes.append(_missing(artifact, slots - 1, f"though {by} knows of it"))
    return brakes


def known_from_records(
    records: Iterable[VersionRecord], store_id: str
) -> Iterable[tuple[str, dict[str, int]]]:
    """Yield, for each record of a version made from others of the store, who it is and from what."""
    for record in records:
        named = {
            lineage.artifact: lineage.number + 1
            for lineage in record.inputs
            if lineage.store_id == store_id
        }
        if named:
            yield record.ref, named


def _missing(artifact: ArtifactName, number: int, why: str) -> Brake:
    return Brake(BrakeKind.SHORT_LISTING, f"{artifact}:v{number} is not listed {why}")


def _counts(listing: SlotListing, number: int) -> tuple[int, int]:
    return listing.moves.get(number, 0), listing.revisions.get(number, 0)
