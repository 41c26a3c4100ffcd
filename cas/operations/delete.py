"""Deleting versions into the trash or for good, and restoring them.

Steps D1 to D3 of specs/protocol/put.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from cas.errors import ConflictError, CorruptionError, ErrorCode, NotFoundError
from cas.format.version import MoveKind, VersionRecord
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    add_move,
    is_given_up,
    list_slots,
    read_last_move,
    read_slot,
    unknown_artifact,
)
from cas.operations.guarantees import require_create_if_absent
from cas.operations.plan_delete import plan_delete, refuse_obstacles, trashed_numbers
from cas.operations.purge import purge
from cas.operations.show_history import live_aliases

PURGE_REASON = "deleted for good by its name"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A version that was moved to the trash, back, or out of the store, and what points to it."""

    artifact: str
    number: int
    aliases: tuple[str, ...]


def delete(parts: StoreParts, ref: Ref, *, force: bool, now: bool = False) -> list[Deletion]:
    """Move a version, or with a bare name every version, to the trash, or delete it for good.

    Raises:
        NotFoundError: no such version.
        RefusedError: aliases point to it or versions were made from it, and `force` is not set.
        ConflictError: somebody else moved it at the same moment.
        UnsupportedError: the storage cannot keep two deciders apart.
    """
    require_create_if_absent(parts, "deleting versions")
    plan, listing = plan_delete(parts, ref, now=now)
    if not force:
        refuse_obstacles(plan)
    for one in plan.versions:
        if not one.in_trash:
            _move(parts, listing, one.number, MoveKind.TRASH, is_purge_fine=now)
    # D1: look again, since an alias may have moved here meanwhile.
    aliases = live_aliases(parts, ref.artifact)
    if now:
        listing = list_slots(parts.backend, ref.artifact)
        for one in plan.versions:
            if not purge(parts, listing, one.number, PURGE_REASON):
                raise _overtaken(listing, one.number)
    return [_deletion(ref, one.number, aliases) for one in plan.versions]


def restore(parts: StoreParts, ref: Ref) -> list[Deletion]:
    """Bring a version, or with a bare name every trashed version, back from the trash.

    Raises:
        NotFoundError: nothing of that name is in the trash.
        ConflictError: somebody else moved it at the same moment.
        UnsupportedError: the storage cannot keep two deciders apart.
    """
    require_create_if_absent(parts, "restoring versions")
    listing = list_slots(parts.backend, ref.artifact)
    if not listing.slots:
        raise unknown_artifact(parts.backend, ref.artifact)
    trashed = trashed_numbers(parts, listing, ref)
    if not trashed:
        raise _not_in_trash(parts, listing, ref)
    for number in trashed:
        _move(parts, listing, number, MoveKind.RESTORE)
    aliases = live_aliases(parts, ref.artifact)
    return [_deletion(ref, number, aliases) for number in trashed]


def _not_in_trash(parts: StoreParts, listing: SlotListing, ref: Ref) -> NotFoundError:
    number = ref.number
    if ref.alias is not None:
        number = live_aliases(parts, ref.artifact).get(str(ref.alias))
    if number is not None and read_last_move(parts.backend, listing, number) is MoveKind.PURGE:
        return NotFoundError(
            f"{ref.artifact}:v{number} was deleted for good: nothing can bring it back",
            code=ErrorCode.VERSION_DELETED,
            hint=f"if you have the files, cas put FOLDER {ref.artifact} makes a new version of them",
        )
    is_whole = number is None and ref.digest_prefix is None
    if is_whole and not any(_is_left(parts, listing, one) for one in listing.slots):
        return NotFoundError(
            f"every version of {ref.artifact} was deleted for good: nothing can bring them back",
            code=ErrorCode.VERSION_DELETED,
            hint=f"if you have the files, cas put FOLDER {ref.artifact} makes a new version of them",
        )
    what = f"no version of {ref.artifact} is" if is_whole else f"{ref} is not"
    return NotFoundError(
        f"{what} in the trash",
        code=ErrorCode.VERSION_NOT_FOUND,
        hint=f"cas log --all {ref.artifact} shows what is",
    )


def _is_left(parts: StoreParts, listing: SlotListing, number: int) -> bool:
    """Tell whether a slot holds a version that is not known to be purged."""
    if is_given_up(parts.backend, listing, number):
        return False
    try:
        return isinstance(read_slot(parts.backend, listing.artifact, number), VersionRecord)
    except CorruptionError:
        return True


def _move(
    parts: StoreParts,
    listing: SlotListing,
    number: int,
    kind: MoveKind,
    *,
    is_purge_fine: bool = False,
) -> None:
    k = listing.moves.get(number, 0) + 1
    mark = parts.clock.now_ns()
    stands = add_move(parts.backend, listing.artifact, number, k, kind, mark)
    # Another's move of the same kind has done the same thing.
    if stands.kind is not kind and not (is_purge_fine and stands.kind is MoveKind.PURGE):
        raise _overtaken(listing, number)


def _overtaken(listing: SlotListing, number: int) -> ConflictError:
    return ConflictError(
        f"{listing.artifact}:v{number} was moved by somebody else at the same moment",
        code=ErrorCode.LOST_RACE,
        hint=f"cas log --all {listing.artifact} shows how it stands; then try again",
    )


def _deletion(ref: Ref, number: int, aliases: dict[str, int]) -> Deletion:
    pointing = tuple(alias for alias, target in aliases.items() if target == number)
    return Deletion(str(ref.artifact), number, pointing)
