"""Stamps and the log check: what a writer concludes from the records of collections."""

from __future__ import annotations

from enum import StrEnum

from protocol.rules import Rule
from protocol.store import NO_RUN, Out, Run, Store


class Checked(StrEnum):
    """What the log says about blobs that are known with a stamp."""

    OK = "ok"
    BAD = "bad"
    STALE = "stale"


def resolved_prefix(runs: tuple[Run, ...], floor: int) -> int:
    """Return the highest number up to which every run has a verdict or is under the floor."""
    prefix = floor
    while prefix < len(runs) and runs[prefix].has_verdict:
        prefix += 1
    return prefix


def check_log(
    runs: tuple[Run, ...], floor: int, stamp: int, need: int, out: Out
) -> tuple[Checked, int]:
    """Return the answer for blobs `need` known with `stamp`, and the stamp they have then."""
    without_stamps = Rule.STAMPS in out
    if not without_stamps and (floor > stamp or stamp > max(len(runs), floor)):
        return Checked.STALE, stamp
    for number in range(max(stamp, floor) + 1, len(runs) + 1):
        run = runs[number - 1]
        if run.maker is None and not without_stamps:
            return Checked.STALE, stamp
        if run.doomed & need:
            return Checked.BAD, stamp
    return Checked.OK, max(stamp, resolved_prefix(runs, floor))


def check_now(store: Store, stamp: int, need: int, out: Out) -> tuple[Checked, int]:
    """Return what one look at the whole log says."""
    return check_log(store.runs, store.floor, stamp, need, out)


def check_listed(
    store: Store, listed: tuple[int, int], stamp: int, need: int, out: Out
) -> tuple[Checked, int]:
    """Return what records say that are read after a listing showed `listed`: floor and newest run.

    A record that is gone meanwhile makes what is known stale.
    """
    floor, newest = listed
    runs = store.runs[:newest] + (NO_RUN,) * (newest - len(store.runs))
    if Rule.W2_GONE_STALE in out:
        runs = tuple(Run(0, 0, 0) if run == NO_RUN else run for run in runs)
    return check_log(runs, floor, stamp, need, out)
