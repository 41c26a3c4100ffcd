"""The table of codecs: what a frame's codec and param mean.

Spec: specs/format/11-codecs.md
"""

from __future__ import annotations

from enum import IntEnum

from cas.compression.contexts import DEFAULT_LEVEL, MAX_RAW_BYTES, Buffer, compress, decompress
from cas.compression.planes import PlaneShape, decode_planes, encode_planes
from cas.errors import CorruptionError, ErrorCode, InvalidInputError, UnsupportedError


class Codec(IntEnum):
    """How a frame is coded; the number is the one that stands in its head."""

    RAW = 0
    ZSTD = 1
    PLANES = 2


def encode(raw: Buffer, codec: Codec, param: int = 0, *, level: int = DEFAULT_LEVEL) -> Buffer:
    """Return the payload of a frame; of RAW it is `raw` itself, not a copy.

    Raises:
        InvalidInputError: `param` is not what `encode_planes` gives for these bytes and its shape.
    """
    if codec is Codec.RAW:
        return raw
    if codec is Codec.ZSTD:
        return compress(raw, level)
    made, payload = encode_planes(raw, PlaneShape.from_param(param & 0xFF))
    if made != param:
        raise InvalidInputError(
            f"these bytes make planes of param {made:#x}, not {param:#x}",
            code=ErrorCode.INVALID_OPTION,
        )
    return payload


def decode(payload: Buffer, codec: int, param: int, raw_length: int) -> Buffer:
    """Return the `raw_length` bytes of a frame; those of RAW are `payload` itself.

    Raises:
        UnsupportedError: no such codec is known here.
        CorruptionError: the payload is not what its codec makes, or is over 16 MiB.
    """
    if raw_length > MAX_RAW_BYTES:
        raise _corrupt(f"a frame of {raw_length} bytes is over the limit")
    if codec == Codec.PLANES:
        return decode_planes(payload, param, raw_length)
    if codec not in (Codec.RAW, Codec.ZSTD):
        raise UnsupportedError(
            f"the codec {codec} is unknown",
            code=ErrorCode.UNSUPPORTED_FORMAT,
            hint="a newer cas wrote this: upgrade",
        )
    if param:
        raise _corrupt(f"the param {param:#x} is not allowed for codec {codec}")
    if codec == Codec.ZSTD:
        return decompress(payload, raw_length)
    if len(payload) != raw_length:
        raise _corrupt(f"a raw frame has {len(payload)} bytes, expected {raw_length}")
    return payload


def _corrupt(what: str) -> CorruptionError:
    return CorruptionError(what, code=ErrorCode.MALFORMED_OBJECT)
