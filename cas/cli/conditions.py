"""Conditions as people type them: `--filter 'size>1GB'`, and the orders that `--sort` takes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cas.environment import SystemClock
from cas.errors import ErrorCode, InvalidInputError
from cas.model.durations import parse_span
from cas.model.units import parse_size

_CONDITION = re.compile(r"\s*([a-z]+)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*", re.DOTALL)
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Field:
    """Something by which rows are chosen and put in order.

    Attributes:
        of: its value for a row: bytes, a number, nanoseconds since the epoch, or a text.
        parse: reads what it is compared with; None: a text, which is matched as a pattern.
        biggest_first: whether an order by it begins with the greatest.
    """

    of: Callable[[Any], Any]
    parse: Callable[[str], Any] | None = None
    biggest_first: bool = False


def size_field(of: Callable[[Any], int]) -> Field:
    """Return a field of bytes: `size>1GB`."""
    return Field(of, parse_size, biggest_first=True)


def count_field(of: Callable[[Any], int]) -> Field:
    """Return a field that counts: `versions>=3`."""
    return Field(of, _parse_count, biggest_first=True)


def age_field(created_ns: Callable[[Any], int]) -> Field:
    """Return a field of how long ago something was made: `age>30d`; the newest comes first."""
    now_ns = SystemClock().now_ns()
    return Field(lambda row: now_ns - created_ns(row), parse_span)


def parse_conditions(texts: Sequence[str], fields: Mapping[str, Field]) -> Predicate | None:
    """Return what tells whether a row meets all conditions; None if there are none.

    Raises:
        InvalidInputError: one is no condition, or not about one of `fields`.
    """
    conditions = [_parse_condition(text, fields) for text in texts]
    if not conditions:
        return None
    return lambda row: all(condition(row) for condition in conditions)


def order_by(
    name: str | None, fields: Mapping[str, Field], *, reverse: bool
) -> Callable[[list[Any]], list[Any]] | None:
    """Return what puts rows in order; None if they stay as they are.

    Raises:
        InvalidInputError: there is no such field.
    """
    if name is None:
        return (lambda rows: rows[::-1]) if reverse else None
    field = _field(name, fields)
    backwards = field.biggest_first != reverse
    return lambda rows: sorted(rows, key=field.of, reverse=backwards)


def _parse_condition(text: str, fields: Mapping[str, Field]) -> Predicate:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no condition",
            code=ErrorCode.INVALID_OPTION,
            hint=f"write NAME>VALUE, with <, <=, =, !=, > or >=, of {', '.join(fields)}",
        )
    name, sign, value = match.groups()
    field = _field(name, fields)
    if field.parse is not None:
        wanted, compare = field.parse(value), _COMPARED[sign]
        return lambda row: compare(field.of(row), wanted)
    if sign not in ("=", "!="):
        raise InvalidInputError(
            f"{text!r}: {name} is a text", code=ErrorCode.INVALID_OPTION, hint=f"{name}=PATTERN"
        )
    return lambda row: fnmatchcase(field.of(row), value) is (sign == "=")


def _field(name: str, fields: Mapping[str, Field]) -> Field:
    if name not in fields:
        raise InvalidInputError(
            f"there is nothing called {name!r} here",
            code=ErrorCode.INVALID_OPTION,
            hint=f"it may be one of: {', '.join(fields)}",
        )
    return fields[name]


def _parse_count(text: str) -> int:
    if not text.isdecimal():
        raise InvalidInputError(f"{text!r} is no number", code=ErrorCode.INVALID_OPTION)
    return int(text)
