"""Planned reads, for any blob, any wants and any limits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cas.backend.base import Capabilities
from cas.format.blob import CODEC_RAW, HEADER_BYTES, BlobTable, frame_length
from cas.model.ids import SessionId
from cas.transfer.plan import (
    LOCAL_READS,
    REMOTE_READS,
    Placement,
    ReadLimits,
    distinct,
    limits_of,
    plan_reads,
)


@st.composite
def tables(draw):
    """A table whose frames hold one to four chunks and lie one after another."""
    frames = draw(
        st.lists(
            st.tuples(st.lists(st.integers(1, 9000), min_size=1, max_size=4), st.integers(0, 2)),
            min_size=1,
            max_size=30,
        )
    )
    rows = []
    at = HEADER_BYTES
    for lengths, codec in frames:
        raw = sum(lengths)
        stored = raw if codec == CODEC_RAW else raw // 2 + 1
        rows.append((at, stored, raw, codec, len(lengths)))
        at += frame_length(len(lengths), stored)
    columns = np.array(rows)
    lengths = [length for chunks, _ in frames for length in chunks]
    return BlobTable(
        nonce=bytes(16),
        session=SessionId(bytes(16)),
        frame_offsets=columns[:, 0].astype(np.uint32),
        frame_stored=columns[:, 1].astype(np.uint32),
        frame_raw=columns[:, 2].astype(np.uint32),
        frame_codecs=columns[:, 3].astype(np.uint8),
        frame_params=np.zeros(len(frames), np.uint16),
        frame_chunks=columns[:, 4].astype(np.uint16),
        chunk_ids=np.zeros((len(lengths), 32), np.uint8),
        chunk_lengths=np.array(lengths, np.uint32),
    )


@st.composite
def wants(draw):
    """A table, and placements of runs of its chunks at any places of any files."""
    table = draw(tables())
    count = len(table.chunk_lengths)
    starts = np.concatenate([[0], np.cumsum(table.chunk_lengths, dtype=np.int64)])
    placements = []
    for file in range(draw(st.integers(1, 12))):
        first = draw(st.integers(0, count - 1))
        stop = draw(st.integers(first + 1, count))
        length = int(starts[stop] - starts[first])
        placements.append(Placement(file, draw(st.integers(0, 1 << 40)), first, stop, length))
    return table, placements


limits = st.builds(
    ReadLimits,
    gap_bytes=st.integers(0, 20_000),
    read_bytes=st.integers(1, 60_000),
    raw_bytes=st.integers(1, 60_000),
)


@given(wants(), limits)
def test_every_wanted_chunk_is_in_exactly_one_read_and_goes_where_it_belongs(wanted, limit):
    """The parts of a placement, put together, are the placement."""
    table, placements = wanted
    starts = np.concatenate([[0], np.cumsum(table.chunk_lengths, dtype=np.int64)])

    reads = plan_reads(table, placements, limit)

    parts = sorted(
        (part for read in reads for part in read.placements), key=lambda p: (p.file, p.first)
    )
    expected = [
        (whole.file, row, whole.offset + int(starts[row] - starts[whole.first]))
        for whole in placements
        for row in range(whole.first, whole.stop)
    ]
    found = [
        (part.file, row, part.offset + int(starts[row] - starts[part.first]))
        for part in parts
        for row in range(part.first, part.stop)
    ]
    assert found == expected
    assert all(p.length == starts[p.stop] - starts[p.first] for p in parts)


@given(wants(), limits)
def test_reads_keep_their_limits(wanted, limit):
    """A read of several frames is as short, and its gaps as small, as asked; reads do not overlap."""
    table, placements = wanted
    ends = [
        int(table.frame_offsets[f])
        + frame_length(int(table.frame_chunks[f]), int(table.frame_stored[f]))
        for f in range(len(table.frame_offsets))
    ]

    reads = plan_reads(table, placements, limit)

    before = 0
    for read in reads:
        frames = sorted(
            {
                int(table.chunk_frames[row])
                for p in read.placements
                for row in range(p.first, p.stop)
            }
        )
        assert before <= read.start == int(table.frame_offsets[read.first_frame])
        assert read.stop == ends[read.stop_frame - 1]
        assert (frames[0], frames[-1]) == (read.first_frame, read.stop_frame - 1)
        before = read.stop
        decoded = sum(int(table.frame_raw[f]) for f in frames if table.frame_codecs[f] != CODEC_RAW)
        assert read.memory_bytes == read.stop - read.start + decoded
        if len(frames) > 1:
            assert read.stop - read.start <= limit.read_bytes
            assert decoded <= limit.raw_bytes
        gaps = [int(table.frame_offsets[b]) - ends[a] for a, b in pairwise(frames)]
        assert all(gap <= limit.gap_bytes for gap in gaps)


@given(wants())
def test_reads_are_joined_where_nothing_speaks_against_it(wanted):
    """Without limits all that is wanted of a blob is one read."""
    table, placements = wanted

    reads = plan_reads(table, placements, ReadLimits(1 << 40, 1 << 40, 1 << 40))

    assert len(reads) == 1


def test_nothing_wanted_is_no_read():
    """A blob that everything can be copied of is not touched."""
    assert plan_reads(None, []) == []


def test_the_kind_of_backend_decides_the_limits():
    """Requests that take long are worth more bytes, and more of them are made at a time."""
    near = Capabilities(create_if_absent=True, atomic_listing=False, local=True)
    far = Capabilities(create_if_absent=True, atomic_listing=True, local=False)

    assert (limits_of(near), limits_of(far)) == (LOCAL_READS, REMOTE_READS)
    assert LOCAL_READS.gap_bytes < REMOTE_READS.gap_bytes


@given(st.lists(st.integers(-3, 3)))
def test_distinct_values_are_those_of_numpy(values):
    """In order, each once, of the same type; also of none."""
    array = np.array(values, np.int32)

    found = distinct(array)

    assert (found.tolist(), found.dtype) == (np.unique(array).tolist(), array.dtype)
