"""However a stream is fed, its chunks are the same."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cas.chunking.cutter import Cutter
from cas.chunking.parallel import join_segments
from cas.chunking.profile import ChunkProfile
from cas.chunking.zeros import SHORTEST_ZERO_BYTES, split_zeros

CUTTER = Cutter(ChunkProfile(4096))
BLOCK = 8192


def random_bytes(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


def text_bytes(length: int, seed: int) -> bytes:
    source = random.Random(seed)
    words = [source.randbytes(source.randint(1, 9)).hex().encode() for _ in range(50)]
    return b" ".join(source.choices(words, k=length // 2 + 1))[:length]


def periodic_bytes(length: int, seed: int) -> bytes:
    period = random.Random(seed).randbytes(1 + seed % 9000)
    return (period * (length // len(period) + 1))[:length]


def zero_bytes(length: int, seed: int) -> bytes:
    return bytes(length)


pieces = st.builds(
    lambda make, length, seed: make(length, seed),
    st.sampled_from([random_bytes, text_bytes, periodic_bytes, zero_bytes]),
    st.integers(0, 70_000),
    st.integers(0, 1 << 16),
)
streams = st.lists(pieces, max_size=4).map(b"".join)


def cut_in_segments(content: bytes, size: int) -> list[int]:
    """Cut segments independently, join them in order, and return the ends in the stream."""
    ends: list[int] = []
    certain = 0
    for start in range(0, len(content), size):
        segment = content[start : start + size]
        speculative = CUTTER.cut(segment)
        joined = join_segments(CUTTER, content[certain:start], segment, speculative)
        ends += (joined.ends + certain).tolist()
        # The last cut of a segment is only where it happens to stop.
        ends += (speculative[joined.resume : -1] + start).tolist()
        certain = ends[-1] if ends else 0
    ends += (CUTTER.cut(content[certain:]) + certain).tolist()
    return ends


@settings(max_examples=60, deadline=None)
@given(streams, st.integers(1, 90_000))
def test_segments_give_the_cuts_of_the_whole(content, size):
    """Independent segments of any size, joined, are cut exactly as the whole stream."""
    size = max(size, len(content) // 40 + 1)

    assert cut_in_segments(content, size) == CUTTER.cut(content).tolist()


@settings(max_examples=60, deadline=None)
@given(streams)
def test_chunks_keep_to_the_profile(content):
    """Every chunk but the last is within the bounds, and the last ends the stream."""
    ends = CUTTER.cut(content).tolist()
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]

    assert sum(lengths) == len(content)
    assert all(CUTTER.profile.minimum <= length for length in lengths[:-1])
    assert all(0 < length <= CUTTER.profile.maximum for length in lengths)


@settings(max_examples=80, deadline=None)
@given(streams)
def test_zero_runs_are_all_the_zero_blocks(content):
    """A block is in a zero run exactly when it is all zero, and runs cover the bytes in turn."""
    runs = split_zeros(content, BLOCK)

    assert [run.start for run in runs] == [0, *(run.stop for run in runs[:-1])][: len(runs)]
    assert all(left.zero != right.zero for left, right in pairwise(runs))
    assert (runs[-1].stop if runs else 0) == len(content)
    zero_blocks = {start for run in runs if run.zero for start in range(run.start, run.stop, BLOCK)}
    for start in range(0, len(content), BLOCK):
        block = content[start : start + BLOCK]
        is_zero = not any(block) and len(block) >= min(BLOCK, SHORTEST_ZERO_BYTES)
        assert (start in zero_blocks) == is_zero


@settings(max_examples=30, deadline=None)
@given(streams, st.integers(1, 6))
def test_zero_runs_of_segments_are_those_of_the_whole(content, blocks):
    """Segments that begin at block boundaries see the same zero blocks as the whole file."""
    size = blocks * BLOCK

    def zero_blocks(part: bytes, offset: int) -> set[int]:
        runs = split_zeros(part, BLOCK)
        return {offset + start for r in runs if r.zero for start in range(r.start, r.stop, BLOCK)}

    apart = [zero_blocks(content[at : at + size], at) for at in range(0, len(content), size)]
    assert set().union(*apart) == zero_blocks(content, 0)
