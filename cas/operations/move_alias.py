"""Moving, removing and protecting aliases. Steps as in specs/protocol/put.md, A1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cas.environment import random_bytes
from cas.errors import ConflictError, ErrorCode, NotFoundError, RefusedError
from cas.format.version import AliasRecord
from cas.model.ids import SESSION_ID_BYTES, SessionId, VersionDigest
from cas.model.names import AliasName, ArtifactName, Ref
from cas.objects.aliases import AliasState, change_alias, read_alias, read_aliases
from cas.objects.parts import StoreParts
from cas.objects.versions import is_hidden, list_slots, near_names, unknown_artifact
from cas.operations.resolve import resolve_record

Change = Callable[[AliasState | None], AliasRecord]


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias and where it points now and before; None is nowhere."""

    alias: str
    number: int | None
    previous: int | None


def tag(
    parts: StoreParts,
    ref: Ref,
    aliases: Sequence[str],
    *,
    protect: bool = False,
    force: bool = False,
) -> list[AliasMove]:
    """Point aliases to a version, and protect them if that is wanted.

    Raises:
        NotFoundError: no such version.
        ConflictError: the version was deleted while the alias was moved.
        RefusedError: an alias is protected, points elsewhere, and `force` is not set.
    """
    names = [AliasName(alias) for alias in aliases]
    record = resolve_record(parts, ref).record
    if not force:
        refuse_protected(parts, record.artifact, names, to=record.number)
    return move_aliases(
        parts, (record.artifact, record.number, record.digest), names, protect=protect, force=force
    )


def move_aliases(
    parts: StoreParts,
    version: tuple[ArtifactName, int, VersionDigest],
    aliases: Sequence[AliasName],
    *,
    protect: bool = False,
    force: bool = False,
) -> list[AliasMove]:
    """Point aliases to a version that was visible a moment ago; look again afterwards.

    Raises:
        ConflictError: the version was deleted meanwhile.
        RefusedError: an alias is protected, points elsewhere, and `force` is not set.
    """
    artifact, number, digest = version
    moves = []

    def point(before: AliasState | None) -> AliasRecord:
        if not force:
            _refuse(artifact, before, number, "moved")
        stays = before is not None and before.record.protected
        return _record(parts, number, digest, protected=protect or stays)

    for alias in aliases:
        before = change_alias(parts.backend, artifact, alias, point)
        moves.append(AliasMove(str(alias), number, _previous(before)))
    if aliases and is_hidden(parts.backend, list_slots(parts.backend, artifact), number):
        raise ConflictError(
            f"{artifact}:v{number} was deleted while {', '.join(map(str, aliases))} moved to it",
            code=ErrorCode.LOST_RACE,
            hint=f"move the alias elsewhere, or cas restore {artifact}:v{number}",
        )
    return moves


def untag(
    parts: StoreParts, artifact: ArtifactName, aliases: Sequence[str], *, force: bool = False
) -> list[AliasMove]:
    """Remove aliases.

    Raises:
        NotFoundError: one of them is not set; then none is removed.
        RefusedError: one of them is protected and `force` is not set; likewise.
    """
    names = _require_set(parts, artifact, aliases)
    if not force:
        for name in names:
            before = read_alias(parts.backend, artifact, name, past_damage=True)
            _refuse(artifact, before, None, "removed")

    def remove(before: AliasState | None) -> AliasRecord:
        if not force:
            _refuse(artifact, before, None, "removed")
        return _record(parts, None, None, protected=False)

    moves = []
    for name in names:
        before = change_alias(parts.backend, artifact, name, remove)
        moves.append(AliasMove(str(name), None, _previous(before)))
    return moves


def set_protection(
    parts: StoreParts, artifact: ArtifactName, aliases: Sequence[str], *, protected: bool
) -> list[AliasMove]:
    """Protect aliases, or take the protection away; where they point does not change.

    Raises:
        NotFoundError: one of them is not set; then nothing is changed.
    """
    names = _require_set(parts, artifact, aliases)

    def mark(before: AliasState | None) -> AliasRecord:
        if before is None or before.is_damaged or before.record.number is None:
            raise _not_set(artifact, str(name), [])
        record = before.record
        return _record(parts, record.number, record.digest, protected=protected)

    moves = []
    for name in names:
        state = read_alias(parts.backend, artifact, name)
        if state is None or state.record.protected != protected:
            state = change_alias(parts.backend, artifact, name, mark)
        number = state.record.number if state else None
        moves.append(AliasMove(str(name), number, number))
    return moves


def refuse_protected(
    parts: StoreParts, artifact: ArtifactName, aliases: Sequence[AliasName], *, to: int | None
) -> None:
    """Raise before anything is done if one of the aliases is protected and points elsewhere.

    Raises:
        RefusedError: it is.
    """
    for alias in aliases:
        before = read_alias(parts.backend, artifact, alias, past_damage=True)
        _refuse(artifact, before, to, "moved")


def _refuse(artifact: ArtifactName, before: AliasState | None, to: int | None, act: str) -> None:
    if before is None or not before.record.protected or before.record.number in (None, to):
        return
    option = "--remove --force" if act == "removed" else "--force"
    raise RefusedError(
        f"the alias {before.alias} of {artifact} is protected and points to "
        f"v{before.record.number}: it is not {act}",
        code=ErrorCode.BRAKE,
        hint=f"cas tag {option} does it all the same; cas tag --unprotect {artifact} "
        f"{before.alias} ends the protection",
    )


def _require_set(
    parts: StoreParts, artifact: ArtifactName, aliases: Sequence[str]
) -> list[AliasName]:
    names = [AliasName(alias) for alias in aliases]
    states = read_aliases(parts.backend, artifact, past_damage=True)
    if not states and not list_slots(parts.backend, artifact).slots:
        raise unknown_artifact(parts.backend, artifact)
    live = [
        alias
        for alias, state in states.items()
        if state.is_damaged or state.record.number is not None
    ]
    for name in names:
        if str(name) not in live:
            raise _not_set(artifact, str(name), live)
    return names


def _previous(before: AliasState | None) -> int | None:
    """Where an alias pointed before, as far as that is known."""
    return None if before is None or before.is_damaged else before.record.number


def _not_set(artifact: ArtifactName, alias: str, live: list[str]) -> NotFoundError:
    near = near_names(alias, live)
    return NotFoundError(
        f"{artifact} has no alias {alias!r}",
        code=ErrorCode.ALIAS_NOT_FOUND,
        hint=f"did you mean {near}?" if near else None,
    )


def _record(
    parts: StoreParts, number: int | None, digest: VersionDigest | None, *, protected: bool
) -> AliasRecord:
    return AliasRecord(
        number=number,
        digest=digest,
        created_ns=parts.clock.now_ns(),
        # A mark of its own makes every move distinct, so its writer knows it when read back.
        session=SessionId(random_bytes(SESSION_ID_BYTES)),
        protected=protected,
    )
