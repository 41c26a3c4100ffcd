"""What is recorded about a version, its aliases and its deletion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cas.cli.render import Console, iso_time, to_json
from cas.cli.text import escape, format_time, format_totals
from cas.model.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cas import AliasMove, Deletion, Version


def show_version(console: Console, version: Version) -> None:
    """Print everything that is recorded about a version."""
    if console.as_json:
        console.document(_version_document(version))
        return
    record = version.record
    console.answer(version.ref)
    lines: list[tuple[str, str]] = [
        ("digest", version.digest.hex),
        ("type", version.type),
        ("aliases", ", ".join(version.aliases)),
        ("created", format_time(version.created_ns)),
        ("expires", "" if version.expires_ns is None else format_time(version.expires_ns)),
        ("holds", format_totals(version.totals)),
        (
            "brought",
            f"{format_size(record.new_bytes)} new, {format_size(record.stored_bytes)} stored",
        ),
        ("parent", "" if record.parent is None else f"v{record.parent}"),
        ("about", version.description),
        ("message", version.message),
    ]
    lines += [(f"metadata {name}", _value_text(value)) for name, value in version.metadata.items()]
    lines += [
        ("made from", f"{lineage.artifact}:v{lineage.number}  {lineage.digest.short}")
        for lineage in version.inputs
    ]
    lines += [(f"by {name}", _value_text(value)) for name, value in version.producer.items()]
    width = max(len(name) for name, value in lines if value)
    for name, value in lines:
        if value:
            console.detail(f"{escape(name):<{width}}  {escape(value)}")


def show_aliases(
    console: Console, artifact: str, aliases: Mapping[str, int], protected: Sequence[str]
) -> None:
    """Print where the aliases of an artifact point, and which are protected."""
    if console.as_json:
        console.document({"artifact": artifact, "aliases": aliases, "protected": protected})
        return
    for alias, number in sorted(aliases.items()):
        mark = "  (protected)" if alias in protected else ""
        console.answer(f"{escape(alias)}  {artifact}:v{number}{mark}")
    if not aliases:
        console.note(f"{artifact} has no aliases; to set one: cas tag {artifact} ALIAS")


def show_moves(console: Console, artifact: str, moves: Sequence[AliasMove]) -> None:
    """Print which aliases were moved."""
    if console.as_json:
        console.document({"artifact": artifact, "moves": moves})
        return
    for move in moves:
        now = "removed" if move.number is None else f"{artifact}:v{move.number}"
        before = f"  (was v{move.previous})" if move.previous not in (None, move.number) else ""
        console.answer(f"{escape(move.alias)}  {now}{before}")


def show_expiry(console: Console, artifact: str, number: int, expires_ns: int | None) -> None:
    """Print when a version may go by itself."""
    if console.as_json:
        expires = None if expires_ns is None else iso_time(expires_ns)
        console.document({"artifact": artifact, "number": number, "expires": expires})
        return
    when = "never expires" if expires_ns is None else f"expires {format_time(expires_ns)}"
    console.answer(f"{artifact}:v{number}  {when}")


def show_deletions(console: Console, deletions: Sequence[Deletion], *, key: str, verb: str) -> None:
    """Print which versions were put into the trash or brought back."""
    if console.as_json:
        console.document({key: deletions})
        return
    for deletion in deletions:
        aliases = f"  (aliases {', '.join(deletion.aliases)})" if deletion.aliases else ""
        console.answer(f"{verb} {deletion.artifact}:v{deletion.number}{escape(aliases)}")


def _version_document(version: Version) -> dict[str, Any]:
    record = version.record
    return {
        "ref": version.ref,
        "artifact": version.artifact,
        "number": version.number,
        "digest": version.digest,
        "type": version.type,
        "aliases": version.aliases,
        "created": iso_time(version.created_ns),
        "expires": None if version.expires_ns is None else iso_time(version.expires_ns),
        "totals": to_json(version.totals),
        "new_bytes": record.new_bytes,
        "stored_bytes": record.stored_bytes,
        "parent": record.parent,
        "description": version.description,
        "message": version.message,
        "metadata": version.metadata,
        "inputs": version.inputs,
        "producer": version.producer,
    }


def _value_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
