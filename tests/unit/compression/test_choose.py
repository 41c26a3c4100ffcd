from __future__ import annotations

import random

import numpy as np
import pytest

from cas.compression import choose
from cas.compression.choose import Encoded, choose_method, encode_frames
from cas.compression.codec import Codec, decode
from cas.compression.planes import PlaneShape

SIZE = 128 << 10


def noise(seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def text(seed: int = 0) -> bytes:
    source = random.Random(seed)
    words = [b"%x" % source.getrandbits(40) for _ in range(3000)]
    return b" ".join(source.choices(words, k=SIZE // 8))[:SIZE]


def float32(seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).normal(0, 0.02, SIZE // 4)
    return values.astype("<f4").tobytes()


def bfloat16(seed: int = 0) -> bytes:
    return np.ascontiguousarray(
        np.frombuffer(float32(2 * seed) + float32(2 * seed + 1), "<u2")[1::2]
    ).tobytes()


def int64(seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 100_000, SIZE // 8).astype("<i8").tobytes()


def decoded(encoded: Encoded, raw_length: int) -> bytes:
    return bytes(decode(encoded.payload, encoded.codec, encoded.param, raw_length))


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (noise, Codec.RAW),
        (text, Codec.ZSTD),
        (bfloat16, PlaneShape(2)),
        (float32, PlaneShape(4)),
        (int64, PlaneShape(8)),
    ],
)
def test_trial_finds_the_kind_of_content(make, method):
    """Noise stays raw, text is for zstd, numbers are split at their width."""
    assert choose_method(make()) == method


@pytest.mark.parametrize("make", [noise, text, bfloat16, float32, int64])
def test_frames_are_decoded_to_themselves(make):
    """Whatever is chosen, nothing is lost, and no frame grows."""
    frames = [make(seed) for seed in range(3)]

    encoded = encode_frames(frames)

    assert [decoded(each, SIZE) for each in encoded] == frames
    assert all(len(each.payload) <= SIZE for each in encoded)


def test_raw_frames_are_not_copied():
    """The payload of a raw frame is the frame that was given."""
    frame = noise()

    assert encode_frames([frame])[0].payload is frame


def test_short_frames_are_tried_with_zstd_alone():
    """Under 4 KiB there is no trial and no split."""
    frames = [b"a" * 4095, int64()[:4095], b"", b"x"]

    encoded = encode_frames(frames)

    assert [each.codec for each in encoded] == [Codec.ZSTD, Codec.ZSTD, Codec.RAW, Codec.RAW]
    assert [
        decoded(each, len(frame)) for each, frame in zip(encoded, frames, strict=True)
    ] == frames


def test_frames_of_other_kinds_change_the_method():
    """A ratio that moves, or noise that ends, asks for a new trial within one call."""
    frames = [text(), noise(), bfloat16(), int64(), noise(1), text(1)]

    encoded = encode_frames(frames)

    assert [each.codec for each in encoded] == [
        Codec.ZSTD,
        Codec.RAW,
        Codec.PLANES,
        Codec.PLANES,
        Codec.RAW,
        Codec.ZSTD,
    ]


def test_one_trial_serves_eight_frames(monkeypatch):
    """Frames that shrink alike are tried once in eight."""
    tried: list[int] = []
    monkeypatch.setattr(
        choose,
        "choose_method",
        lambda frame, level: (tried.append(len(frame)), choose_method(frame, level))[1],
    )

    encode_frames([bfloat16(seed) for seed in range(17)])

    assert len(tried) == 3


def test_higher_levels_rotate_weights_in_their_phase():
    """Above the default level bf16 weights lose their signs, wherever a frame begins."""
    weights = bfloat16()
    plain = encode_frames([weights])[0]
    even, odd = (encode_frames([weights[start:]], level=6)[0] for start in (0, 1))

    assert PlaneShape.from_param(even.param) == PlaneShape(2, 0, rotate=True)
    assert PlaneShape.from_param(odd.param) == PlaneShape(2, 1, rotate=True)
    assert max(len(even.payload), len(odd.payload)) < len(plain.payload)
    assert decoded(odd, SIZE - 1) == weights[1:]


def test_transform_that_loses_bytes_is_never_used(monkeypatch):
    """Planes that do not decode to the frame fall back to zstd."""
    monkeypatch.setattr(choose, "is_decoded_to", lambda *_: False)

    assert encode_frames([int64()])[0].codec is Codec.ZSTD


def test_views_into_larger_buffers_are_encoded_alike():
    """Frames are usually views of what was read."""
    content = b"xyz" + int64()
    view = memoryview(content)[3:]

    assert bytes(encode_frames([view])[0].payload) == bytes(encode_frames([int64()])[0].payload)
