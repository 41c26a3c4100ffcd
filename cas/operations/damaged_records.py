"""Records that a look at a whole store could not read, and what is not known without them."""

from __future__ import annotations

from dataclasses import dataclass

from cas.errors import CorruptionError, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRecord:
    """What cannot be read of an artifact.

    Attributes:
        number: the version of which it is, or None for an alias.
        alias: the alias whose last move it is, or None.
        hides_inputs: what the version was made from is not known, so it may be any other.
        code: the kind of damage.
        text: what is wrong.
        hint: what to do about it, or None.
    """

    artifact: str
    number: int | None = None
    alias: str | None = None
    hides_inputs: bool = False
    code: ErrorCode
    text: str
    hint: str | None = None

    @property
    def ref(self) -> str:
        """The version or alias as a reference: `name:v4`, `name:production`."""
        return f"{self.artifact}:{self.alias if self.number is None else f'v{self.number}'}"


def damage_of_version(
    artifact: str, number: int, error: CorruptionError, *, hides_inputs: bool = False
) -> DamagedRecord:
    """Return what an error says of a version."""
    return DamagedRecord(
        artifact=artifact,
        number=number,
        hides_inputs=hides_inputs,
        code=error.code,
        text=str(error),
        hint=error.hint,
    )


def damage_of_alias(artifact: str, alias: str, error: CorruptionError) -> DamagedRecord:
    """Return what an error says of an alias."""
    return DamagedRecord(
        artifact=artifact, alias=alias, code=error.code, text=str(error), hint=error.hint
    )


def as_error(damaged: DamagedRecord) -> CorruptionError:
    """Return the error again, for who cannot go on without the record."""
    return CorruptionError(damaged.text, code=damaged.code, hint=damaged.hint)
