"""Spans of time as people and programs give them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cas.errors import InvalidInputError
from cas.model.durations import DAY_NS, SECOND_NS, format_span, parse_span, span_ns, span_or_never


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5min", 300),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("2 W", 1_209_600),
        ("1y", 31_536_000),
        ("1d12h", 129_600),
        ("1y6mo", 47_088_000),
        ("0.5d", 43_200),
        ("0s", 0),
    ],
)
def test_a_span_is_read_as_it_is_meant(text, seconds):
    """Numbers with a unit, several of them too."""
    assert parse_span(text) == seconds * SECOND_NS


@pytest.mark.parametrize(
    "text", ["", "30", "6m", "6m3d", "d", "-3d", "1 month", "3 days ago", "1e9y", "9999y"]
)
def test_what_is_no_span_is_refused(text):
    """Never taken for some other time."""
    with pytest.raises(InvalidInputError):
        parse_span(text)


def test_programs_give_spans_in_three_ways():
    """A timedelta, seconds, or text."""
    assert span_ns(timedelta(days=1)) == span_ns(86_400) == span_ns("1d") == DAY_NS
    assert span_or_never("never") is None
    assert span_or_never(None) is None


@pytest.mark.parametrize("span", [timedelta(days=-1), -1.0, float("nan")])
def test_a_span_is_not_negative(span):
    """Nothing expires before it is there."""
    with pytest.raises(InvalidInputError):
        span_ns(span)


@pytest.mark.parametrize(
    ("span", "text"), [("40s", "40 s"), ("10min", "10 min"), ("3h", "3 h"), ("30d", "30 days")]
)
def test_a_span_is_shown_in_the_unit_that_says_enough(span, text):
    """One number, one unit."""
    assert format_span(parse_span(span)) == text
