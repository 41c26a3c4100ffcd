"""Writing many parts and reading ranges when system calls do less than asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.backend.durable import read_range, write_parts

parts = st.lists(
    st.binary(max_size=40).flatmap(
        lambda part: st.sampled_from([part, bytearray(part), memoryview(part)])
    ),
    max_size=12,
)


@given(parts, st.lists(st.integers(1, 25), min_size=1, max_size=5))
def test_no_byte_is_lost_when_the_system_takes_less(given_parts, takes):
    """However little each call writes, the file is the parts in order."""
    written = bytearray()

    def stingy(_: int, views: list[memoryview]) -> int:
        assert 0 < len(views) <= 1024
        taken = b"".join(views)[: takes[len(written) % len(takes)]]
        written.extend(taken)
        return len(taken)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "writev", stingy)
        write_parts(3, given_parts)

    assert bytes(written) == b"".join(given_parts)


def test_more_parts_than_one_call_takes_are_written_in_a_few(tmp_path: Path, monkeypatch):
    """2,500 parts need three calls, none with more than 1,024."""
    real = os.writev
    sizes = []

    def count(descriptor: int, views: list[memoryview]) -> int:
        sizes.append(len(views))
        return real(descriptor, views)

    monkeypatch.setattr(os, "writev", count)
    with (tmp_path / "file").open("wb") as file:
        write_parts(file.fileno(), [b"x"] * 2500)

    assert sizes == [1024, 1024, 452]
    assert (tmp_path / "file").read_bytes() == b"x" * 2500


def test_without_writev_each_part_is_written_to_its_end(tmp_path: Path, monkeypatch):
    """Windows has only `write`, which may take less as well."""
    real = os.write
    monkeypatch.delattr(os, "writev")
    monkeypatch.setattr(os, "write", lambda descriptor, view: real(descriptor, view[:3]))
    with (tmp_path / "file").open("wb") as file:
        write_parts(file.fileno(), [b"one", b"", b"two-three"])

    assert (tmp_path / "file").read_bytes() == b"onetwo-three"


@given(st.binary(max_size=60), st.integers(0, 70), st.none() | st.integers(0, 70))
def test_a_range_is_read_to_its_end_when_the_system_gives_less(content, start, stop):
    """However little each call returns, the range is the slice."""

    def stingy(_: int, count: int, position: int) -> bytes:
        return content[position : position + min(count, 7)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", stingy)
        patch.setattr(os, "fstat", lambda _: os.stat_result((0,) * 6 + (len(content), 0, 0, 0)))
        got = read_range(3, start, stop)

    assert got == content[start:stop]
