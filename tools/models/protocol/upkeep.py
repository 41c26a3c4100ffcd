"""What anyone may do at any time: abandon a run, let records expire, merge index segments."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.log import resolved_prefix
from protocol.rules import Rule
from protocol.steps import OVER, Go, Move, Send, Setting, at, step
from protocol.store import Store


@step
def abandon(store: Store, _setting: Setting) -> Iterable[Move]:
    """B1: end a run without verdict by one that clears all its candidates."""
    for number in range(store.floor + 1, len(store.runs) + 1):
        run = store.run(number)
        if run.maker is not None and run.cleared is None:
            request = ("create_verdict", number, run.candidates)
            yield Send(f"abandons run {number}", request, OVER, OVER)


@step
def expire(store: Store, setting: Setting) -> Iterable[Move]:
    """X1: find the runs that are done or abandoned."""
    floor = store.floor
    while floor < len(store.runs):
        run = store.runs[floor]
        if not run.has_verdict or (run.doomed and not run.done):
            break
        floor += 1
    if floor > store.floor:
        floor_first = setting.keeps(Rule.X_FLOOR_FIRST)
        first, second = (raise_floor, delete_old) if floor_first else (delete_old, raise_floor)
        yield Go(f"finds runs up to {floor} done", at(first, floor, second.__name__))


@step
def raise_floor(_store: Store, _setting: Setting, floor: int, then: str) -> Iterable[Move]:
    """X1: put the floor, again until it is known to be durable."""
    again = at(raise_floor, floor, then)
    ready = (then, floor, "") if then else OVER
    yield Send(f"raises the floor to {floor}", ("put_floor", floor), ready, None, again)


@step
def delete_old(_store: Store, _setting: Setting, floor: int, then: str) -> Iterable[Move]:
    """X2: delete the records of runs up to the floor."""
    again = at(delete_old, floor, then)
    ready = (then, floor, "") if then and then != "delete_old" else OVER
    yield Send(f"deletes records up to {floor}", ("delete_records", floor), ready, None, again)


@step
def merge(store: Store, setting: Setting) -> Iterable[Move]:
    """Read the log and a segment, and drop what runs since its stamp have killed."""
    mask, stamp = store.segments[0]
    prefix = resolved_prefix(store.runs, store.floor)
    reached = prefix if setting.keeps(Rule.I_MERGE_PREFIX) else store.newest_run
    if setting.keeps(Rule.I_MERGE_DROPS):
        if store.floor > stamp:
            mask = 0
        for number in range(stamp + 1, prefix + 1):
            mask &= ~store.run(number).doomed
    yield Go(f"merges {mask:b} up to {reached}", at(write_merged, mask, reached))


@step
def write_merged(_store: Store, _setting: Setting, mask: int, stamp: int) -> Iterable[Move]:
    """Put the merged segment."""
    yield Send("puts the merged segment", ("put_segment", 1, mask, stamp), OVER)
