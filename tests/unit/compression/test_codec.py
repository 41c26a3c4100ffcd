from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from cas.compression.codec import Codec, decode, encode
from cas.compression.contexts import MAX_RAW_BYTES
from cas.compression.planes import PlaneShape, encode_planes
from cas.errors import CorruptionError, InvalidInputError, UnsupportedError

TEXT = b"".join(b"line %d of the text\n" % number for number in range(2000))
NUMBERS = b"".join((1000 + number % 97).to_bytes(4, "little") for number in range(5000))


def test_raw_is_never_copied():
    """RAW gives back the very object, both ways."""
    assert encode(TEXT, Codec.RAW) is TEXT
    assert decode(TEXT, Codec.RAW, 0, len(TEXT)) is TEXT


@pytest.mark.parametrize("level", [1, 3, 19])
def test_zstd_of_any_level_is_read_by_one_decoder(level):
    """The level is a choice of the writer that readers need not know."""
    payload = encode(TEXT, Codec.ZSTD, level=level)

    assert len(payload) < len(TEXT) // 5
    assert decode(payload, Codec.ZSTD, 0, len(TEXT)) == TEXT


def test_planes_are_encoded_again_from_their_param():
    """The param of a frame of planes says how to make the same payload."""
    param, payload = encode_planes(NUMBERS, PlaneShape(4))

    assert encode(NUMBERS, Codec.PLANES, param) == payload
    assert bytes(decode(payload, Codec.PLANES, param, len(NUMBERS))) == NUMBERS


def test_planes_of_a_param_that_does_not_fit_are_refused():
    """A mask that these bytes do not give is an input error, not a broken payload."""
    with pytest.raises(InvalidInputError):
        encode(NUMBERS, Codec.PLANES, PlaneShape(4).param)


def test_unknown_codec_is_named():
    """A codec of a later release asks for an upgrade."""
    with pytest.raises(UnsupportedError, match="codec 9"):
        decode(b"", 9, 0, 0)


def test_frame_over_the_limit_is_refused_before_anything_is_allocated():
    """The stated length is checked first."""
    with pytest.raises(CorruptionError, match="limit"):
        decode(b"", Codec.PLANES, 1, MAX_RAW_BYTES + 1)


@pytest.mark.parametrize("codec", [Codec.RAW, Codec.ZSTD, Codec.PLANES])
def test_empty_frames_are_decoded(codec):
    """A frame of no bytes is unusual but whole."""
    payload = {
        Codec.RAW: b"",
        Codec.ZSTD: encode(b"", Codec.ZSTD),
        Codec.PLANES: encode_planes(b"", PlaneShape(2))[1],
    }[codec]
    param = 1 if codec is Codec.PLANES else 0

    assert bytes(decode(payload, codec, param, 0)) == b""


def test_threads_do_not_disturb_each_other():
    """Each thread has contexts of its own."""
    sources = [random.Random(seed).randbytes(500) * 40 for seed in range(16)]

    def round_trip(raw: bytes) -> bytes:
        param, payload = encode_planes(raw, PlaneShape(2))
        zstd = encode(raw, Codec.ZSTD)
        assert decode(zstd, Codec.ZSTD, 0, len(raw)) == raw
        return bytes(decode(payload, Codec.PLANES, param, len(raw)))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(round_trip, sources)) == sources
