"""Deleting, purging, restoring, and moving an alias."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.rules import Rule
from protocol.steps import OVER, Go, Move, Send, Setting, at, step
from protocol.store import PURGE, RESTORE, TRASH, Store


def moves(store: Store) -> str:
    """Return the moves of version 0."""
    slot = store.slot(0)
    assert slot is not None
    return slot.moves


@step
def remove(store: Store, _setting: Setting, then: str) -> Iterable[Move]:
    """D1: move version 0 to the trash, and then purge it, look at the aliases, or end."""
    place = len(moves(store))
    ready = (then,) if then else OVER
    yield Send("moves v0 to the trash", ("create_move", 0, place, TRASH), ready, OVER)


@step
def purge(store: Store, _setting: Setting) -> Iterable[Move]:
    """D3: read the moves; go on if the last one is to the trash."""
    if moves(store)[-1:] == TRASH:
        yield Go("finds v0 in the trash", at(move_last, len(moves(store)), PURGE))


@step
def restore(store: Store, setting: Setting) -> Iterable[Move]:
    """D2: read the moves; go on if the last one is to the trash."""
    if moves(store)[-1:] == TRASH:
        yield Go("finds v0 in the trash", at(move_last, len(moves(store)), RESTORE))
    elif not setting.keeps(Rule.D_NUMBERED) and moves(store)[-1:] == PURGE:
        yield Go("takes v0 for trashed", at(move_last, len(moves(store)), RESTORE))


@step
def move_last(_store: Store, _setting: Setting, place: int, move: str) -> Iterable[Move]:
    """Create the move after the last one seen; who comes second does nothing."""
    yield Send(f"makes move {place} of v0: {move}", ("create_move", 0, place, move), OVER, OVER)


@step
def free_newest(store: Store, setting: Setting) -> Iterable[Move]:
    """Delete the newest version's record, so that its number is free, against the rules."""
    if len(store.slots) > 1 and not setting.keeps(Rule.D_SLOT_STAYS):
        yield Send("frees the newest slot", ("free_slot",), OVER)


@step
def look_at_aliases(store: Store, _setting: Setting) -> Iterable[Move]:
    """D1: say so if an alias points to what was just removed."""
    points_here = store.aliases[-1:] == (0,)
    yield Go(f"lists aliases: {points_here}", at(told_of_alias) if points_here else OVER)


@step
def move_alias(store: Store, _setting: Setting) -> Iterable[Move]:
    """A1: read version 0, and go on if it is visible."""
    slot = store.slot(0)
    if slot is not None and not slot.hidden:
        yield Go("finds v0 visible", at(point, len(store.aliases)))


@step
def point(_store: Store, setting: Setting, generation: int) -> Iterable[Move]:
    """A1: create the next generation."""
    look = at(look_again) if setting.keeps(Rule.A1_TWICE) else OVER
    yield Send("moves the alias to v0", ("create_alias", generation, 0), look, OVER)


@step
def look_again(store: Store, _setting: Setting) -> Iterable[Move]:
    """A1: say so if the version is hidden by now."""
    slot = store.slot(0)
    hidden = slot is None or slot.hidden
    yield Go(f"looks again, hidden: {hidden}", at(told_of_alias) if hidden else OVER)


@step
def told_of_alias(_store: Store, _setting: Setting) -> Iterable[Move]:
    """End after somebody was told that an alias leads to a hidden version."""
    return ()
