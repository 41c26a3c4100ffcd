"""What must be possible at every moment: all clients die, and somebody cleans up."""

from __future__ import annotations

from protocol.collector import named_by_intents, named_by_versions
from protocol.log import resolved_prefix
from protocol.rules import Rule
from protocol.steps import Setting
from protocol.store import Intent, Request, Slot, Store, perform, reach

CLEANER = 99


def broken_version(store: Store, setting: Setting) -> str | None:
    """Say which version lacks a blob; one in the trash may not, as it can be restored."""
    for number, slot in store.versions():
        missing = reach(slot.needs, setting.pages) & ~store.blobs
        if missing:
            return f"v{number} lacks blob {missing:b}"
    return None


def unrecoverable(store: Store, late: tuple[Request, ...], setting: Setting) -> str | None:
    """Say what is wrong after all clients died, late requests landed or not, and a clean-up."""
    for landing in ((), late) if late else ((),):
        after = cleaned_up(store, setting)
        for request in landing:
            after, _ = perform(after, request, setting.out)
        wrong = broken_version(after, setting)
        if wrong:
            return f"after a clean-up and late requests {wrong}"
        wrong = left_over(cleaned_up(after, setting), setting)
        if wrong:
            return wrong
    return None


def left_over(store: Store, setting: Setting) -> str | None:
    """Say what two clean-ups lost, or left behind for ever."""
    live = 0
    for _, slot in store.versions():
        live |= reach(slot.needs, setting.pages)
    if live & ~store.blobs:
        return f"a clean-up deleted live blobs {live & ~store.blobs:b}"
    if store.blobs & ~live:
        return f"blobs {store.blobs & ~live:b} can never be collected"
    if store.intents:
        return "intents can never be collected"
    if resolved_prefix(store.runs, store.floor) != store.newest_run:
        return "a run stays open: its records never expire, its blobs are never shared"
    return None


def cleaned_up(store: Store, setting: Setting) -> Store:
    """Return the store after abandoning open runs and one whole collection, undisturbed."""
    out = setting.out
    if setting.keeps(Rule.B1):
        for number in range(store.floor + 1, len(store.runs) + 1):
            run = store.run(number)
            if run.maker is not None and run.cleared is None:
                store, _ = perform(store, ("create_verdict", number, run.candidates), out)
    number = store.newest_run + 1
    candidates = store.blobs & ~named_by_versions(store, setting)
    store, _ = perform(store, ("create_run", number, CLEANER, candidates), out)
    noted: tuple[Intent, ...] = ()
    kept = 0
    if setting.keeps(Rule.G3):
        noted = store.intents
        for intent in noted:
            store = settled(store, intent, setting)
    else:
        kept = named_by_intents(store, setting, ())
    cleared = candidates & (kept | named_by_versions(store, setting))
    store, _ = perform(store, ("create_verdict", number, cleared), out)
    store, _ = perform(store, ("delete_blobs", candidates & ~cleared), out)
    store, _ = perform(store, ("put_done", number), out)
    keys = tuple(intent[:2] for intent in noted)
    return perform(store, ("delete_intents", keys), out)[0]


def settled(store: Store, intent: Intent, setting: Setting) -> Store:
    """Return the store after the session of an intent has lost its place, or is found to have it."""
    if intent.target is None:
        return store
    if len(intent.target) == 2:
        request: Request = ("create_revision", intent.target, intent.sid, None)
        return perform(store, request, setting.out)[0]
    number = intent.target[0]
    while (found := store.slot(number)) is not None:
        if found.sid == intent.sid:
            return store
        number += 1
    return perform(store, ("create_slot", number, Slot(intent.sid, 0, (), "")), setting.out)[0]
