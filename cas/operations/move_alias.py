"""Moving and removing aliases. Steps as in specs/protocol/put.md, A1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cas.environment import random_bytes
from cas.errors import ConflictError, ErrorCode, NotFoundError
from cas.format.version import AliasRecord
from cas.model.ids import SESSION_ID_BYTES, SessionId, VersionDigest
from cas.model.names import AliasName, ArtifactName, Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    is_hidden,
    list_slots,
    move_alias,
    near_names,
    read_aliases,
    unknown_artifact,
)
from cas.operations.resolve import resolve_record


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias and where it points now and before; None is nowhere."""

    alias: str
    number: int | None
    previous: int | None


def tag(parts: StoreParts, ref: Ref, aliases: Sequence[str]) -> list[AliasMove]:
    """Point aliases to a version.

    Raises:
        NotFoundError: no such version.
        ConflictError: the version was deleted while the alias was moved.
    """
    names = [AliasName(alias) for alias in aliases]
    record = resolve_record(parts, ref).record
    return move_aliases(parts, record.artifact, record.number, record.digest, names)


def move_aliases(
    parts: StoreParts,
    artifact: ArtifactName,
    number: int,
    digest: VersionDigest,
    aliases: Sequence[AliasName],
) -> list[AliasMove]:
    """Point aliases to a version that was visible a moment ago; look again afterwards."""
    moves = []
    for alias in aliases:
        before = move_alias(parts.backend, artifact, alias, _record(parts, number, digest))
        moves.append(AliasMove(str(alias), number, before.record.number if before else None))
    if aliases and is_hidden(parts.backend, list_slots(parts.backend, artifact), number):
        raise ConflictError(
            f"{artifact}:v{number} was deleted while {', '.join(map(str, aliases))} moved to it",
            code=ErrorCode.LOST_RACE,
            hint=f"move the alias elsewhere, or cas restore {artifact}:v{number}",
        )
    return moves


def untag(parts: StoreParts, artifact: ArtifactName, aliases: Sequence[str]) -> list[AliasMove]:
    """Remove aliases.

    Raises:
        NotFoundError: one of them is not set; then none is removed.
    """
    names = [AliasName(alias) for alias in aliases]
    states = read_aliases(parts.backend, artifact)
    if not states and not list_slots(parts.backend, artifact).slots:
        raise unknown_artifact(parts.backend, artifact)
    live = [alias for alias, state in states.items() if state.record.number is not None]
    for name in names:
        if str(name) not in live:
            near = near_names(str(name), live)
            raise NotFoundError(
                f"{artifact} has no alias {str(name)!r}",
                code=ErrorCode.ALIAS_NOT_FOUND,
                hint=f"did you mean {near}?" if near else None,
            )
    moves = []
    for name in names:
        before = move_alias(parts.backend, artifact, name, _record(parts, None, None))
        moves.append(AliasMove(str(name), None, before.record.number if before else None))
    return moves


def _record(parts: StoreParts, number: int | None, digest: VersionDigest | None) -> AliasRecord:
    return AliasRecord(
        number=number,
        digest=digest,
        created_ns=parts.clock.now_ns(),
        # A mark of its own makes every move distinct, so its writer knows it when read back.
        session=SessionId(random_bytes(SESSION_ID_BYTES)),
    )
