"""What must hold in every state, and marks by which one sees that the state was worth reaching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocol.recovery import broken_version, unrecoverable
from protocol.steps import Local, Setting
from protocol.store import OLD, Request, Store

TOLD = ("told", "told_all")


def wrong_with_store(store: Store, late: tuple[Request, ...], setting: Setting) -> str | None:
    """Say what is wrong with a store, now or after everybody died."""
    wrong = broken_version(store, setting)
    if wrong:
        return wrong
    owners = [slot.sid for _, slot in store.versions()]
    if len(owners) != len(set(owners)):
        return "one session published twice"
    if "no clean-up" in setting.variants:
        return None
    return unrecoverable(store, late, setting)


def wrong_with_actor(store: Store, local: Local) -> str | None:
    """Say what is wrong with what an actor was told."""
    if local[0] in TOLD:
        sid, number, _ = local[-3:]
        slot = store.slot(number)
        if slot is None or not slot.is_version or slot.sid != sid:
            return f"session {sid} was told v{number}, which is not its version"
    if local[0] == "reader_failed":
        return f"a reader misses a blob of a version that is {local[1]}"
    return None


def wrong_at_end(store: Store, locals_: Sequence[Local]) -> str | None:
    """Say what is wrong when nobody has a move left."""
    if not store.aliases or any(local[0] == "told_of_alias" for local in locals_):
        return None
    slot = store.slot(store.aliases[-1])
    if slot is None or slot.hidden:
        return "an alias leads to a hidden version and nobody was told"
    return None


def marks_of(store: Store, local: Local) -> Iterator[str]:
    """Return what is remarkable about an actor beside the store."""
    yield local[0]
    if local[0] not in TOLD:
        return
    if not store.blobs & OLD:
        yield "told after the old blob went"
    if store.floor:
        yield "told after records expired"
    if any(slot is not None and not slot.is_version for slot in store.slots):
        yield "told after a void"
    if local[-3] > 1:
        yield "told after it was settled"
    if local[-1] & OLD and any(run.candidates & OLD for run in store.runs):
        yield "told of a blob that a run had condemned"
