"""Tables: artifacts, and versions of an artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.conditions import Field, age_field, count_field, order_by, parse_conditions, size_field
from cas.cli.render import Console
from cas.cli.text import format_time
from cas.model.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import ArtifactSummary, VersionSummary
    from cas.cli.entries import ListingStyle

# A slot is void when its put never came to publish and was ended by a collection.
_STATES = {
    "trashed": "trashed",
    "purged": "purged",
    "void": "abandoned",
    "damaged": "damaged: see cas verify",
}


def choose_artifacts(
    artifacts: Sequence[ArtifactSummary], style: ListingStyle
) -> Sequence[ArtifactSummary]:
    """Return the artifacts that are asked for, in the order asked for.

    Raises:
        InvalidInputError: what to filter or sort by makes no sense.
    """
    fields = {
        "name": Field(lambda one: one.name),
        "type": Field(lambda one: one.type),
        "size": size_field(lambda one: one.size),
        "versions": count_field(lambda one: one.versions),
        "age": age_field(lambda one: one.created_ns),
    }
    wanted = parse_conditions(style.filters, fields)
    order = order_by(style.sort, fields, reverse=style.reverse)
    chosen = [one for one in artifacts if wanted is None or wanted(one)]
    return (chosen if order is None else order(chosen))[: style.limit]


def list_artifacts(console: Console, artifacts: Sequence[ArtifactSummary]) -> None:
    """Print the artifacts of a store."""
    if console.as_json:
        console.document({"artifacts": artifacts})
        return
    if console.quiet:
        for artifact in artifacts:
            console.answer(artifact.name)
        return
    if not artifacts:
        console.note("the store is empty; to fill it: cas put FOLDER NAME")
        return
    rows = [
        [
            artifact.name,
            artifact.type,
            "-" if artifact.latest is None else f"v{artifact.latest}",
            f"{artifact.versions:,}",
            format_size(artifact.size),
            format_time(artifact.created_ns) if artifact.created_ns else "-",
            ", ".join(artifact.aliases),
        ]
        for artifact in artifacts
    ]
    headings = ["NAME", "TYPE", "LATEST", "VERSIONS", "SIZE", "CREATED", "ALIASES"]
    _insert_expiries(headings, rows, [artifact.expires_ns for artifact in artifacts])
    console.table(headings, rows, right=frozenset({3, 4}))


def list_versions(console: Console, artifact: str, versions: Sequence[VersionSummary]) -> None:
    """Print versions of an artifact, newest first."""
    if console.as_json:
        console.document({"artifact": artifact, "versions": versions})
        return
    if console.quiet:
        for version in versions:
            console.answer(f"{version.artifact}:v{version.number}")
        return
    headings = ["VERSION", "CREATED", "FILES", "SIZE", "NEW", "STORED", "ALIASES", "MESSAGE"]
    rows = [_version_row(version) for version in versions]
    _insert_expiries(headings, rows, [version.expires_ns for version in versions])
    console.table(headings, rows, right=frozenset({2, 3, 4, 5}))


def _insert_expiries(
    headings: list[str], rows: list[list[str]], expiries: Sequence[int | None]
) -> None:
    """Add a column before the aliases that says when each row expires, if one of them does."""
    if all(expires_ns is None for expires_ns in expiries):
        return
    at = headings.index("ALIASES")
    headings.insert(at, "EXPIRES")
    for row, expires_ns in zip(rows, expiries, strict=True):
        row.insert(at, "" if expires_ns is None else format_time(expires_ns))


def _version_row(version: VersionSummary) -> list[str]:
    totals = version.totals
    number = f"v{version.number}"
    return [
        number if version.state == "live" else f"{number} ({_STATES[version.state]})",
        format_time(version.created_ns) if version.created_ns else "",
        f"{totals.files:,}" if totals else "",
        format_size(totals.size) if totals else "",
        format_size(version.new_bytes) if totals else "",
        format_size(version.stored_bytes) if totals else "",
        ", ".join(version.aliases),
        version.message or version.description,
    ]
