"""Byte planes: the first bytes of all numbers, then the second bytes, each coded for itself.

Weights and tables are arrays of numbers whose high bytes resemble each other and whose low bytes
are noise. Side by side the noise hides the likeness from zstd; apart, the planes of noise stay raw
and the others shrink to their entropy.

payload := stored length u32 x k | bytes before the first element | bytes after the last | planes
Spec: specs/format/11-codecs.md
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cas.compression.contexts import Buffer, compress_entropy, decompress, scratch
from cas.errors import CorruptionError, ErrorCode

_RESERVED_BITS = 0b1100_0000

Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PlaneShape:
    """How bytes are read as elements.

    Attributes:
        width: bytes of an element: 2, 4 or 8, little endian.
        phase: bytes before the first element, fewer than `width`.
        rotate: whether each element is rotated left by one bit first, which takes the sign of a
            float out of the byte that holds its exponent.
    """

    width: int
    phase: int = 0
    rotate: bool = False

    @property
    def param(self) -> int:
        """The shape's bits of a frame's param."""
        return (self.width.bit_length() - 1) | (self.phase << 2) | (self.rotate << 5)

    @classmethod
    def from_param(cls, param: int) -> Self:
        """Read the shape from a frame's param.

        Raises:
            CorruptionError: no shape has such a param.
        """
        width = 1 << (param & 3)
        phase = (param >> 2) & 7
        if width == 1 or phase >= width or param & _RESERVED_BITS or param >> 8 >> width:
            raise _corrupt(f"the param {param:#x} is not allowed")
        return cls(width, phase, bool(param & 32))

    def element_count(self, raw_length: int) -> int:
        """Return how many whole elements `raw_length` bytes hold after the phase."""
        return max(0, raw_length - self.phase) // self.width


def encode_planes(raw: Buffer, shape: PlaneShape) -> tuple[int, bytes]:
    """Return `raw` as byte planes: the frame's param and payload.

    Each plane is zstd where that saves 3 %, else raw. Decoding gives `raw` again.
    """
    octets = np.frombuffer(raw, np.uint8)
    start = min(shape.phase, len(octets))
    stop = start + shape.element_count(len(octets)) * shape.width
    stored: list[bytes | memoryview] = []
    param = shape.param
    planes = split_planes(octets[start:stop], shape, scratch(2 * (stop - start)))
    for row, plane in enumerate(planes):
        packed = compress_entropy(plane.data)
        if is_worth_it(len(packed), len(plane)):
            param |= 256 << row
            stored.append(packed)
        else:
            stored.append(plane.data)
    lengths = struct.pack(f"<{shape.width}I", *(len(plane) for plane in stored))
    return param, b"".join((lengths, octets[:start].data, octets[stop:].data, *stored))


def decode_planes(payload: Buffer, param: int, raw_length: int) -> memoryview:
    """Return the `raw_length` bytes that `encode_planes` made into `param` and `payload`.

    Raises:
        CorruptionError: the payload is not what such a param and length need.
    """
    return _decode_into(payload, param, raw_length, np.empty(8 + raw_length, np.uint8)).data


def is_decoded_to(raw: Buffer, payload: Buffer, param: int) -> bool:
    """Whether `decode_planes` gives exactly `raw`."""
    length = len(raw)
    # Merging uses the beginning of the scratch memory, so the elements stand behind that.
    room = scratch(2 * length + 16)[(length + 7) & ~7 :]
    octets = _decode_into(payload, param, length, room)
    # `==` of memory views compares one element after another, holding the GIL.
    np.bitwise_xor(octets, np.frombuffer(raw, np.uint8), out=octets)
    return length == 0 or not octets.max()


def split_planes(octets: Octets, shape: PlaneShape, room: Octets) -> list[Octets]:
    """Return plane j of every element's byte j, for whole elements.

    The planes stand in `room`, which has twice as many bytes as `octets`.
    """
    width = shape.width
    elements = octets.view(f"<u{width}")
    count = len(elements)
    if shape.rotate:
        rotated = room[len(octets) : 2 * len(octets)].view(elements.dtype)
        spare = room[: len(octets)].view(elements.dtype)
        elements = _rotate(elements, left=1, out=rotated, spare=spare)
    planes = [room[row * count : (row + 1) * count] for row in range(width)]
    if width == 2:
        # Narrowing conversions are vectorised; strided copies take 4 times as long.
        planes[0][:] = elements
        np.right_shift(elements, 8, out=planes[1], casting="unsafe")
        return planes
    table = elements.view(np.uint8).reshape(-1, width)
    for row, plane in enumerate(planes):
        plane[:] = table[:, row]
    return planes


def merge_planes(planes: Sequence[Octets], shape: PlaneShape, octets: Octets) -> None:
    """Fill `octets` with the elements that the planes came from, using scratch memory."""
    width = shape.width
    elements = octets.view(f"<u{width}")
    if width == 2:
        elements[:] = planes[1]
        np.left_shift(elements, 8, out=elements)
        np.bitwise_or(elements, planes[0], out=elements)
    else:
        table = octets.reshape(-1, width)
        for row, plane in enumerate(planes):
            table[:, row] = plane
    if shape.rotate:
        spare = scratch(len(octets)).view(elements.dtype)
        _rotate(elements, left=8 * width - 1, out=elements, spare=spare)


def is_worth_it(stored: int, raw: int) -> bool:
    """Whether storing fewer bytes is worth decoding them: 3 % are saved."""
    return stored * 100 <= raw * 97


def _decode_into(payload: Buffer, param: int, raw_length: int, room: Octets) -> Octets:
    """Decode into `room`, which has 8 bytes more than needed; return the part that was filled."""
    shape = PlaneShape.from_param(param)
    width = shape.width
    count = shape.element_count(raw_length)
    start = min(shape.phase, raw_length)
    stop = start + count * width
    content = np.frombuffer(payload, np.uint8)
    first = 4 * width + raw_length - count * width
    if len(content) < first:
        raise _corrupt(f"{len(content)} bytes cannot hold {width} planes")
    edges = content[4 * width : first]
    planes = _decode_planes_each(content, first, param, count)
    # Elements stand where numbers of their width must: arithmetic is slow elsewhere.
    octets = room[width - shape.phase :][:raw_length]
    octets[:start] = edges[:start]
    octets[stop:] = edges[start:]
    merge_planes(planes, shape, octets[start:stop])
    return octets


def _decode_planes_each(content: Octets, first: int, param: int, count: int) -> list[Octets]:
    """Return the planes of `count` bytes each, which lie in `content` from `first` on."""
    width = 1 << (param & 3)
    lengths = struct.unpack_from(f"<{width}I", content.data)
    if first + sum(lengths) != len(content):
        raise _corrupt(f"{len(content)} bytes, expected {first + sum(lengths)}")
    planes: list[Octets] = []
    for row, length in enumerate(lengths):
        plane = content[first : first + length]
        first += length
        if (param >> (8 + row)) & 1:
            plane = np.frombuffer(decompress(plane.data, count), np.uint8)
        elif length != count:
            raise _corrupt(f"a raw plane of {length} bytes, expected {count}")
        planes.append(plane)
    return planes


def _rotate(
    elements: NDArray[Any], *, left: int, out: NDArray[Any], spare: NDArray[Any]
) -> NDArray[Any]:
    """Rotate each element left into `out`, which may be `elements` itself, and return it."""
    np.left_shift(elements, left, out=spare)
    np.right_shift(elements, 8 * elements.itemsize - left, out=out)
    np.bitwise_or(out, spare, out=out)
    return out


def _corrupt(what: str) -> CorruptionError:
    return CorruptionError(f"byte planes: {what}", code=ErrorCode.MALFORMED_OBJECT)
