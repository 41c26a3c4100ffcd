"""The store of the model: what is in it, and what each request does to it.

A blob is a bit. A request is a tuple of its kind and its arguments and changes one thing, as one
object of a real store; only deletions of several objects are one request here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from protocol.rules import Rule

Request = tuple[Any, ...]
Out = frozenset[Rule]  # the rules that are taken out

OLD = 1  # a data blob that was there before
PAGE = 2  # a meta blob that was there before; OLD lies behind it
FRESH_BITS = 3  # how many blobs of its own a session may make

TRASH, RESTORE, PURGE = "T", "R", "P"


def fresh(sid: int, number: int = 0) -> int:
    """Return a blob that only this session makes."""
    return 1 << (2 + FRESH_BITS * sid + number)


class Slot(NamedTuple):
    """What stands under a version number: a version, or a void if it has no revisions."""

    sid: int
    stamp: int
    revisions: tuple[tuple[int, int | None], ...]  # whose, and what it needs; None is a void
    moves: str

    @property
    def is_version(self) -> bool:
        """Whether it is no void."""
        return bool(self.revisions)

    @property
    def hidden(self) -> bool:
        """Whether readers do not see it."""
        return not self.revisions or self.moves[-1:] in (TRASH, PURGE)

    @property
    def needs(self) -> int:
        """The blobs that its newest revision names, none if it is void or purged."""
        if self.moves[-1:] == PURGE:
            return 0
        return next((mask for _, mask in reversed(self.revisions) if mask is not None), 0)


class Intent(NamedTuple):
    """What a session wants kept; `target` is None, or where a final one wants to publish."""

    sid: int
    number: int
    names: int
    target: tuple[int, ...] | None  # (slot,) or (slot, revision)


class Run(NamedTuple):
    """The records of one collection; each may be missing."""

    maker: int | None = None  # None: no condemn record
    candidates: int = 0
    cleared: int | None = None  # None: no verdict
    done: bool = False

    @property
    def doomed(self) -> int:
        """What it condemns and does not clear."""
        return self.candidates & ~(self.cleared or 0)

    @property
    def has_verdict(self) -> bool:
        """Whether both records are there."""
        return self.maker is not None and self.cleared is not None


NO_RUN = Run()


class Store(NamedTuple):
    """Everything that is stored."""

    blobs: int = 0
    slots: tuple[Slot | None, ...] = ()
    intents: tuple[Intent, ...] = ()  # sorted
    runs: tuple[Run, ...] = ()  # run n at n - 1; the last one has a record
    floor: int = 0
    aliases: tuple[int, ...] = ()  # one alias: the slot of each generation
    segments: tuple[tuple[int, int], ...] = ()  # blobs that an index segment lists, and its stamp

    def slot(self, number: int) -> Slot | None:
        """Return what stands under a number."""
        return self.slots[number] if number < len(self.slots) else None

    def run(self, number: int) -> Run:
        """Return the records of a run."""
        return self.runs[number - 1] if number <= len(self.runs) else NO_RUN

    @property
    def newest_run(self) -> int:
        """The highest number that a run or a floor has taken."""
        return max(len(self.runs), self.floor)

    def versions(self) -> Iterator[tuple[int, Slot]]:
        """Return the slots that hold versions, the lowest first."""
        for number, slot in enumerate(self.slots):
            if slot is not None and slot.is_version:
                yield number, slot

    def intents_of(self, sid: int) -> tuple[Intent, ...]:
        """Return the intents of one session."""
        return tuple(one for one in self.intents if one.sid == sid)


def reach(mask: int, pages: dict[int, int], stored: int = -1) -> int:
    """Return `mask` and what lies behind its pages; a page that is not stored is a leaf."""
    seen, todo = 0, mask
    while todo:
        blob = todo & -todo
        todo ^= blob
        if not seen & blob:
            seen |= blob
            if blob & stored:
                todo |= pages.get(blob, 0) & ~seen
    return seen


def replaced(items: tuple[Any, ...], at: int, item: Any, gap: Any) -> tuple[Any, ...]:
    """Return a tuple with one item replaced, grown with `gap` as far as needed."""
    items += (gap,) * (at + 1 - len(items))
    return (*items[:at], item, *items[at + 1 :])


def put_blobs(store: Store, _out: Out, mask: int) -> Store:
    """Store blobs."""
    return store._replace(blobs=store.blobs | mask)


def delete_blobs(store: Store, _out: Out, mask: int) -> Store:
    """Delete blobs."""
    return store._replace(blobs=store.blobs & ~mask)


def put_intent(store: Store, _out: Out, *fields: Any) -> Store:
    """Store an intent."""
    intent = Intent(*fields)
    others = {one for one in store.intents if one[:2] != intent[:2]}
    return store._replace(intents=tuple(sorted({*others, intent}, key=repr)))


def delete_intents(store: Store, _out: Out, keys: tuple[tuple[int, int], ...]) -> Store:
    """Delete intents by their keys."""
    return store._replace(intents=tuple(one for one in store.intents if one[:2] not in keys))


def create_slot(store: Store, out: Out, number: int, slot: Slot) -> Store | None:
    """Create a version or a void."""
    overwrites = Rule.G3_CREATES in out and not slot.is_version
    if store.slot(number) is not None and not overwrites:
        return None
    return store._replace(slots=replaced(store.slots, number, slot, None))


def create_revision(
    store: Store, out: Out, target: tuple[int, int], *revision: Any
) -> Store | None:
    """Create a revision of a version, or a void in its place."""
    number, place = target
    slot = store.slots[number]
    assert slot is not None
    if place < len(slot.revisions) and Rule.P3_CREATES not in out:
        return None
    slot = slot._replace(revisions=replaced(slot.revisions, place, revision, (-1, None)))
    return store._replace(slots=replaced(store.slots, number, slot, None))


def create_move(store: Store, out: Out, number: int, place: int, move: str) -> Store | None:
    """Create a move of a version to the trash, back, or for good."""
    slot = store.slots[number]
    assert slot is not None
    if place < len(slot.moves) and Rule.D_NUMBERED not in out:
        return None
    slot = slot._replace(moves=slot.moves + move)
    return store._replace(slots=replaced(store.slots, number, slot, None))


def create_run(store: Store, out: Out, number: int, maker: int, candidates: int) -> Store | None:
    """Create a condemn record."""
    run = store.run(number)
    if run.maker is not None and Rule.G2_CREATES not in out:
        return None
    run = run._replace(maker=maker, candidates=candidates)
    return store._replace(runs=replaced(store.runs, number - 1, run, NO_RUN))


def create_verdict(store: Store, out: Out, number: int, cleared: int) -> Store | None:
    """Create a verdict."""
    run = store.run(number)
    if run.cleared is not None and Rule.G5_CREATES not in out:
        return None
    run = run._replace(cleared=cleared)
    return store._replace(runs=replaced(store.runs, number - 1, run, NO_RUN))


def put_done(store: Store, _out: Out, number: int) -> Store:
    """Say that a run has deleted everything."""
    run = store.run(number)._replace(done=True)
    return store._replace(runs=replaced(store.runs, number - 1, run, NO_RUN))


def put_floor(store: Store, _out: Out, floor: int) -> Store:
    """Say that records of runs up to `floor` may be gone."""
    return store._replace(floor=max(store.floor, floor))


def delete_records(store: Store, _out: Out, last: int) -> Store:
    """Delete the records of runs up to `last`; what is gone at the end, no listing shows."""
    later = store.runs[last:]
    return store._replace(runs=(NO_RUN,) * last + later if later else ())


def create_alias(store: Store, _out: Out, generation: int, number: int) -> Store | None:
    """Create the next move of the alias."""
    if generation < len(store.aliases):
        return None
    return store._replace(aliases=replaced(store.aliases, generation, number, -1))


def free_slot(store: Store, _out: Out) -> Store:
    """Forget the newest slot, which no rule allows."""
    return store._replace(slots=store.slots[:-1])


def put_segment(store: Store, _out: Out, replaces: int, mask: int, stamp: int) -> Store:
    """Put an index segment that replaces as many older ones."""
    return store._replace(segments=(*store.segments[replaces:], (mask, stamp)))


REQUESTS: dict[str, Callable[..., Store | None]] = {
    made.__name__: made
    for made in (
        put_blobs,
        delete_blobs,
        put_intent,
        delete_intents,
        create_slot,
        create_revision,
        create_move,
        create_run,
        create_verdict,
        put_done,
        put_floor,
        delete_records,
        create_alias,
        free_slot,
        put_segment,
    )
}


def perform(store: Store, request: Request, out: Out) -> tuple[Store, bool]:
    """Return the store after a request, and whether the request succeeded.

    It does not if it creates what exists; then nothing has changed.
    """
    after = REQUESTS[request[0]](store, out, *request[1:])
    return (store, False) if after is None else (after, True)
