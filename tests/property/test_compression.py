"""Codecs lose nothing, and damaged payloads raise what they must and nothing else."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from cas.compression.choose import encode_frames
from cas.compression.codec import Codec, decode, encode
from cas.compression.planes import PlaneShape, decode_planes, encode_planes
from cas.errors import CorruptionError, UnsupportedError

widths = st.sampled_from([2, 4, 8])
shapes = widths.flatmap(
    lambda width: st.builds(PlaneShape, st.just(width), st.integers(0, width - 1), st.booleans())
)
# Bytes that repeat and bytes that do not, so that planes are stored both ways.
contents = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda unit, count: unit * count, st.binary(min_size=1, max_size=24), st.integers(0, 400)
    ),
    st.builds(bytes.__add__, st.binary(max_size=100), st.integers(0, 9000).map(bytes)),
)


@settings(max_examples=150, deadline=None)
@given(contents, shapes)
def test_planes_lose_nothing(raw, shape):
    """Any bytes in any shape come back."""
    param, payload = encode_planes(raw, shape)

    assert bytes(decode_planes(payload, param, len(raw))) == raw


@settings(max_examples=80, deadline=None)
@given(st.lists(contents, max_size=10), st.sampled_from([1, 3, 9]))
def test_frames_lose_nothing(frames, level):
    """Any frames in any order come back, none larger than it was."""
    encoded = encode_frames(frames, level)

    raws = [
        bytes(decode(each.payload, each.codec, each.param, len(frame)))
        for each, frame in zip(encoded, frames, strict=True)
    ]
    assert raws == frames
    assert all(len(each.payload) <= len(raw) for each, raw in zip(encoded, frames, strict=True))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200), st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 1 << 32)
)
def test_arbitrary_payloads_raise_only_what_they_must(payload, codec, param, raw_length):
    """Whatever the bytes, a decoder gives the stated length or one of two errors."""
    with contextlib.suppress(CorruptionError, UnsupportedError):
        assert len(decode(payload, codec, param, raw_length)) == raw_length


@settings(max_examples=200, deadline=None)
@given(contents, shapes, st.data())
def test_damaged_payloads_raise_only_what_they_must(raw, shape, data):
    """One changed byte gives other bytes of the same length, or CorruptionError."""
    param, planes = encode_planes(raw, shape)
    codec, param, payload = data.draw(
        st.sampled_from([(Codec.PLANES, param, planes), (Codec.ZSTD, 0, encode(raw, Codec.ZSTD))])
    )
    damaged = bytearray(payload)
    where = data.draw(st.integers(0, len(damaged) - 1))
    damaged[where] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(CorruptionError):
        assert len(decode(bytes(damaged), codec, param, len(raw))) == len(raw)
