"""Deleting versions into the trash and restoring them. Steps D1 and D2 of specs/protocol/put.md."""

from __future__ import annotations

from dataclasses import dataclass

from cas.errors import ConflictError, ErrorCode, NotFoundError, RefusedError
from cas.format.version import MoveKind, VersionRecord
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    add_move,
    list_slots,
    read_last_move,
    read_slot,
    unknown_artifact,
)
from cas.operations.guarantees import require_create_if_absent
from cas.operations.resolve import resolve_record
from cas.operations.show_history import live_aliases


@dataclass(frozen=True, slots=True)
class Deletion:
    """A version that was moved to the trash or back, and the aliases that point to it."""

    artifact: str
    number: int
    aliases: tuple[str, ...]


def delete(parts: StoreParts, ref: Ref, *, force: bool) -> list[Deletion]:
    """Move a version, or with a bare name every version, to the trash.

    Raises:
        NotFoundError: no such version.
        RefusedError: aliases point to it and `force` is not set.
        ConflictError: somebody else moved it at the same moment.
        UnsupportedError: the storage cannot keep two deciders apart.
    """
    require_create_if_absent(parts, "deleting versions")
    is_whole = ref.number is None and ref.alias is None and ref.digest_prefix is None
    if is_whole:
        listing = list_slots(parts.backend, ref.artifact)
        if not listing.slots:
            raise unknown_artifact(parts.backend, ref.artifact)
        numbers = [n for n in sorted(listing.slots) if _is_live(parts, listing, n)]
        if not numbers:
            raise NotFoundError(
                f"every version of {ref.artifact} is deleted already",
                code=ErrorCode.VERSION_DELETED,
            )
    else:
        resolved = resolve_record(parts, ref)
        listing, numbers = resolved.listing, [resolved.record.number]
    aliases = live_aliases(parts, ref.artifact)
    if not is_whole and not force:
        _refuse_aliased(ref, numbers[0], aliases)
    for number in numbers:
        _move(parts, listing, number, MoveKind.TRASH)
    # D1: look again, since an alias may have moved here meanwhile.
    aliases = live_aliases(parts, ref.artifact)
    return [_deletion(ref, number, aliases) for number in numbers]


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
    trashed = [
        number
        for number in sorted(listing.slots)
        if read_last_move(parts.backend, listing, number) is MoveKind.TRASH
    ]
    if ref.number is not None:
        trashed = [number for number in trashed if number == ref.number]
    elif ref.digest_prefix is not None:
        records = ((n, read_slot(parts.backend, ref.artifact, n)) for n in trashed)
        trashed = [
            number
            for number, record in records
            if isinstance(record, VersionRecord) and record.digest.hex.startswith(ref.digest_prefix)
        ]
    elif ref.alias is not None:
        target = live_aliases(parts, ref.artifact).get(str(ref.alias))
        trashed = [number for number in trashed if number == target]
    if not trashed:
        raise NotFoundError(
            f"{ref} is not in the trash",
            code=ErrorCode.VERSION_NOT_FOUND,
            hint=f"cas log --all {ref.artifact} shows what is",
        )
    for number in trashed:
        _move(parts, listing, number, MoveKind.RESTORE)
    aliases = live_aliases(parts, ref.artifact)
    return [_deletion(ref, number, aliases) for number in trashed]


def _is_live(parts: StoreParts, listing: SlotListing, number: int) -> bool:
    move = read_last_move(parts.backend, listing, number)
    if move in (MoveKind.TRASH, MoveKind.PURGE):
        return False
    return isinstance(read_slot(parts.backend, listing.artifact, number), VersionRecord)


def _refuse_aliased(ref: Ref, number: int, aliases: dict[str, int]) -> None:
    pointing = [alias for alias, target in aliases.items() if target == number]
    if pointing:
        raise RefusedError(
            f"{', '.join(pointing)} of {ref.artifact} points to v{number}",
            code=ErrorCode.BRAKE,
            hint="move the alias first, or delete all the same with --force",
        )


def _move(parts: StoreParts, listing: SlotListing, number: int, kind: MoveKind) -> None:
    k = listing.moves.get(number, 0) + 1
    mark = parts.clock.now_ns()
    stands = add_move(parts.backend, listing.artifact, number, k, kind, mark)
    # Another's move of the same kind has done the same thing.
    if stands.kind is not kind:
        raise ConflictError(
            f"{listing.artifact}:v{number} was moved by somebody else at the same moment",
            code=ErrorCode.LOST_RACE,
            hint=f"cas log --all {listing.artifact} shows how it stands; then try again",
        )


def _deletion(ref: Ref, number: int, aliases: dict[str, int]) -> Deletion:
    pointing = tuple(alias for alias, target in aliases.items() if target == number)
    return Deletion(str(ref.artifact), number, pointing)
