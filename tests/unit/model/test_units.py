"""Sizes and durations are read and printed the way people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import InvalidInputError
from cas.model.units import (
    GIB,
    KIB,
    MIB,
    TIB,
    format_count,
    format_duration,
    format_rate,
    format_size,
    format_some,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("65536", 65536), ("64KiB", 64 * KIB), ("64 kib", 64 * KIB), ("10M", 10 * MIB),
     ("1.5 GB", 1_500_000_000), ("2TiB", 2 * TIB), (" 3 g ", 3 * GIB), ("7b", 7), ("1kB", 1000)],
)  # fmt: skip
def test_sizes_are_read(text, size):
    """A bare letter is binary, `GB` is decimal, `GiB` is binary."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "1 PiBi", "1..5", ".5", "1,000", "٣", "k"])
def test_what_is_no_size_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(InvalidInputError):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_a_printed_size_reads_back_about_the_same(size):
    """Printing rounds to one decimal of its unit, no more."""
    assert abs(parse_size(format_size(size)) - size) <= max(0, size * 0.051)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (4096, "4.0 KiB"), (1_048_524, "1.0 MiB"),
     (1_234_567_890, "1.1 GiB"), (5000 * TIB, "5000.0 TiB"), (-2048, "-2.0 KiB")],
)  # fmt: skip
def test_sizes_are_printed_short(size, text):
    """No more than four digits before the unit, until units run out."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.44, "0.4 s"), (12.3, "12 s"), (185, "3:05"), (3725, "1:02:05")],
)
def test_durations_are_printed_short(seconds, text):
    """Seconds first, then minutes and hours as clocks show them."""
    assert format_duration(seconds) == text


def test_counts_agree_with_their_noun():
    """One file, two files."""
    assert [format_count(count, "file") for count in (0, 1, 2, 1234)] == [
        "0 files",
        "1 file",
        "2 files",
        "1,234 files",
    ]


def test_a_speed_needs_no_time_to_have_passed():
    """A transfer that took no measurable time still prints."""
    assert format_rate(10 * MIB, 2) == "5.0 MiB/s"
    assert format_rate(1, 0).endswith("/s")


def test_of_a_long_list_the_first_are_named():
    """And how many more there are; of a short one, all."""
    assert format_some(["a", "b"]) == "a, b"
    assert format_some(["a", "b", "c", "d"], separator="; ", most=2) == "a; b and 2 more"
