"""Spans of time as people type them: `30d`, `12h`, `2w`, `never`."""

from __future__ import annotations

import re
from datetime import timedelta

from cas.errors import ErrorCode, InvalidInputError

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
NEVER = "never"

_SECONDS = {
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86_400,
    "w": 7 * 86_400,
    "mo": 30 * 86_400,
    "y": 365 * 86_400,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|min|h|d|w|mo|y)(?=[0-9]|$)", re.ASCII)
_SPAN = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_LONGEST_SECONDS = 1000 * 365 * 86_400

Span = timedelta | int | float | str


def parse_span(text: str) -> int:
    """Return the nanoseconds that `text` names: `30d`, `12h`, `1d12h`, of s, min, h, d, w, mo, y.

    A month has 30 days and a year 365. `m` is refused: to some it is minutes, to others months, and
    what is deleted by the wrong one may be gone.

    Raises:
        InvalidInputError: `text` is no span of time.
    """
    joined = text.strip().lower().replace(" ", "")
    if _SPAN.fullmatch(joined) is None:
        raise InvalidInputError(
            f"{text!r} is not a span of time",
            code=ErrorCode.INVALID_OPTION,
            hint="write it like 30d, 12h or 6mo (s, min, h, d, w, mo, y)",
        )
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(joined))
    return _as_ns(seconds, text)


def span_ns(span: Span) -> int:
    """Return the nanoseconds of a span: a `timedelta`, a number of seconds, or a text like `30d`.

    Raises:
        InvalidInputError: it is negative, too long, or no span.
    """
    if isinstance(span, str):
        return parse_span(span)
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    return _as_ns(seconds, str(span))


def span_or_never(span: Span | None) -> int | None:
    """Return the nanoseconds of a span, or None for None and `never`.

    Raises:
        InvalidInputError: as `span_ns`.
    """
    if span is None or (isinstance(span, str) and span.strip().lower() == NEVER):
        return None
    return span_ns(span)


def format_span(nanoseconds: int) -> str:
    """Return a span for people: `40 s`, `12 min`, `3 h`, `30 days`; the unit that says enough."""
    seconds = max(nanoseconds, 0) // SECOND_NS
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400:,} days"


def _as_ns(seconds: float, text: str) -> int:
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise InvalidInputError(
            f"{text!r} is no span of time between 0 and 1,000 years",
            code=ErrorCode.INVALID_OPTION,
        )
    return round(seconds * SECOND_NS)
