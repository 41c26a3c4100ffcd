"""The same cuts from segments of one stream that were cut independently.

Cut points depend on few bytes before them, so cutting that begins at the wrong place falls into
step with the true cuts after a few chunks. Only the bytes up to there are cut twice.
Spec: specs/format/04-chunking.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.chunking.cutter import Buffer, Cutter


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What is certain after a segment was joined to the tail before it.

    Attributes:
        ends: int64, strictly increasing: where chunks end, counted from the tail's start. They are
            final, and cover the tail and the segment's head up to where cutting fell into step.
        resume: the index into the segment's own ends from which they are right. As many as there
            are if it never fell into step; then what follows the last of `ends` is the next tail.
    """

    ends: NDArray[np.int64]
    resume: int


def join_segments(
    cutter: Cutter, tail: Buffer, segment: Buffer, speculative_ends: NDArray[np.int64]
) -> Joined:
    """Find the chunks that lie across the seam of `tail` and `segment`.

    Args:
        cutter: what cut the segment.
        tail: the bytes from the last certain cut to the segment's start.
        segment: the bytes that follow.
        speculative_ends: `cutter.cut(segment)`. The last is no cut unless the stream ends there.

    At most one longest chunk of the segment is copied. The work is bounded by the tail and the
    bytes up to where cutting falls into step, which is a few chunks unless the bytes repeat.
    """
    never = len(speculative_ends)
    # The last is left out: it is where the segment happens to stop.
    speculative = speculative_ends[:-1].tolist()
    ends: list[int] = []
    row = 0
    for end in _certain_ends(cutter, tail, segment):
        ends.append(end)
        position = end - len(tail)
        if position == 0:
            return Joined(np.array(ends, np.int64), 0)
        while row < len(speculative) and speculative[row] < position:
            row += 1
        if row < len(speculative) and speculative[row] == position:
            return Joined(np.array(ends, np.int64), row + 1)
    return Joined(np.array(ends, np.int64), never if tail else 0)


def _certain_ends(cutter: Cutter, tail: Buffer, segment: Buffer) -> Iterator[int]:
    """Yield the cuts of `tail` and `segment` that stay whatever follows."""
    if not tail:
        return
    maximum = cutter.profile.maximum
    # A chunk that begins in the tail ends in this window.
    window = b"".join((tail, memoryview(segment)[:maximum]))
    start = 0
    for end in cutter.iter_ends(window):
        if end == len(window) and end - start < maximum:
            return
        yield end
        start = end
        if end >= len(tail):
            break
    offset = start - len(tail)
    for end in cutter.iter_ends(memoryview(segment)[offset:]):
        if offset + end == len(segment) and len(tail) + offset + end - start < maximum:
            return
        start = len(tail) + offset + end
        yield start
