"""The actors and stores that scenarios are made of, and how they are put together."""

from __future__ import annotations

from typing import Any

from protocol.collector import collect, finish
from protocol.explorer import Scenario
from protocol.reader import NO_PIN, PIN, read
from protocol.removal import free_newest, look_at_aliases, move_alias, purge, remove, restore
from protocol.repack import repack
from protocol.steps import Guesses, Local, Setting, at
from protocol.store import OLD, PAGE, Slot, Store, fresh
from protocol.upkeep import abandon, expire, merge
from protocol.writer import afresh, with_facts, with_journal, with_newest, with_segment

AUTHOR = 9  # the session that published version 0 before everything

ORPHAN = Store(blobs=OLD)  # no version needs the old blob
ONE = Store(blobs=OLD, slots=(Slot(AUTHOR, 0, ((AUTHOR, OLD),), ""),))
PAGED = Store(blobs=OLD | PAGE, slots=(Slot(AUTHOR, 0, ((AUTHOR, OLD | PAGE),), ""),))
SPARE = Store(blobs=OLD | PAGE)  # no version needs either
INDEXED = Store(blobs=OLD, segments=((OLD, 0),))

NOBODY = ((),)
FIRST = ((), (0,))  # whom a collector may take for dead
SURELY = ((0,),)
BOTH = ((), (0,), (1,), (0, 1))
RENEWED = ((), (0,), (0, 2))
REPACK, OTHER_REPACK = 4, 5  # session ids
SETTLE_REPACK = ((), (REPACK,))

ABANDON, EXPIRE, MERGE = at(abandon), at(expire), at(merge)
TRASH_ONLY, RESTORE, FREE = at(remove, ""), at(restore), at(free_newest)
RM, RM_ALIASED = at(remove, purge.__name__), at(remove, look_at_aliases.__name__)
ALIAS = at(move_alias)
READER, PINNED = at(read, NO_PIN), at(read, PIN)
NAMES_ROOT = {fresh(0): OLD}  # the root that the first writer stores leads there
LATE_OLD = ("put_blobs", OLD)  # a put from long ago that is still under way


def writer(sid: int, rely: int = OLD) -> Local:
    """Return a writer with facts as old as the store."""
    return at(with_facts, sid, rely)


def writer_on_newest(sid: int) -> Local:
    """Return a writer that knows what the newest version says, with its stamp."""
    return at(with_newest, sid, None)


def writer_afresh(sid: int) -> Local:
    """Return a writer that lists the log first and reads the newest version then."""
    return at(afresh, sid)


def writer_resuming(sid: int, of: int) -> Local:
    """Return a writer that goes on from another's journal."""
    return at(with_journal, sid, fresh(of))


def writer_with_index(sid: int) -> Local:
    """Return a writer that knows an index segment."""
    return at(with_segment, sid)


def collector(me: int, guesses: Guesses = NOBODY, *, condemns: int = 0) -> Local:
    """Return a collector that may take these sets of sessions for dead.

    It condemns any set of blobs that has one of `condemns` in it, if that is given.
    """
    return at(collect, me, guesses, condemns)


def finisher(me: int, guesses: Guesses = NOBODY) -> Local:
    """Return a collector that goes on with another's run."""
    return at(finish, me, guesses)


def repacker(sid: int = REPACK, *, keeps: int = 0) -> Local:
    """Return a repack of version 0."""
    return at(repack, sid, keeps)


def scenario(
    name: str,
    store: Store,
    *actors: Local,
    setting: dict[str, Any] | None = None,
    reaches: tuple[str, ...] = (),
    **more: Any,
) -> Scenario:
    """Return a scenario; writers begin with the first slot that is free."""
    fields = {"first_slot": len(store.slots), **(setting or {})}
    return Scenario(
        name=name, actors=actors, store=store, setting=Setting(**fields), reaches=reaches, **more
    )


def variants(*names: str) -> frozenset[str]:
    """Return names of variants."""
    return frozenset(names)
