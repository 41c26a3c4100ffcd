"""Brakes of a collection: against bugs and storages that answer wrongly, not against races."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cas.errors import CorruptionError, ErrorCode, RefusedError


class BrakeKind(StrEnum):
    """Why a collection stops before it deletes; the name is what overrides it."""

    TOO_MUCH = "too-much"
    MISSING_BLOB = "missing-blob"
    UNREADABLE_PAGE = "unreadable-page"
    SHORT_LISTING = "short-listing"
    YOUNG_LOSS = "young-loss"


@dataclass(frozen=True, slots=True)
class Brake:
    """A brake that holds, and what it saw."""

    kind: BrakeKind
    message: str


_SHOWN = 4
_ADVICE = {
    BrakeKind.TOO_MUCH: "if that is what was deleted on purpose",
    BrakeKind.MISSING_BLOB: "first cas repair, or delete the versions; if what is missing is lost",
    BrakeKind.UNREADABLE_PAGE: "first cas repair, or delete the version; if the object is lost",
    BrakeKind.SHORT_LISTING: "first find out why the storage lists less than there is; if it is gone",
    BrakeKind.YOUNG_LOSS: "first find out who deletes objects of this store besides cas; if none does",
}


def with_unread(brakes: Sequence[Brake], unread: CorruptionError | None) -> list[Brake]:
    """Return brakes and one more for a record without which the rules of retention mean nothing,
    unless what is unreadable is told already.
    """
    kind = BrakeKind.UNREADABLE_PAGE
    if unread is None or any(brake.kind is kind for brake in brakes):
        return list(brakes)
    way_out = f" ({unread.hint})" if unread.hint else ""
    return [*brakes, Brake(kind, f"{unread}{way_out}")]


def holds_beside_too_much(brakes: Sequence[Brake], overrides: Iterable[BrakeKind]) -> bool:
    """Tell whether a brake holds that says that the store is not what it seems to be."""
    allowed = {BrakeKind.TOO_MUCH, *overrides}
    return any(brake.kind not in allowed for brake in brakes)


def refuse(
    brakes: Sequence[Brake], overrides: Iterable[BrakeKind], *, before: str | None = None
) -> None:
    """Raise if a brake holds that is not overridden.

    Args:
        brakes: those that were found.
        overrides: those that shall not hold.
        before: what was done all the same, if there is more to it than looking.

    Raises:
        RefusedError: saying why, and what overrides it (BRAKE).
    """
    allowed = set(overrides)
    holding = [brake for brake in brakes if brake.kind not in allowed]
    if not holding:
        return
    kinds = list(dict.fromkeys(brake.kind for brake in holding))
    shown = "; ".join(brake.message for brake in holding[:_SHOWN])
    more = f"; and {len(holding) - _SHOWN} more" if len(holding) > _SHOWN else ""
    flags = " ".join(f"--override {kind.value}" for kind in kinds)
    raise RefusedError(
        f"nothing was deleted{f', but {before}' if before else ''}: {shown}{more}",
        code=ErrorCode.BRAKE,
        hint=f"{_ADVICE[kinds[0]]}: {flags}",
    )
