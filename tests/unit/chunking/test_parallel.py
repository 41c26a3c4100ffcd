from __future__ import annotations

import random

import numpy as np

from cas.chunking.cutter import Cutter
from cas.chunking.parallel import join_segments
from cas.chunking.profile import ChunkProfile

CUTTER = Cutter(ChunkProfile(4096))
CONTENT = random.Random(2).randbytes(200_000)


class CountingCutter(Cutter):
    """Remembers how many bytes it was asked about."""

    __slots__ = ("seen",)

    def iter_ends(self, content):
        object.__setattr__(self, "seen", [*getattr(self, "seen", []), len(content)])
        return super().iter_ends(content)


def test_segment_without_a_tail_is_right_from_its_start():
    """The first segment of a stream needs no joining."""
    joined = join_segments(CUTTER, b"", CONTENT, CUTTER.cut(CONTENT))

    assert (joined.ends.tolist(), joined.resume) == ([], 0)


def test_seam_is_cut_and_the_rest_of_the_segment_is_kept():
    """Chunks across the seam are found anew; from there the segment's own cuts are right."""
    whole = CUTTER.cut(CONTENT).tolist()
    seam = 70_001
    first = max(end for end in whole if end <= seam)
    speculative = CUTTER.cut(CONTENT[seam:])

    joined = join_segments(CUTTER, CONTENT[first:seam], CONTENT[seam:], speculative)

    kept = (speculative[joined.resume :] + seam).tolist()
    assert (joined.ends + first).tolist() + kept == [end for end in whole if end > first]
    assert joined.resume < len(speculative) // 2


def test_only_the_head_of_a_segment_is_copied():
    """The window holds the tail and at most one longest chunk."""
    cutter = CountingCutter(CUTTER.profile)
    tail, segment = CONTENT[:1000], CONTENT[1000:]

    join_segments(cutter, tail, segment, CUTTER.cut(segment))

    assert cutter.seen[0] == 1000 + CUTTER.profile.maximum


def test_cut_at_the_seam_itself_keeps_the_whole_segment():
    """A tail that is a whole longest chunk leaves the segment's cuts as they are."""
    tail, segment = bytes(CUTTER.profile.maximum), CONTENT

    joined = join_segments(CUTTER, tail, segment, CUTTER.cut(segment))

    assert (joined.ends.tolist(), joined.resume) == ([len(tail)], 0)


def test_short_segment_that_ends_no_chunk_is_all_tail():
    """Without a certain cut everything waits for the next segment."""
    joined = join_segments(CUTTER, b"a" * 100, b"b" * 100, np.array([100]))

    assert (joined.ends.tolist(), joined.resume) == ([], 1)


def test_repeating_bytes_never_fall_into_step():
    """Cuts by the longest length alone keep their distance; each of them is certain."""
    maximum = CUTTER.profile.maximum
    segment = bytes(3 * maximum)

    joined = join_segments(CUTTER, bytes(10), segment, CUTTER.cut(segment))

    assert joined.ends.tolist() == [maximum, 2 * maximum, 3 * maximum]
    assert joined.resume == 3
