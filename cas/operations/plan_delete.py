"""What a deletion would take, and what speaks against it: aliases, and versions made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cas.errors import CorruptionError, ErrorCode, NotFoundError, RefusedError
from cas.format.version import MoveKind, VersionRecord
from cas.model.names import Ref
from cas.objects.aliases import read_aliases
from cas.objects.parts import StoreParts
from cas.objects.versions import (
    SlotListing,
    list_slots,
    read_last_move,
    read_slot,
    unknown_artifact,
)
from cas.operations.census import find_users
from cas.operations.resolve import resolve_record
from cas.operations.show_history import live_aliases

SHOWN_OBSTACLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDeletion:
    """A version that would go.

    Attributes:
        size: bytes of its files.
        in_trash: it lies there already, or did before something that cannot be read.
        is_damaged: its record or its last move cannot be read.
        aliases: what points at it.
        protected: those of them that are protected.
        users: visible versions that were made from it and do not go with it, as references.
    """

    artifact: str
    number: int
    size: int
    in_trash: bool
    aliases: tuple[str, ...]
    protected: tuple[str, ...]
    users: tuple[str, ...]
    is_damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionPlan:
    """The versions that a reference asks to delete, the oldest first, and what stands against it.

    Attributes:
        target: the reference, by number where it was an alias or `latest`.
        is_whole: every version of the artifact was asked for.
        damaged_aliases: those of the artifact of which nobody knows where they point.
    """

    target: str
    is_whole: bool
    versions: tuple[PlannedDeletion, ...]
    damaged_aliases: tuple[str, ...] = ()

    @property
    def protections(self) -> tuple[str, ...]:
        """What can only be overridden by force, in words."""
        found = [
            f"protected alias {', '.join(one.protected)} of {one.artifact} points to v{one.number}"
            for one in self.versions
            if one.protected
        ]
        # It may be protected, too.
        found += [
            f"the alias {alias} is damaged and may point to {self.target}"
            for alias in self.damaged_aliases
        ]
        return tuple(found)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What must be confirmed, in words; protections among them."""
        found = list(self.protections)
        found += [
            f"what {one.artifact}:v{one.number} was cannot be read"
            for one in self.versions
            if one.is_damaged
        ]
        if not self.is_whole:
            found += [
                f"{', '.join(one.aliases)} of {one.artifact} points to v{one.number}"
                for one in self.versions
                if one.aliases and not one.protected
            ]
        found += [
            f"{_shorten(one.users)} made from {one.artifact}:v{one.number}"
            for one in self.versions
            if one.users
        ]
        return tuple(found)


def plan_delete(parts: StoreParts, ref: Ref, *, now: bool) -> tuple[DeletionPlan, SlotListing]:
    """Find what a deletion would take, and the listing in which it was found.

    Who was made from a version stands in the records of the whole store: those that this machine
    has not read yet are read, 16 at once.

    Args:
        now: for good, so that what lies in the trash is meant as well.

    Raises:
        NotFoundError: there is no such version.
    """
    is_whole = ref.number is None and ref.alias is None and ref.digest_prefix is None
    listing, numbers = _chosen(parts, ref, now=now, is_whole=is_whole)
    records = {number: _read_or_none(parts, listing, number) for number in numbers}
    every = read_aliases(parts.backend, ref.artifact, past_damage=True)
    states = {alias: state for alias, state in every.items() if not state.is_damaged}
    name = str(ref.artifact)
    users = find_users(
        parts,
        [
            ((name, number), record.digest)
            for number, record in records.items()
            if record is not None
        ],
    )
    going = {f"{name}:v{number}" for number in numbers}
    versions = tuple(
        PlannedDeletion(
            artifact=name,
            number=number,
            size=0 if record is None else record.totals.size,
            in_trash=_in_trash(parts, listing, number, unknown=True),
            is_damaged=record is None or _is_move_damaged(parts, listing, number),
            aliases=tuple(a for a, state in states.items() if state.record.number == number),
            protected=tuple(
                alias
                for alias, state in states.items()
                if state.record.number == number and state.record.protected
            ),
            users=tuple(user for user in users.get((name, number), ()) if user not in going),
        )
        for number, record in records.items()
    )
    target = name if is_whole else f"{name}:v{numbers[0]}"
    damaged = tuple(alias for alias, state in every.items() if state.is_damaged)
    plan = DeletionPlan(
        target=target, is_whole=is_whole, versions=versions, damaged_aliases=damaged
    )
    return plan, listing


