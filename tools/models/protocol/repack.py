"""The repack of version 0: P1 to P3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from protocol.log import Checked, check_now, resolved_prefix
from protocol.rules import Rule
from protocol.steps import OVER, Go, Move, Send, Setting, at, step
from protocol.store import Intent, Store, fresh, reach


class Repack(NamedTuple):
    """What one repack knows."""

    sid: int
    revision: int  # the one it wants to publish
    kept: int  # pages that it goes on using
    stamp: int

    @property
    def own(self) -> int:
        """The root and the data that it stores."""
        return fresh(self.sid) | fresh(self.sid, 1)

    @property
    def need(self) -> int:
        """What the new revision needs."""
        return self.own | self.kept

    @property
    def intent(self) -> Intent:
        """Its final intent."""
        return Intent(self.sid, 0, self.need, (0, self.revision))


@step
def repack(store: Store, _setting: Setting, sid: int, keeps: int) -> Iterable[Move]:
    """P1: list the log first."""
    prefix = resolved_prefix(store.runs, store.floor)
    yield Go(f"lists the log, prefix {prefix}", at(read_version, sid, keeps, prefix))


@step
def read_version(
    store: Store,
    _setting: Setting,
    sid: int,
    keeps: int,
    prefix: int,
) -> Iterable[Move]:
    """P1: read the version."""
    slot = store.slot(0)
    if slot is None or slot.hidden:
        yield Go("finds v0 hidden", OVER)
        return
    kept = slot.needs & keeps
    made = Repack(sid, len(slot.revisions), kept, prefix)
    yield Go("reads v0", at(store_anew, made))


@step
def store_anew(_store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """P1: store live data, pages and the root anew."""
    again = at(look_stored, made)
    yield Send("puts blobs", ("put_blobs", made.own), at(put_final, made), None, again)


@step
def look_stored(store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """Read back what may not have been put."""
    there = store.blobs & made.own == made.own
    yield Go(f"reads it back: {there}", at(put_final if there else store_anew, made))


@step
def put_final(_store: Store, setting: Setting, made: Repack) -> Iterable[Move]:
    """P2: put the final intent."""
    ready = at(check_before, made) if setting.keeps(Rule.P2) else at(publish_revision, made)
    unknown = at(look_put, made)
    yield Send("puts its intent", ("put_intent", *made.intent), ready, None, unknown)


@step
def look_put(store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """Read the intent back."""
    there = made.intent in store.intents
    yield Go(f"reads it back: {there}", at(check_before if there else put_final, made))


@step
def check_before(store: Store, setting: Setting, made: Repack) -> Iterable[Move]:
    """P2: check the log for everything that the new root needs; give up on anything but ok."""
    found, _ = check_now(store, made.stamp, reach(made.need, setting.pages), setting.out)
    then = publish_revision if found is Checked.OK else drop
    yield Go(f"checks the log: {found}", at(then, made))


@step
def publish_revision(_store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """P3: create the revision."""
    request = ("create_revision", (0, made.revision), made.sid, made.need)
    unknown = at(look_published, made)
    label = f"publishes revision {made.revision}"
    yield Send(label, request, at(repacked, made), at(drop, made), unknown)


@step
def look_published(store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """Read the revision after its reply was lost."""
    slot = store.slot(0)
    assert slot is not None
    there = made.revision < len(slot.revisions)
    yield Go(f"reads it back: {there}", at(drop if there else publish_revision, made))


@step
def repacked(_store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """Delete the intent, after the revision is known to be there."""
    yield Send("deletes its intent", ("delete_intents", ((made.sid, 0),)), OVER)


@step
def drop(_store: Store, _setting: Setting, made: Repack) -> Iterable[Move]:
    """Delete the intent: the revision is settled, or was never asked for."""
    yield Send("deletes its intent", ("delete_intents", ((made.sid, 0),)), OVER)
