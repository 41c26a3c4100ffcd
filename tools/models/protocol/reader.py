"""The reader, with and without a pin: R1 to R4."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocol.log import Checked, check_now
from protocol.rules import Rule
from protocol.steps import OVER, Go, Move, Send, Setting, at, step
from protocol.store import PURGE, Slot, Store, reach

NO_PIN, PIN = 0, 8  # the session id of a pin


class Reading(NamedTuple):
    """What a reader of version 0 is at."""

    pin: int
    revision: int
    needs: int
    left: int

    @classmethod
    def of(cls, slot: Slot, pin: int) -> Reading:
        """Return the reading of a slot's newest revision, from its first blob on."""
        return cls(pin, newest_revision(slot), slot.needs, slot.needs)


def newest_revision(slot: Slot) -> int:
    """Return the number of the newest revision that is not void."""
    return max(at for at, (_, mask) in enumerate(slot.revisions) if mask is not None)


@step
def read(store: Store, _setting: Setting, pin: int) -> Iterable[Move]:
    """R1 and R2: read the record of version 0."""
    slot = store.slot(0)
    if slot is None or slot.hidden:
        yield Go("finds v0 hidden", OVER)
        return
    reading = Reading.of(slot, pin)
    begin = at(get_blobs, reading) if pin == NO_PIN else at(put_pin, reading, slot.stamp)
    yield Go(f"reads v0, revision {reading.revision}", begin)


@step
def put_pin(_store: Store, setting: Setting, reading: Reading, stamp: int) -> Iterable[Move]:
    """R4: put an intent that is not final."""
    check = at(check_pin, reading, stamp)
    ready = check if setting.keeps(Rule.R4) else at(get_blobs, reading)
    request = ("put_intent", reading.pin, 0, reading.needs, None)
    yield Send("pins", request, ready, None, at(put_pin, reading, stamp))


@step
def check_pin(store: Store, setting: Setting, reading: Reading, stamp: int) -> Iterable[Move]:
    """R4: the pin holds if the log says nothing against it."""
    need = reach(reading.needs, setting.pages)
    found, _ = check_now(store, stamp, need, setting.out)
    then = at(get_blobs, reading) if found is Checked.OK else OVER
    yield Go(f"checks the log: {found}", then)


@step
def get_blobs(store: Store, setting: Setting, reading: Reading) -> Iterable[Move]:
    """Read one blob after the other."""
    blob = reading.left & -reading.left
    if not blob:
        yield Go("has read all", at(has_read) if reading.pin == NO_PIN else at(unpin, reading.pin))
    elif store.blobs & blob:
        yield Go(f"reads blob {blob:b}", at(get_blobs, reading._replace(left=reading.left ^ blob)))
    elif reading.pin != NO_PIN:
        yield Go(f"misses blob {blob:b} in spite of its pin", at(reader_failed, "pinned"))
    elif setting.keeps(Rule.R3):
        yield Go(f"misses blob {blob:b}", at(read_again, reading.revision))
    else:
        slot = store.slot(0)
        purged = slot is not None and slot.moves[-1:] == PURGE
        yield Go(f"misses blob {blob:b}", OVER if purged else at(reader_failed, "visible"))


@step
def read_again(store: Store, _setting: Setting, revision: int) -> Iterable[Move]:
    """R3: read the record again; a newer revision may have what is missing."""
    slot = store.slot(0)
    assert slot is not None
    if slot.moves[-1:] == PURGE:
        yield Go("finds v0 purged", OVER)
    elif newest_revision(slot) > revision:
        yield Go("finds a newer revision", at(get_blobs, Reading.of(slot, NO_PIN)))
    else:
        yield Go("finds nothing newer", at(reader_failed, "visible"))


@step
def unpin(_store: Store, _setting: Setting, pin: int) -> Iterable[Move]:
    """Remove the pin."""
    yield Send("removes its pin", ("delete_intents", ((pin, 0),)), at(has_read))


@step
def has_read(_store: Store, _setting: Setting) -> Iterable[Move]:
    """End with every byte read."""
    return ()


@step
def reader_failed(_store: Store, _setting: Setting, _why: str) -> Iterable[Move]:
    """End without bytes that should be there."""
    return ()
