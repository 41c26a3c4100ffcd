"""The collector: G2 to G8, and finishing a run that another one began.

What it condemns is any set of blobs, and the sessions that it takes for dead are any of those it
may guess: neither needs to make sense for the protocol to be safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from protocol.rules import Rule
from protocol.steps import OVER, Choose, Go, Guesses, Keys, Local, Move, Send, Setting, at, step
from protocol.store import Request, Slot, Store, reach


class Work(NamedTuple):
    """What a collector knows about the run it is at."""

    me: int
    guesses: Guesses
    must: int = 0  # it condemns at least one of these; 0: anything
    number: int = 0  # 0: not condemned yet
    candidates: int = 0
    dead: tuple[int, ...] = ()
    to_settle: tuple[int, ...] = ()
    noted: Keys = ()  # keys of intents of sessions that it settled


def subsets(mask: int) -> Iterator[int]:
    """Return every set of blobs among these but the empty one."""
    chosen = mask
    while chosen:
        yield chosen
        chosen = (chosen - 1) & mask


@step
def collect(
    _store: Store, setting: Setting, me: int, guesses: Guesses, must: int
) -> Iterable[Move]:
    """Begin."""
    begin = condemn if setting.keeps(Rule.G3_AFTER_G2) else choose_dead
    yield Choose("begins", at(begin, Work(me, guesses, must)))


@step
def condemn(store: Store, setting: Setting, work: Work) -> Iterable[Move]:
    """G2: condemn any set of the blobs that it lists, under the next number."""
    number = store.newest_run + 1
    for candidates in subsets(store.blobs):
        if work.must and not candidates & work.must:
            continue
        made = work._replace(number=number, candidates=candidates)
        request = ("create_run", number, work.me, candidates)
        label = f"condemns {candidates:b} in run {number}"
        unknown = at(look_condemned, made)
        yield Send(label, request, condemned(setting, made), at(condemn, work), unknown)
    yield Go("condemns nothing", OVER)


def condemned(setting: Setting, work: Work) -> Local:
    """Return what follows once the condemn record is durable."""
    return at(choose_dead if setting.keeps(Rule.G3_AFTER_G2) else list_intents, work)


@step
def look_condemned(store: Store, setting: Setting, work: Work) -> Iterable[Move]:
    """Read the condemn record after its reply was lost."""
    run = store.run(work.number)
    if (run.maker, run.candidates) == (work.me, work.candidates):
        yield Go("finds its run", condemned(setting, work))
    elif run.maker is not None:
        yield Go("finds another's run", at(condemn, work._replace(number=0, candidates=0)))
    else:
        request = ("create_run", work.number, work.me, work.candidates)
        here = at(look_condemned, work)
        yield Send("condemns again", request, condemned(setting, work), here, here)


# Settling ------------------------------------------------------------------------------------


@step
def choose_dead(_store: Store, setting: Setting, work: Work) -> Iterable[Move]:
    """G3: guess which sessions are dead."""
    for dead in work.guesses if setting.keeps(Rule.G3) else ((),):
        chosen = work._replace(dead=dead, to_settle=dead)
        yield Choose(f"takes {dead} for dead", at(settle, chosen))


@step
def settle(store: Store, setting: Setting, work: Work) -> Iterable[Move]:
    """Read the intents of the next session and find where it would publish."""
    if not work.to_settle or not setting.keeps(Rule.G3_TAKES_SLOT):
        ready = at(list_intents, work) if work.number else at(condemn, work)
        yield Choose("has settled all", ready)
        return
    sid = work.to_settle[0]
    intents = store.intents_of(sid)
    target = next((one.target for one in intents if one.target is not None), None)
    noted = tuple(one[:2] for one in intents)
    rest = work._replace(to_settle=work.to_settle[1:], noted=work.noted + noted)
    if target is None or (len(target) == 2 and not setting.keeps(Rule.P3_SETTLED)):
        yield Go(f"finds no final intent of session {sid}", at(settle, rest))
    else:
        yield Go(f"reads the intents of session {sid}", at(take_slot, rest, sid, target))


@step
def take_slot(
    _store: Store, _setting: Setting, work: Work, sid: int, target: tuple[int, ...]
) -> Iterable[Move]:
    """Create a void where the session would publish."""
    void: Request
    if len(target) == 2:
        void = ("create_revision", target, sid, None)
        again = at(take_slot, work, sid, target)
        settled = at(settle, work)
        yield Send(f"voids revision {target} of session {sid}", void, settled, settled, again)
        return
    void = ("create_slot", target[0], Slot(sid, 0, (), ""))
    read = at(read_taken, work, sid, target)
    yield Send(f"voids v{target[0]} of session {sid}", void, at(settle, work), read, read)


@step
def read_taken(
    store: Store, _setting: Setting, work: Work, sid: int, target: tuple[int, ...]
) -> Iterable[Move]:
    """Walk on from a slot that is another's."""
    found = store.slot(target[0])
    if found is None:
        yield Go("finds it empty", at(take_slot, work, sid, target))
    elif found.sid == sid:
        yield Go("finds the session there", at(settle, work))
    else:
        yield Go("finds another there", at(take_slot, work, sid, (target[0] + 1,)))


