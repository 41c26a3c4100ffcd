"""The writer: W0 to W5, giving up, and going on after it was settled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocol.log import Checked, check_listed, check_log, check_now, resolved_prefix
from protocol.rules import Rule
from protocol.steps import OVER, Choose, Go, Keys, Local, Move, Send, Setting, at, step
from protocol.store import OLD, Intent, Request, Run, Slot, Store, fresh, reach

PLAIN = 8  # number of the intent that a long upload puts on its way
ROUNDS = 2  # how often a session stores chunks before it gives up
RENEWED = 2  # added to the id of a session that goes on after it was settled


class Session(NamedTuple):
    """What a writer knows."""

    sid: int
    round: int  # how often it has stored again, which names its blobs and its final intent
    rely: int  # blobs of others that its version needs
    stamp: int  # of the oldest fact about any of them
    first: int  # the slot that its final intents name

    @property
    def own(self) -> int:
        """The blob that this round stores."""
        return fresh(self.sid, self.round)

    def need(self, setting: Setting) -> int:
        """Return everything that the version needs."""
        return reach(self.own | self.rely, setting.pages)

    @property
    def keys(self) -> Keys:
        """The keys of every intent that it may have put."""
        return tuple((self.sid, number) for number in (*range(ROUNDS), PLAIN))


def knowing(sid: int, rely: int, stamp: int, setting: Setting) -> Local:
    """Return the state of a writer that knows `rely` with `stamp` and begins to store."""
    return at(write, Session(sid, 0, rely, stamp, setting.first_slot), 0)


@step
def with_facts(_store: Store, setting: Setting, sid: int, rely: int) -> Iterable[Move]:
    """Know blobs from a cache as old as the store."""
    yield Choose("has facts of any age", knowing(sid, rely, 0, setting))


@step
def with_newest(store: Store, setting: Setting, sid: int, prefix: int | None) -> Iterable[Move]:
    """Learn from the newest version, with its own stamp or that of a log listed before."""
    slot = next((slot for _, slot in reversed([*store.versions()]) if not slot.hidden), None)
    if slot is None:
        yield Go("finds no version", OVER)
        return
    if prefix == -1:
        yield Go("reads the newest version", at(list_too_late, sid, slot.needs))
        return
    stamp = slot.stamp if prefix is None else prefix
    yield Go("reads the newest version", knowing(sid, slot.needs, stamp, setting))


@step
def afresh(store: Store, setting: Setting, sid: int) -> Iterable[Move]:
    """List the log, then read the newest version."""
    if setting.keeps(Rule.LOG_FIRST):
        prefix = resolved_prefix(store.runs, store.floor)
        yield Go(f"lists the log, prefix {prefix}", at(with_newest, sid, prefix))
    else:
        yield Choose("leaves the log for later", at(with_newest, sid, -1))


@step
def list_too_late(store: Store, setting: Setting, sid: int, rely: int) -> Iterable[Move]:
    """List the log after the facts were read, and take its prefix for their stamp."""
    prefix = resolved_prefix(store.runs, store.floor)
    yield Go(f"lists the log only now, prefix {prefix}", knowing(sid, rely, prefix, setting))


@step
def with_journal(store: Store, setting: Setting, sid: int, left: int) -> Iterable[Move]:
    """Go on from what the journal of a session that died says of a blob that it had stored."""
    if store.blobs & left:
        yield Go("has a journal of it", knowing(sid, left, 0, setting))


@step
def with_segment(store: Store, setting: Setting, sid: int) -> Iterable[Move]:
    """Learn from the newest index segment."""
    mask, stamp = store.segments[-1]
    yield Go("reads the segment", knowing(sid, mask, stamp, setting))


# Storing -------------------------------------------------------------------------------------


def order(setting: Setting, session: Session) -> tuple[str, ...]:
    """Return the phases of a session before it publishes, the first one first."""
    if not setting.keeps(Rule.W2):
        return ("blobs", "intent")
    if not setting.keeps(Rule.W1_BEFORE_W2):
        return ("blobs", "check", "intent")
    if "intent first" in setting.variants:
        return ("intent", "blobs", "check")
    if "blobs last" in setting.variants or not setting.keeps(Rule.W1_NAMES_ALL):
        return ("intent", "check", "blobs")
    if "announces" in setting.variants and session.round == 0:
        return ("blobs", "plain", "intent", "check")
    return ("blobs", "intent", "check")


@step
def write(store: Store, setting: Setting, session: Session, phase: int) -> Iterable[Move]:
    """Take the next phase, or begin to publish."""
    phases = order(setting, session)
    if phase == len(phases):
        if setting.keeps(Rule.W5_LAST):
            yield from publish(store, setting, session, session.first)
        else:
            keys = ("delete_intents", session.keys)
            yield Send("drops its intents", keys, at(publish, session, session.first))
        return
    name = phases[phase]
    if name == "check":
        yield from check(store, setting, session, phase)
    elif name == "blobs":
        again = OLD if session.round and not setting.keeps(Rule.NEW_KEYS) else 0
        yield from send(("put_blobs", session.own | again), session, phase)
    else:
        intent = announced(setting, session) if name == "plain" else final(setting, session)
        yield from send(("put_intent", *intent), session, phase)


def send(request: Request, session: Session, phase: int) -> Iterable[Move]:
    """Put something, and look for it if the reply is lost."""
    unknown = at(look_for, request, session, phase)
    yield Send(request[0].replace("_", " "), request, at(write, session, phase + 1), None, unknown)


@step
def look_for(
    store: Store, _setting: Setting, request: Request, session: Session, phase: int
) -> Iterable[Move]:
    """Read back what may not have been put."""
    if request[0] == "put_blobs":
        there = store.blobs & request[1] == request[1]
    else:
        there = Intent(*request[1:]) in store.intents
    yield Go(f"reads it back: {there}", at(write, session, phase + 1 if there else phase))


def announced(setting: Setting, session: Session) -> Intent:
    """Return the plain intent of a long upload."""
    return Intent(session.sid, PLAIN, session.need(setting), None)


def final(setting: Setting, session: Session) -> Intent:
    """Return the final intent."""
    names = session.need(setting)
    if "names pages" in setting.variants:
        names = session.own | session.rely
    leaves_out = not setting.keeps(Rule.W1_COMPLETE) and session.round == 0
    if leaves_out or "names root" in setting.variants or not setting.keeps(Rule.W1_NAMES_ALL):
        names = session.own
    target = (session.first,) if setting.keeps(Rule.W1_NAMES_SLOT) else None
    return Intent(session.sid, session.round, names, target)


# Checking ------------------------------------------------------------------------------------


def checked_blobs(setting: Setting, session: Session) -> int:
    """Return what the log check is about."""
    if setting.keeps(Rule.W2_BEHIND_PAGES):
        return session.need(setting)
    return session.own | session.rely


def check(store: Store, setting: Setting, session: Session, phase: int) -> Iterable[Move]:
    """Make the log check, at once or as the listing of a weak store shows it.

    A writer that waits for the verdict of an open run is one that checks later: that is covered.
    """
    need = checked_blobs(setting, session)
    if not setting.keeps(Rule.NEW_KEYS) and session.round:
        need = session.own
    if "list, then get" in setting.variants:
        listed = (store.floor, len(store.runs))
        yield Go(f"lists the log: {listed}", at(get_records, session, phase, listed))
    elif "two listings" in setting.variants:
        seen = store.runs if setting.keeps(Rule.X_SORTS_LAST) else store.floor
        yield Go("lists half of the log", at(list_rest, session, phase, seen))
    elif not setting.keeps(Rule.NO_EXISTENCE):
        answer = check_now(store, 0, need, setting.out | {Rule.STAMPS})
        if need & ~store.blobs:
            answer = (Checked.BAD, 0)
        yield concluded(answer, session, phase)
    else:
        yield concluded(check_now(store, session.stamp, need, setting.out), session, phase)


@step
def get_records(
    store: Store, setting: Setting, session: Session, phase: int, listed: tuple[int, int]
) -> Iterable[Move]:
    """Read the records that were listed."""
    need = checked_blobs(setting, session)
    answer = check_listed(store, listed, session.stamp, need, setting.out)
    yield concluded(answer, session, phase)


@step
def list_rest(
    store: Store, setting: Setting, session: Session, phase: int, seen: tuple[Run, ...] | int
) -> Iterable[Move]:
    """See the second half of a listing that is no snapshot."""
    runs, floor = (seen, store.floor) if isinstance(seen, tuple) else (store.runs, seen)
    need = checked_blobs(setting, session)
    yield concluded(check_log(runs, floor, session.stamp, need, setting.out), session, phase)


def concluded(answer: tuple[Checked, int], session: Session, phase: int) -> Go:
    """Return what a writer does by the answer of the log check."""
    found, stamp = answer
    label = f"checks the log: {found}"
    if found is Checked.OK:
        return Go(label, at(write, session._replace(stamp=stamp), phase + 1))
    if session.round + 1 == ROUNDS:
        return Go(label, at(give_up, session))
    return Go(label, at(again, session, found))


@step
def again(store: Store, setting: Setting, session: Session, found: Checked) -> Iterable[Move]:
    """Store everything anew; after "stale" with the log listed first."""
    stamp = resolved_prefix(store.runs, store.floor) if found is Checked.STALE else session.stamp
    first = session.first if setting.keeps(Rule.W1_KEEPS_SLOT) else len(store.slots)
    rely = 0 if setting.keeps(Rule.NEW_KEYS) else session.rely
    session = Session(session.sid, session.round + 1, rely, stamp, first)
    yield Go("begins again", at(write, session, 0))


@step
def give_up(_store: Store, _setting: Setting, session: Session) -> Iterable[Move]:
    """Delete the intents: no slot was asked for, or it is settled."""
    yield Send("deletes its intents", ("delete_intents", session.keys), OVER)


# Publishing ----------------------------------------------------------------------------------


@step
def publish(store: Store, setting: Setting, session: Session, slot: int) -> Iterable[Move]:
    """Create the version in a slot."""
    if not setting.keeps(Rule.W3_WALKS):
        slot = max(slot, len(store.slots))
    need = session.need(setting)
    version = Slot(session.sid, session.stamp, ((session.sid, need),), "")
    read = at(read_slot, session, slot)
    unknown, taken = read, read
    if not setting.keeps(Rule.W3_READS_UNKNOWN):
        unknown = at(publish, session, slot + 1)
    elif "gives up" in setting.variants:
        unknown = at(decide, session, slot)
    if not setting.keeps(Rule.W3_READS_TAKEN):
        taken = at(publish, session, slot + 1)
    request = ("create_slot", slot, version)
    yield Send(f"publishes v{slot}", request, told_of(setting, session, slot), taken, unknown)


def told_of(setting: Setting, session: Session, slot: int) -> Local:
    """Return the state of a writer that has told its caller of a version."""
    return at(told, session.keys, session.sid, slot, session.need(setting))


@step
def decide(_store: Store, setting: Setting, session: Session, slot: int) -> Iterable[Move]:
    """Read the slot, or give up because the user says so."""
    yield Choose("goes on", at(read_slot, session, slot))
    if setting.keeps(Rule.VOID_FIRST):
        yield Choose("gives up", at(void_own, session, slot))
    else:
        yield Choose("gives up", at(give_up, session))


@step
def void_own(_store: Store, _setting: Setting, session: Session, slot: int) -> Iterable[Move]:
    """Void the slot that was asked for, and read it."""
    void = ("create_slot", slot, Slot(session.sid, 0, (), ""))
    read = at(read_own, session, slot)
    yield Send(f"voids v{slot} itself", void, read, read, read)


@step
def read_own(store: Store, setting: Setting, session: Session, slot: int) -> Iterable[Move]:
    """Delete the intents only when something stands in the slot."""
    found = store.slot(slot)
    if found is None:
        yield Go("finds the slot empty", at(void_own, session, slot))
    elif found.is_version and found.sid == session.sid:
        yield Go("finds its version", told_of(setting, session, slot))
    else:
        yield Go("finds the slot settled", at(give_up, session))


@step
def read_slot(store: Store, setting: Setting, session: Session, slot: int) -> Iterable[Move]:
    """Go by what stands in the slot."""
    found = store.slot(slot)
    if found is None:
        yield Go(f"finds v{slot} empty", at(publish, session, slot))
    elif found.sid != session.sid:
        yield Go(f"finds v{slot} taken", at(publish, session, slot + 1))
    elif found.is_version:
        yield Go(f"finds its own v{slot}", told_of(setting, session, slot))
    elif not setting.keeps(Rule.FENCED_RENEWS):
        yield Go(f"finds its void in v{slot}", at(publish, session, slot + 1))
    elif "renews" in setting.variants:
        need = session.need(setting)
        new = Session(session.sid + RENEWED, 0, need, session.stamp, len(store.slots))
        yield Go(f"finds its void in v{slot}, renews itself", at(write, new, 0))
    else:
        yield Go(f"finds its void in v{slot}", OVER)


@step
def told(
    _store: Store, _setting: Setting, keys: Keys, sid: int, slot: int, need: int
) -> Iterable[Move]:
    """Delete the intents, after the caller was told."""
    yield Send("deletes its intents", ("delete_intents", keys), at(told_all, sid, slot, need))


@step
def told_all(_s: Store, _c: Setting, _sid: int, _slot: int, _need: int) -> Iterable[Move]:
    """End; what the caller was told must stay true."""
    return ()
