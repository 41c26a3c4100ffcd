"""Why each version keeps its blobs."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from cas.model.names import ArtifactName
from cas.objects.aliases import read_aliases
from cas.objects.versions import SlotListing
from cas.operations.collection_outcomes import KeptVersion
from cas.operations.find_live import FoundVersion, VersionId
from cas.operations.survey import Survey

Aliases = Mapping[str, Mapping[str, int]]


def read_live_aliases(
    survey: Survey, listings: Mapping[ArtifactName, SlotListing]
) -> dict[str, dict[str, int]]:
    """Return where the aliases of each artifact point; removed and damaged ones are left out."""
    states = survey.workers.map(
        lambda name: read_aliases(survey.backend, name, past_damage=True), listings
    )
    return {
        str(name): {
            alias: state.record.number
            for alias, state in found.items()
            if state.record.number is not None and not state.is_damaged
        }
        for name, found in zip(listings, states, strict=True)
    }


def explain_kept(
    versions: Mapping[VersionId, FoundVersion],
    aliases: Aliases,
    store_id: str,
    going: Container[VersionId] = (),
) -> list[KeptVersion]:
    """Return why each version that is not purged keeps its blobs, by name and number.

    Args:
        versions: all there are.
        aliases: where those of each artifact point.
        store_id: of the store, by which lineage speaks of it.
        going: versions that are about to be purged, and keep nothing.
    """
    newest: dict[str, int] = {}
    users: dict[tuple[str, int], list[str]] = {}
    for one in versions.values():
        record = one.record
        if one.move is None or not (one.is_purged or one.is_trashed):
            artifact = str(record.artifact)
            newest[artifact] = max(newest.get(artifact, -1), record.number)
        if not one.is_purged:
            for lineage in record.inputs:
                if lineage.store_id == store_id:
                    users.setdefault((lineage.artifact, lineage.number), []).append(one.ref)
    return [
        KeptVersion(one.ref, tuple(_reasons(one, newest, aliases, users)) or ("not deleted",))
        for version, one in sorted(versions.items())
        if not one.is_purged and version not in going
    ]


def _reasons(
    version: FoundVersion,
    newest: Mapping[str, int],
    aliases: Aliases,
    users: Mapping[tuple[str, int], list[str]],
) -> Iterator[str]:
    artifact, number = str(version.record.artifact), version.record.number
    if version.is_trashed:
        yield "in the trash"
    if newest.get(artifact) == number:
        yield "newest"
    pointing = aliases.get(artifact, {})
    yield from (f"alias {alias}" for alias, target in sorted(pointing.items()) if target == number)
    yield from (f"input of {user}" for user in users.get((artifact, number), []))
