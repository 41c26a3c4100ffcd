"""How large a cache of chunks may be, and what follows from that: its segments and its index."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cas.errors import ErrorCode, InvalidInputError
from cas.model.units import KIB, MIB, format_size, parse_size

# Less holds a few dozen chunks, and would be thrown out before it is read again.
MINIMUM_BYTES = 16 * MIB
# What is evicted at once is a small part of the whole. The largest chunks of the usual profile must
# fit in; and the folder of a cache of many TB must not be slow to list.
SEGMENTS = 128
MINIMUM_SEGMENT_BYTES = 1 * MIB
MAXIMUM_SEGMENT_BYTES = 1 << 30
# A slot for each 16 KiB is four times what chunks of 64 KiB need: buckets overflow hardly ever.
BYTES_PER_SLOT = 16 * KIB
SLOT_BYTES = 20
BUCKET_SLOTS = 16
BUCKET_BYTES = BUCKET_SLOTS * SLOT_BYTES
HEADER_BYTES = 4 * KIB
# Beside segments and index: the lock, the tag, and the folder itself.
OTHER_BYTES = 64 * KIB
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a limit leads to.

    Attributes:
        limit_bytes: of everything in the folder.
        segment_bytes: no segment is longer.
        bucket_bits: the index has two to this power of buckets.
    """

    limit_bytes: int
    segment_bytes: int
    bucket_bits: int

    @property
    def index_bytes(self) -> int:
        """What the index takes when it is full."""
        return index_bytes_of(self.bucket_bits)

    def segments_bytes(self, index_bytes: int = 0) -> int:
        """What all segments may take beside an index of the right size, and for a moment another
        one of `index_bytes`, or of the same size.
        """
        both = self.index_bytes + max(self.index_bytes, index_bytes)
        return self.limit_bytes - both - OTHER_BYTES


def index_bytes_of(bucket_bits: int) -> int:
    """Return what an index of so many buckets takes when it is full."""
    return HEADER_BYTES + (BUCKET_BYTES << bucket_bits)


def geometry_of(limit_bytes: int) -> Geometry:
    """Return what a limit of at least `MINIMUM_BYTES` leads to."""
    segment = min(max(limit_bytes // SEGMENTS, MINIMUM_SEGMENT_BYTES), MAXIMUM_SEGMENT_BYTES)
    buckets = limit_bytes // (BYTES_PER_SLOT * BUCKET_SLOTS)
    return Geometry(limit_bytes, segment, buckets.bit_length() - 1)


def parse_limit(text: str, folder: Path) -> int:
    """Return the bytes that `text` allows: `20GB`, `10%` of the disk that holds `folder`, or `0`.

    Raises:
        InvalidInputError: it is neither, or less than a cache needs.
    """
    if share := _SHARE.fullmatch(text):
        part = float(share.group(1)) / 100
        if part > 1:
            raise InvalidInputError(
                f"{text!r} is more than the disk has",
                code=ErrorCode.INVALID_OPTION,
                hint="write 100% at most",
            )
        size = int(_disk_bytes(folder) * part)
    else:
        size = _parse_bytes(text)
    if 0 < size < MINIMUM_BYTES:
        raise InvalidInputError(
            f"a cache of {format_size(size)} is too small",
            code=ErrorCode.INVALID_OPTION,
            hint=f"give it {format_size(MINIMUM_BYTES)} or more, or 0 for none",
        )
    return size


def _parse_bytes(text: str) -> int:
    try:
        return parse_size(text)
    except InvalidInputError as error:
        hint = "write 20GB, 10% of the disk, or 0 for none"
        raise InvalidInputError(str(error), code=error.code, hint=hint) from error


def _disk_bytes(folder: Path) -> int:
    for existing in (folder, *folder.parents):
        if existing.is_dir():
            return shutil.disk_usage(existing).total
    return 0
