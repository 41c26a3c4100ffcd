"""Settling sessions that seem dead: step G3 of specs/protocol/collection.md.

Whoever is taken for dead and is not finds the void in its slot, and goes on under another name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cas.backend.base import create_confirmed
from cas.errors import CorruptionError, InvalidInputError, NotFoundError
from cas.format import keys
from cas.format.encoding import malformed
from cas.format.session import Intent
from cas.format.version import VoidRecord, decode_revision, encode_revision
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.listed_sessions import ListedIntent, list_intents, read_intent
from cas.objects.parts import StoreParts
from cas.objects.versions import publish, read_slot
from cas.operations.brakes import Brake, BrakeKind


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the sessions that seemed dead.

    Attributes:
        settled: sessions that can publish nothing any more, each with the keys of the intents that
            it was settled by. Newer ones of the same session are not among them.
        voided: slots that were taken from them.
        brakes: sessions that could not be read, and so were not settled unless that is ignored.
    """

    settled: Mapping[SessionId, tuple[str, ...]]
    voided: tuple[str, ...] = ()
    brakes: tuple[Brake, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys of all these intents."""
        return [key for intents in self.settled.values() for key in intents]


class Grace:
    """Guesses who is still at work, by when they last stored something."""

    def __init__(self, parts: StoreParts, seconds: float) -> None:
        self._backend = parts.backend
        self._grace_ns = int(seconds * 1e9)
        self.now_ns = parts.clock.now_ns()

    def is_over(self, time_ns: int | None) -> bool:
        """Tell whether something was stored too long ago for its writer to need it still."""
        if time_ns is None or self._grace_ns <= 0:
            return True
        return time_ns + self._grace_ns <= self.now_ns

    @property
    def since_ns(self) -> int:
        """What was stored after it is young."""
        return self.now_ns - self._grace_ns if self._grace_ns > 0 else 1 << 62

    def seems_dead(self, intents: Sequence[ListedIntent]) -> bool:
        """Tell whether the writer of these intents is gone; a wrong guess costs work, never data."""
        if self._grace_ns <= 0:
            return True
        times = [one.modified_ns for one in intents]
        if None in times:
            # The storage does not tell: the writer's own word must do.
            try:
                last = read_intent(self._backend, intents[-1])
            except CorruptionError:
                return True
            return last is not None and self.is_over(last.created_ns)
        return all(self.is_over(time) for time in times)

    def is_told(self, intents: Sequence[ListedIntent]) -> bool:
        """Tell whether the age of intents is known without reading them, or makes no difference."""
        return self._grace_ns <= 0 or all(one.modified_ns is not None for one in intents)


def settle_dead_sessions(
    parts: StoreParts, grace: Grace, *, ignore_unreadable: bool = False
) -> Settlement:
    """Settle every session that seems dead. Call it only while a condemn record stands.

    Args:
        ignore_unreadable: intents that cannot be read count for nothing, and go with the others. A
            person says so: they protect nothing any more, and would stop every collection.

    Raises:
        BackendError: the storage failed; what was settled stays so.
    """
    settled: dict[SessionId, tuple[str, ...]] = {}
    voided: list[str] = []
    brakes: list[Brake] = []
    for session, intents in list_intents(parts.backend).items():
        if not grace.seems_dead(intents):
            continue
        targets, damage = _targets(parts, intents)
        ends = damage is None or (ignore_unreadable and grace.is_told(intents))
        try:
            for target in targets if ends else ():
                voided += _settle(parts, session, target)
        except CorruptionError as error:
            brakes.append(Brake(BrakeKind.UNREADABLE_PAGE, str(error)))
            continue
        if damage is not None:
            brakes.append(brake_of_intent(damage))
        if ends:
            settled[session] = tuple(one.key for one in intents)
    return Settlement(settled, tuple(voided), tuple(brakes))


@dataclass(frozen=True, slots=True)
class _Target:
    """A slot, or a revision of one, that a session may create."""

    artifact: ArtifactName
    slot: int
    revision: int | None


def brake_of_intent(damage: CorruptionError) -> Brake:
    """Return why a collection stops at an intent that cannot be read."""
    message = f"{damage}, which a put or reader left that seems dead: what it protects is not known"
    return Brake(BrakeKind.UNREADABLE_PAGE, message)


def _targets(
    parts: StoreParts, intents: Sequence[ListedIntent]
) -> tuple[list[_Target], CorruptionError | None]:
    """What the final intents name, each once, mostly one slot, or nothing; and why that may not be
    all.
    """
    found: dict[_Target, None] = {}
    damage: CorruptionError | None = None
    for listed in intents:
        try:
            intent = read_intent(parts.backend, listed)
            if intent is not None and intent.final:
                found[_target_of(intent, listed.key)] = None
        except CorruptionError as error:
            damage = error
    return list(found), damage


def _target_of(intent: Intent, key: str) -> _Target:
    assert intent.artifact is not None  # the decoder sees to it
    assert intent.slot is not None
    try:
        return _Target(ArtifactName(intent.artifact), intent.slot, intent.revision)
    except InvalidInputError as error:
        raise malformed(key, str(error)) from error


def _settle(parts: StoreParts, session: SessionId, target: _Target) -> Iterator[str]:
    """Make sure that a session stands where it could, or never will; yield what was voided."""
    if target.revision is not None:
        yield from _settle_revision(parts, session, target)
        return
    number = target.slot
    while True:
        # Looked at before it is created: on a storage that replaces what it is asked to create, a
        # void would take the place of a version.
        stands = read_slot(parts.backend, target.artifact, number)
        if stands is None:
            stands = publish(parts.backend, VoidRecord(session), target.artifact, number)
            if stands == VoidRecord(session):
                yield f"{target.artifact}:v{number}"
        if stands.session == session:
            return
        number += 1


def _settle_revision(parts: StoreParts, session: SessionId, target: _Target) -> Iterator[str]:
    """Either it stands there, or another does, or the void: it will create nothing any more."""
    assert target.revision is not None
    key = keys.revision_key(target.artifact, target.slot, target.revision)
    try:
        content = parts.backend.get(key)
    except NotFoundError:
        void = encode_revision(VoidRecord(session))
        content = create_confirmed(parts.backend, key, void)
        if content == void:
            yield f"{target.artifact}:v{target.slot} revision {target.revision}"
    decode_revision(content, what=key)
