"""Which pages that a draft keeps have to be read, so that the digest of the new version can be told.

The root of the base has the digests of all groups. Those that hold an edit are computed anew: where
pages end otherwise than groups do, such a group may begin or end in pages that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from cas.format.manifest import PageGroups, is_group_end
from cas.operations.merge_pages import MergedPage


class Reading(Enum):
    """What is read of a page that is kept.

    Attributes:
        NOTHING: the groups that end in it are those of the base.
        TAIL: so they are, but the group that goes on behind it may be another.
        WHOLE: its first group may be another.
    """

    NOTHING = "nothing"
    TAIL = "tail"
    WHOLE = "whole"


def pages_to_read(merged: Sequence[MergedPage], groups: PageGroups | None) -> dict[int, Reading]:
    """Return what to read of each page that is kept, by its number.

    Args:
        merged: the pages of the version to be, in path order.
        groups: of the base; None if it states none.
    """
    if groups is None:
        return {page: Reading.WHOLE for page in merged if isinstance(page, int)}
    found: dict[int, Reading] = {}
    is_between = True  # no group is open before the next page
    at = 0
    while at < len(merged):
        page = merged[at]
        if not isinstance(page, int):
            is_between = is_group_end(page[-1].path)
            at += 1
            continue
        stop = at + 1
        while stop < len(merged) and merged[stop] == page + stop - at:
            stop += 1
        run = range(page, page + stop - at)
        in_step = is_between and (page == 0 or groups.is_end(page - 1))
        found |= _of_run(run, groups, in_step=in_step)
        is_between = groups.is_end(run[-1])
        at = stop
    return found


def _of_run(run: range, groups: PageGroups, *, in_step: bool) -> dict[int, Reading]:
    """Return what to read of pages that follow one another in the base, too.

    Args:
        in_step: a group begins with them, in the base and in the version to be.
    """
    found = dict.fromkeys(run, Reading.NOTHING)
    ending = np.flatnonzero(groups.counts[run.start : run.stop]) + run.start
    start = run.start
    if not in_step:
        start = int(ending[0]) + 1 if len(ending) else run.stop
        found |= dict.fromkeys(range(run.start, start), Reading.WHOLE)
        ending = ending[1:]
    if not groups.is_end(run[-1]):
        if len(ending):
            last = int(ending[-1])
            start = last + 1
            if not groups.is_end(last):
                found[last] = Reading.TAIL
        found |= dict.fromkeys(range(start, run.stop), Reading.WHOLE)
    return found