def refuse_obstacles(plan: DeletionPlan) -> None:
    """Raise if something speaks against a deletion.

    Raises:
        RefusedError: aliases point at a version, or others were made from it.
    """
    found = plan.obstacles
    if found:
        more = len(found) - SHOWN_OBSTACLES
        raise RefusedError(
            "; ".join(found[:SHOWN_OBSTACLES]) + (f"; and {more} more" if more > 0 else ""),
            code=ErrorCode.BRAKE,
            hint="move the alias first, or delete all the same with --force"
            if plan.damaged_aliases or any(one.aliases for one in plan.versions)
            else "delete all the same with --force; cas show tells what was made from what",
        )


def trashed_numbers(parts: StoreParts, listing: SlotListing, ref: Ref) -> list[int]:
    """Return which versions that a reference names lie in the trash, the oldest first."""
    trashed = [
        number
        for number in sorted(listing.moves)
        if number in listing.slots and _in_trash(parts, listing, number, unknown=False)
    ]
    if ref.number is not None:
        return [number for number in trashed if number == ref.number]
    if ref.digest_prefix is not None:
        records = ((n, read_slot(parts.backend, ref.artifact, n)) for n in trashed)
        return [
            number
            for number, record in records
            if isinstance(record, VersionRecord) and record.digest.hex.startswith(ref.digest_prefix)
        ]
    if ref.alias is not None:
        target = live_aliases(parts, ref.artifact).get(str(ref.alias))
        return [number for number in trashed if number == target]
    return trashed


def _chosen(
    parts: StoreParts, ref: Ref, *, now: bool, is_whole: bool
) -> tuple[SlotListing, list[int]]:
    if not is_whole:
        if now:
            listing = list_slots(parts.backend, ref.artifact)
            trashed = trashed_numbers(parts, listing, ref)
            if trashed:
                return listing, trashed[:1]
        listing = list_slots(parts.backend, ref.artifact)
        if ref.number in listing.slots and _is_damaged(parts, listing, ref.number):
            if not now:
                read_last_move(parts.backend, listing, ref.number)
            return listing, [ref.number]
        resolved = resolve_record(parts, ref)
        return resolved.listing, [resolved.record.number]
    listing = list_slots(parts.backend, ref.artifact)
    if not listing.slots:
        raise unknown_artifact(parts.backend, ref.artifact)
    gone = (MoveKind.PURGE,) if now else (MoveKind.PURGE, MoveKind.TRASH)
    numbers = [
        number for number in sorted(listing.slots) if _is_there(parts, listing, number, gone)
    ]
    if not numbers:
        raise NotFoundError(
            f"every version of {ref.artifact} is deleted already",
            code=ErrorCode.VERSION_DELETED,
            hint=_next_step(ref, now=now),
        )
    return listing, numbers


def _in_trash(parts: StoreParts, listing: SlotListing, number: int, *, unknown: bool) -> bool:
    try:
        return read_last_move(parts.backend, listing, number) is MoveKind.TRASH
    except CorruptionError:
        return unknown


def _is_there(
    parts: StoreParts, listing: SlotListing, number: int, gone: tuple[MoveKind, ...]
) -> bool:
    """Tell whether a slot holds a version that did not go yet; a damaged one counts."""
    if not _is_move_damaged(parts, listing, number):
        if read_last_move(parts.backend, listing, number) in gone:
            return False
    elif MoveKind.TRASH in gone:
        return False  # it can only be given up for good
    try:
        return isinstance(read_slot(parts.backend, listing.artifact, number), VersionRecord)
    except CorruptionError:
        return True


def _is_damaged(parts: StoreParts, listing: SlotListing, number: int) -> bool:
    if _is_move_damaged(parts, listing, number):
        return True
    try:
        read_slot(parts.backend, listing.artifact, number)
    except CorruptionError:
        return True
    return False


def _is_move_damaged(parts: StoreParts, listing: SlotListing, number: int) -> bool:
    try:
        read_last_move(parts.backend, listing, number)
    except CorruptionError:
        return True
    return False


def _read_or_none(parts: StoreParts, listing: SlotListing, number: int) -> VersionRecord | None:
    try:
        record = read_slot(parts.backend, listing.artifact, number)
    except CorruptionError:
        return None
    assert isinstance(record, VersionRecord)
    return record


def _next_step(ref: Ref, *, now: bool) -> str:
    if now:
        return "cas gc frees what only they needed"
    return f"cas log {ref.artifact} --all shows what is in the trash; rm --now deletes it for good"


def _shorten(users: Iterable[str]) -> str:
    named = list(users)
    more = len(named) - SHOWN_OBSTACLES
    text = ", ".join(named[:SHOWN_OBSTACLES]) + (f" and {more} more" if more > 0 else "")
    return f"{text} {'was' if len(named) == 1 else 'were'}"
