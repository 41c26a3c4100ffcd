"""Which versions a measure of space is asked about, and in which order they are counted."""

from __future__ import annotations

from collections.abc import Container

from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import list_slots, unknown_artifact
from cas.operations.census import Census, CountedVersion, Name, VersionState
from cas.operations.resolve import resolve_record


def choose_measured(parts: StoreParts, census: Census, ref: Ref | None) -> set[Name]:
    """Return the versions that a reference asks for: all of the artifact where it names none.

    Raises:
        NotFoundError: there is none.
    """
    if ref is None:
        return set(census.versions)
    if ref.number is None and ref.alias is None and ref.digest_prefix is None:
        if not list_slots(parts.backend, ref.artifact).slots:
            raise unknown_artifact(parts.backend, ref.artifact)
        return {name for name in census.versions if name[0] == str(ref.artifact)}
    if ref.number is not None:
        one = census.versions.get((str(ref.artifact), ref.number))
        if one is not None and one.state is VersionState.TRASHED:
            return {one.name}
    return {(str(ref.artifact), resolve_record(parts, ref).record.number)}


def order_measured(
    census: Census, ref: Ref | None, wanted: Container[Name]
) -> list[CountedVersion]:
    """Return every version that is not purged: what is asked for first, then the rest of its
    artifact, so that those of any group stand one after another.
    """
    counted = [one for one in census.versions.values() if one.state is not VersionState.PURGED]
    counted.sort(
        key=lambda one: (
            ref is not None and one.record.artifact != ref.artifact,
            one.name[0],
            one.name not in wanted,
            one.name[1],
        )
    )
    return counted
