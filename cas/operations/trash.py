"""Moving versions to the trash by a rule rather than by name: D1 of specs/protocol/put.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cas.format.version import MoveKind
from cas.model.names import ArtifactName
from cas.objects.parts import StoreParts
from cas.objects.versions import create_move, new_move
from cas.operations.census import Census, CountedVersion
from cas.operations.show_history import live_aliases


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """A version that was moved to the trash; `aliases` came to point at it meanwhile."""

    artifact: str
    number: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A version that was left as it is, since somebody did something to it meanwhile."""

    artifact: str
    number: int
    reason: str


@dataclass(slots=True)
class _Moved:
    trashed: list[Trashed] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)


def move_to_trash(
    parts: StoreParts, census: Census, versions: Sequence[CountedVersion], reason: str
) -> tuple[list[Trashed], list[Missed]]:
    """Move versions of a census to the trash, unless aliases came to point at them since.

    A version that was moved since the census is left alone: somebody restored it, or put it there.
    Aliases are read before the moves and again after them.
    """
    moved = _Moved()
    by_artifact: dict[ArtifactName, list[CountedVersion]] = {}
    for one in versions:
        by_artifact.setdefault(one.record.artifact, []).append(one)
    for artifact, some in by_artifact.items():
        _move_some(parts, census, artifact, some, reason, moved)
    return moved.trashed, moved.missed


def _move_some(
    parts: StoreParts,
    census: Census,
    artifact: ArtifactName,
    versions: Sequence[CountedVersion],
    reason: str,
    moved: _Moved,
) -> None:
    aliases = live_aliases(parts, artifact)
    moves = census.listings[artifact].moves
    going: list[int] = []
    for one in versions:
        number = one.record.number
        came = [alias for alias, to in aliases.items() if to == number and alias not in one.aliases]
        if came:
            why = f"alias {came[0]} was moved to it meanwhile"
            moved.missed.append(Missed(artifact=str(artifact), number=number, reason=why))
            continue
        move = new_move(MoveKind.TRASH, parts.clock.now_ns(), reason)
        k = moves.get(number, 0) + 1
        if create_move(parts.backend, artifact, number, k, move).kind is MoveKind.TRASH:
            going.append(number)
        else:
            why = "it was moved by somebody else meanwhile"
            moved.missed.append(Missed(artifact=str(artifact), number=number, reason=why))
    aliases = live_aliases(parts, artifact)
    for number in going:
        pointing = tuple(alias for alias, to in aliases.items() if to == number)
        moved.trashed.append(Trashed(artifact=str(artifact), number=number, aliases=pointing))
