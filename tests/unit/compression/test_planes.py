from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from cas.compression.planes import (
    PlaneShape,
    decode_planes,
    encode_planes,
    is_decoded_to,
    is_worth_it,
    split_planes,
)
from cas.errors import CorruptionError

SHAPES = [
    PlaneShape(width, phase, rotate)
    for width in (2, 4, 8)
    for phase in range(width)
    for rotate in (False, True)
]


def floats(count: int) -> bytes:
    source = random.Random(5)
    return struct.pack(f"<{count}f", *(source.gauss(0, 0.02) for _ in range(count)))


@pytest.mark.parametrize("shape", SHAPES)
def test_param_names_the_shape(shape):
    """A reader finds width, phase and rotation in the param."""
    assert PlaneShape.from_param(shape.param) == shape


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 4099])
def test_planes_give_back_their_bytes(shape, length):
    """Lengths and phases that no element fits are kept at the edges."""
    raw = floats(1100)[:length]

    param, payload = encode_planes(raw, shape)

    assert bytes(decode_planes(payload, param, length)) == raw
    assert is_decoded_to(raw, payload, param)


@pytest.mark.parametrize("shape", [PlaneShape(2), PlaneShape(4, 3, rotate=True), PlaneShape(8)])
def test_bytes_at_odd_addresses_are_split_alike(shape):
    """Where a frame lies in memory does not show in its payload."""
    raw = floats(3000)
    shifted = memoryview(b"x" + raw)[1:]

    assert encode_planes(shifted, shape) == encode_planes(raw, shape)


def test_plane_holds_one_byte_of_every_element():
    """Plane 0 has the lowest bytes."""
    octets = np.frombuffer(bytes(range(8)), np.uint8)

    planes = split_planes(octets, PlaneShape(4), np.empty(16, np.uint8))

    assert [bytes(plane) for plane in planes] == [b"\0\4", b"\1\5", b"\2\6", b"\3\7"]


def test_rotation_takes_the_sign_out_of_the_exponent():
    """The top bit of each element becomes the lowest bit of plane 0."""
    octets = np.frombuffer(struct.pack("<2H", 0x8001, 0x3F80), np.uint8)

    planes = split_planes(octets, PlaneShape(2, rotate=True), np.empty(8, np.uint8))

    assert [bytes(plane) for plane in planes] == [b"\x03\x00", b"\x00\x7f"]


def test_noise_stays_raw_and_exponents_shrink():
    """The mask tells which planes are worth decoding."""
    raw = floats(20_000)

    param, payload = encode_planes(raw, PlaneShape(4))

    assert param >> 8 == 0b1000
    assert len(payload) < 0.86 * len(raw)


def test_damage_of_the_transform_is_seen():
    """The comparison after encoding finds any other byte."""
    raw = floats(100)
    param, payload = encode_planes(raw, PlaneShape(2))

    assert not is_decoded_to(raw[:-1] + b"\xff", payload, param)
    assert not is_decoded_to(b"\xff" + raw[1:], payload, param)


def test_lengths_that_lie_are_corruption():
    """Stored lengths must add up to the payload."""
    param, payload = encode_planes(floats(100), PlaneShape(2))

    with pytest.raises(CorruptionError, match="expected"):
        decode_planes(b"\xff" + payload[1:], param, 400)


@pytest.mark.parametrize(("stored", "worth"), [(97, True), (98, False), (100, False), (101, False)])
def test_three_percent_is_worth_it(stored, worth):
    """Less is not worth the time of decoding."""
    assert is_worth_it(stored, 100) is worth
