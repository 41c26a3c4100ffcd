"""Tables: artifacts, versions, files of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.render import Console
from cas.cli.text import escape, format_table, format_time
from cas.errors import ErrorCode, NotFoundError
from cas.model.entry import Entry, EntryKind
from cas.model.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import ArtifactSummary, Version, VersionSummary

_KIND_LETTERS = {
    EntryKind.FILE: "-",
    EntryKind.SYMLINK: "l",
    EntryKind.DIRECTORY: "d",
    EntryKind.EXTERNAL: "e",
}
# A slot is void when its put never came to publish and was ended by a collection.
_STATES = {
    "trashed": "trashed",
    "purged": "purged",
    "void": "abandoned",
    "damaged": "damaged: see cas verify",
}


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


def list_entries(
    console: Console, version: Version, path: str, *, recursive: bool, long: bool, null: bool
) -> None:
    """Print what a version holds at `path`: a file, or a folder, or all that is below it.

    Raises:
        NotFoundError: there is nothing at `path`.
    """
    folders: list[str] = []
    if path and not version.is_dir(path):
        if path not in version:
            raise NotFoundError(
                f"{version.ref} holds no {path!r}",
                code=ErrorCode.PATH_NOT_FOUND,
                hint=f"cas ls {version.ref}",
            )
        entries = [version[path]]
    elif recursive:
        entries = list(version.entries(path))
    else:
        _, folders, entries = next(iter(version.walk(path)), (path, [], []))
    if console.as_json:
        names = {"ref": version.ref, "path": path}
        console.document({**names, "folders": folders, "entries": entries})
        return
    prefix = f"{path}/" if path and folders else ""
    shown = [*(f"{prefix}{name}/" for name in folders), *(entry.path for entry in entries)]
    if null:
        console.names(shown, end=b"\0")
        return
    if not long:
        for name in shown:
            console.answer(escape(name))
        return
    rows = [("d", "", "", f"{prefix}{name}/") for name in folders]
    rows += [_entry_row(entry) for entry in entries]
    for line in format_table(("", "SIZE", "HASH", "PATH"), rows, right=frozenset({1}))[1:]:
        console.answer(line)


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


def _entry_row(entry: Entry) -> tuple[str, str, str, str]:
    letter = "x" if entry.executable else _KIND_LETTERS[entry.kind]
    arrow = f" -> {entry.target}" if entry.target is not None else ""
    digest = entry.hash.short if entry.hash else ""
    size = "" if entry.kind is EntryKind.DIRECTORY else format_size(entry.size)
    return letter, size, digest, f"{entry.path}{arrow}"
