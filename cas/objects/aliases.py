"""Aliases: names for versions that move, and the history of their moves.

Whoever creates the next move first has it for ever. Spec: specs/protocol/put.md
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from cas.backend.base import Backend, create_confirmed
from cas.errors import CorruptionError, NotFoundError
from cas.format import keys
from cas.format.version import AliasRecord, decode_alias, encode_alias
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.model.names import AliasName, ArtifactName
from cas.objects.records import read_record


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where an alias points after its last move; number None means that it was removed.

    Attributes:
        damage: why the last move cannot be read, or None; `record` is then the newest one before it
            that can.
    """

    alias: AliasName
    generation: int
    record: AliasRecord
    damage: CorruptionError | None = field(default=None, compare=False)

    @property
    def is_damaged(self) -> bool:
        """Whether the last move cannot be read."""
        return self.damage is not None


def read_aliases(
    backend: Backend, artifact: ArtifactName, *, past_damage: bool = False
) -> dict[str, AliasState]:
    """Return the last move of every alias of an artifact, removed ones too, by name.

    Args:
        past_damage: give those whose last move is damaged as such, for what need not know it.

    Raises:
        CorruptionError: a move is damaged, without `past_damage`.
    """
    generations: dict[str, int] = {}
    for stored in backend.list_objects(keys.aliases_prefix(artifact)):
        parsed = keys.parse_alias_key(stored.key)
        if parsed is not None:
            alias, generation = parsed
            generations[alias] = max(generations.get(alias, -1), generation)
    return {
        alias: _read_alias(backend, artifact, AliasName(alias), generation, past_damage)
        for alias, generation in sorted(generations.items())
    }


def read_alias(
    backend: Backend, artifact: ArtifactName, alias: AliasName, *, past_damage: bool = False
) -> AliasState | None:
    """Return the last move of one alias, or None if it was never set. See `read_aliases`."""
    prefix = keys.alias_prefix(artifact, alias)
    parsed = (keys.parse_alias_key(stored.key) for stored in backend.list_objects(prefix))
    generation = max((found[1] for found in parsed if found is not None), default=None)
    if generation is None:
        return None
    return _read_alias(backend, artifact, alias, generation, past_damage)


def move_alias(
    backend: Backend, artifact: ArtifactName, alias: AliasName, record: AliasRecord
) -> AliasState | None:
    """Add a move to an alias's history, after whatever others add meanwhile.

    Returns:
        The state that was replaced, or None if there was none.
    """
    return change_alias(backend, artifact, alias, lambda _: record)


def change_alias(
    backend: Backend,
    artifact: ArtifactName,
    alias: AliasName,
    change: Callable[[AliasState | None], AliasRecord],
) -> AliasState | None:
    """Add a move that depends on the one before it, after whatever others add meanwhile.

    Args:
        change: gives the move that follows a state, or raises if none may follow it. It is asked
            again for every move that another was faster with. A damaged state is no reason not to:
            what is set anew is what it says from then on.

    Returns:
        The state that was replaced, or None if there was none.
    """
    before = read_alias(backend, artifact, alias, past_damage=True)
    while True:
        generation = 0 if before is None else before.generation + 1
        content = encode_alias(change(before))
        key = keys.alias_key(artifact, alias, generation)
        if create_confirmed(backend, key, content) == content:
            return before
        before = _read_alias(backend, artifact, alias, generation, past_damage=True)


def _read_alias(
    backend: Backend,
    artifact: ArtifactName,
    alias: AliasName,
    generation: int,
    past_damage: bool,  # noqa: FBT001
) -> AliasState:
    key = keys.alias_key(artifact, alias, generation)
    try:
        return AliasState(alias, generation, read_record(backend, key, decode_alias))
    except CorruptionError as error:
        damage = CorruptionError(
            f"{error}; where the alias {alias} of {artifact} points is not known",
            code=error.code,
            hint=f"cas tag {artifact}:v<NUMBER> {alias} sets it anew; cas log {artifact} lists "
            "the versions",
        )
        if not past_damage:
            raise damage from error
    for older in range(generation - 1, -1, -1):
        key = keys.alias_key(artifact, alias, older)
        with suppress(CorruptionError, NotFoundError):
            record = read_record(backend, key, decode_alias)
            return AliasState(alias, generation, record, damage)
    mark = SessionId(bytes(SESSION_ID_BYTES))
    nothing = AliasRecord(number=None, digest=None, created_ns=0, session=mark)
    return AliasState(alias, generation, nothing, damage)
