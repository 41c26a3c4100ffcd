"""Sizes and durations: reading what people type, printing what people read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cas.errors import ErrorCode, InvalidInputError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_POWERS = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kib": KIB,
    "kb": 1000,
    "m": MIB,
    "mib": MIB,
    "mb": 1000**2,
    "g": GIB,
    "gib": GIB,
    "gb": 1000**3,
    "t": TIB,
    "tib": TIB,
    "tb": 1000**4,
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*", re.ASCII)


def parse_size(text: str) -> int:
    """Return the bytes that `text` names: `65536`, `64KiB`, `1.5 GB`, `10M` (= 10 MiB).

    Raises:
        InvalidInputError: `text` is no size.
    """
    match = _SIZE.fullmatch(text)
    unit = _POWERS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise InvalidInputError(
            f"{text!r} is not a size", code=ErrorCode.INVALID_OPTION, hint="write it like 64KiB"
        )
    return int(float(match.group(1)) * unit)


def format_size(size: int) -> str:
    """Return `size` bytes for people: `0 B`, `512 B`, `4.0 KiB`, `1.2 GiB`."""
    if abs(size) < KIB:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 999.95 or unit == "TiB":
            return f"{value:.1f} {unit}"
    raise AssertionError("unreachable")


def format_exact_size(size: int) -> str:
    """Return `size` bytes for people, and to the byte: `12 B`, `4.0 KiB (4,100 bytes)`."""
    rounded = format_size(size)
    return rounded if abs(size) < KIB else f"{rounded} ({size:,} bytes)"


def format_rate(size: int, seconds: float) -> str:
    """Return the speed of moving `size` bytes in `seconds` seconds."""
    return f"{format_size(int(size / max(seconds, 1e-9)))}/s"


def format_count(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`, `1,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_duration(seconds: float) -> str:
    """Return a duration for people: `0.4 s`, `12 s`, `3:05`, `1:02:03`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def format_some(words: Sequence[str], *, separator: str = ", ", most: int = 5) -> str:
    """Return the first few of a list as text, and how many more there are."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + rest