# Marking -------------------------------------------------------------------------------------


def named_by_intents(store: Store, setting: Setting, dead: tuple[int, ...]) -> int:
    """Return what the intents keep of all sessions but these; lost pages are leaves."""
    names = 0
    for intent in store.intents:
        if intent.sid not in dead:
            names |= intent.names
    return reach(names, setting.pages, store.blobs) if setting.keeps(Rule.G4_PAGES) else names


def named_by_versions(store: Store, setting: Setting) -> int:
    """Return what the versions keep that are not purged."""
    names = 0
    for _, slot in store.versions():
        if setting.keeps(Rule.D_TRASH_LIVES) or not slot.hidden:
            names |= slot.needs
    return reach(names, setting.pages)


@step
def list_intents(store: Store, setting: Setting, work: Work) -> Iterable[Move]:
    """G4, first half."""
    if setting.keeps(Rule.G4_ORDER):
        seen = work.candidates & named_by_intents(store, setting, work.dead)
        label = f"lists intents, which keep {seen:b}"
    else:
        seen = work.candidates & named_by_versions(store, setting)
        label = f"lists versions, which keep {seen:b}"
    yield Go(label, at(list_versions, work, seen))


@step
def list_versions(store: Store, setting: Setting, work: Work, seen: int) -> Iterable[Move]:
    """G4, second half."""
    if setting.keeps(Rule.G4_ORDER):
        cleared = seen | (work.candidates & named_by_versions(store, setting))
        label = f"lists versions, clears {cleared:b}"
    else:
        cleared = seen | (work.candidates & named_by_intents(store, setting, work.dead))
        label = f"lists intents, clears {cleared:b}"
    yield Go(label, at(judge, work, cleared))


# Deleting ------------------------------------------------------------------------------------


@step
def judge(_store: Store, _setting: Setting, work: Work, cleared: int) -> Iterable[Move]:
    """G5: give the verdict, or take the one that stands."""
    request = ("create_verdict", work.number, cleared)
    read = at(read_verdict, work, cleared)
    confirm = at(confirm_record, work, work.candidates & ~cleared)
    yield Send(f"gives the verdict, clears {cleared:b}", request, confirm, read, read)


@step
def read_verdict(store: Store, _setting: Setting, work: Work, cleared: int) -> Iterable[Move]:
    """Obey the verdict that stands; create it again if there is none."""
    stands = store.run(work.number).cleared
    if stands is None:
        yield Go("finds no verdict", at(judge, work, cleared))
    else:
        kept = at(confirm_record, work, work.candidates & ~stands)
        yield Go(f"finds a verdict that clears {stands:b}", kept)


@step
def confirm_record(store: Store, setting: Setting, work: Work, doomed: int) -> Iterable[Move]:
    """G6: stop if the run's records have expired."""
    gone = store.floor >= work.number or store.run(work.number).maker is None
    if gone and setting.keeps(Rule.G6):
        yield Go("finds that its run has expired", OVER)
    else:
        yield Go("finds its run on record", at(delete, work, doomed))


@step
def delete(_store: Store, _setting: Setting, work: Work, doomed: int) -> Iterable[Move]:
    """G7."""
    if not doomed:
        yield Choose("has nothing to delete", at(say_done, work))
        return
    look = at(look_deleted, work, doomed)
    yield Send(f"deletes {doomed:b}", ("delete_blobs", doomed), at(say_done, work), None, look)


@step
def look_deleted(store: Store, _setting: Setting, work: Work, doomed: int) -> Iterable[Move]:
    """List what is left to delete."""
    left = store.blobs & doomed
    yield Go(f"lists {left:b} of it", at(delete, work, left))


@step
def say_done(_store: Store, _setting: Setting, work: Work) -> Iterable[Move]:
    """G8, first half."""
    dropped = at(drop_intents, work.noted, work.dead) if work.noted else OVER
    yield Send("says that it is done", ("put_done", work.number), dropped)


@step
def drop_intents(
    store: Store, setting: Setting, noted: Keys, dead: tuple[int, ...]
) -> Iterable[Move]:
    """G8, second half: delete the intents that it listed."""
    if not setting.keeps(Rule.G8_LISTED):
        noted = tuple(one[:2] for one in store.intents if one.sid in dead)
    yield Send("deletes intents", ("delete_intents", noted), OVER)


@step
def finish(store: Store, _setting: Setting, me: int, guesses: Guesses) -> Iterable[Move]:
    """Go on with a run that another collector left, from G3, with guesses of its own."""
    for number in range(store.floor + 1, len(store.runs) + 1):
        run = store.run(number)
        if run.maker is not None and run.cleared is None:
            work = Work(me, guesses, 0, number, run.candidates)
            yield Go(f"goes on with run {number}", at(choose_dead, work))
