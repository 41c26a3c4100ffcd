"""Which codec for which frame: a trial on a sample decides, and its winner serves for a while.

A trial loses 0.2 to 0.4 % against trying everything on every frame, at a tenth of the cost; rules
on entropy lose more, since they cannot see repeats. Spec: specs/format/11-codecs.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cas.compression.codec import Codec
from cas.compression.contexts import DEFAULT_LEVEL, Buffer, compress, compress_entropy, scratch
from cas.compression.planes import (
    PlaneShape,
    encode_planes,
    is_decoded_to,
    is_worth_it,
    split_planes,
)

SHORTEST_TRIAL_BYTES: Final = 4 << 10
FRAMES_PER_TRIAL: Final = 8

_PIECE_BYTES = 8 << 10
_WIDTHS = (2, 4, 8)
# A ratio that moves by this share of itself asks for a new trial.
_MOVED = 0.10

# A method is Codec.RAW, Codec.ZSTD, or how to split into planes.
Method = Codec | PlaneShape


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A frame's codec, param and payload. The payload of a raw frame is the frame itself."""

    codec: Codec
    param: int
    payload: Buffer


def encode_frames(frames: Sequence[Buffer], level: int = DEFAULT_LEVEL) -> list[Encoded]:
    """Encode consecutive frames, each so that decoding it gives the same bytes again.

    Raw wherever less than 3 % is saved. Planes are decoded and compared before they are returned.
    Thread-safe; nearly all time goes to native calls without the GIL.
    """
    encoded: list[Encoded] = []
    method: Method | None = None
    expected = 1.0
    age = 0
    for frame in frames:
        if len(frame) < SHORTEST_TRIAL_BYTES:
            encoded.append(_encode(frame, Codec.ZSTD, level))
            continue
        if method is None or age >= FRAMES_PER_TRIAL or _is_stale_raw(method, frame, level):
            method, age = choose_method(frame, level), 0
            result = _encode(frame, method, level)
            expected = _ratio(result, frame)
        else:
            result = _encode(frame, method, level)
            if abs(_ratio(result, frame) - expected) > _MOVED * expected:
                again, age = choose_method(frame, level), 0
                if again != method:
                    method, result = again, _encode(frame, again, level)
                expected = _ratio(result, frame)
        age += 1
        encoded.append(result)
    return encoded


def choose_method(frame: Buffer, level: int = DEFAULT_LEVEL) -> Method:
    """Return what makes two pieces of a frame smallest; RAW if nothing saves 3 %.

    The phase of rotated planes is left at 0, since every frame has its own.
    """
    sample = _sample(frame)
    best: Method = Codec.ZSTD
    smallest = len(compress(sample, level))
    narrower = len(sample)
    for width in _WIDTHS:
        size = len(encode_planes(sample, PlaneShape(width))[1])
        if size < smallest:
            best, smallest = PlaneShape(width), size
        # Numbers of 4 or 8 bytes gain from each step towards their width.
        if size >= narrower:
            break
        narrower = size
    if not is_worth_it(smallest, len(sample)):
        return Codec.RAW
    if best == PlaneShape(2) and level > DEFAULT_LEVEL:
        # Another 1 % of bf16 weights, for a quarter of the speed.
        rotated = _in_phase(frame, PlaneShape(2, rotate=True))
        size = len(encode_planes(sample, rotated)[1])
        if size < smallest:
            return PlaneShape(2, rotate=True)
    return best


def _encode(frame: Buffer, method: Method, level: int) -> Encoded:
    if method is Codec.RAW:
        return Encoded(Codec.RAW, 0, frame)
    if isinstance(method, PlaneShape):
        shape = _in_phase(frame, method) if method.rotate else method
        param, payload = encode_planes(frame, shape)
        if not is_worth_it(len(payload), len(frame)):
            return Encoded(Codec.RAW, 0, frame)
        # The transform is our own: what it cannot give back is never sent.
        if is_decoded_to(frame, payload, param):
            return Encoded(Codec.PLANES, param, payload)
    payload = compress(frame, level)
    if is_worth_it(len(payload), len(frame)):
        return Encoded(Codec.ZSTD, 0, payload)
    return Encoded(Codec.RAW, 0, frame)


def _in_phase(frame: Buffer, shape: PlaneShape) -> PlaneShape:
    """Return the shape with the phase that leaves the last plane, the exponents, smallest."""
    octets = np.frombuffer(_piece(frame, 1, 2), np.uint8)
    whole = len(octets) // shape.width - 1
    shapes = [PlaneShape(shape.width, phase, shape.rotate) for phase in range(shape.width)]

    def exponent_bytes(candidate: PlaneShape) -> int:
        elements = octets[candidate.phase :][: whole * shape.width]
        planes = split_planes(elements, candidate, scratch(2 * len(elements)))
        return len(compress_entropy(planes[-1].data))

    return min(shapes, key=exponent_bytes)


def _is_stale_raw(method: Method, frame: Buffer, level: int) -> bool:
    """Whether frames were left raw, but this one begins to shrink."""
    if method is not Codec.RAW:
        return False
    piece = _piece(frame, 1, 2)
    return len(compress(piece, level)) * 100 <= len(piece) * 95


def _sample(frame: Buffer) -> Buffer:
    """Return two pieces of a frame, joined; a short frame is its own sample."""
    if len(frame) <= 2 * _PIECE_BYTES:
        return frame
    return b"".join((_piece(frame, 1, 4), _piece(frame, 3, 4)))


def _piece(frame: Buffer, numerator: int, denominator: int) -> memoryview:
    """Return the piece at that part of a frame; it begins at a multiple of 8 bytes."""
    start = (len(frame) * numerator // denominator - _PIECE_BYTES // 2) & ~7
    start = max(0, start)
    return memoryview(frame)[start : start + _PIECE_BYTES]


def _ratio(encoded: Encoded, frame: Buffer) -> float:
    return len(encoded.payload) / len(frame)
