from __future__ import annotations

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.testing.corpora import random_content
from cas.transfer.copying import copy_range

CONTENT = random_content(1, 40_000)


@pytest.fixture(params=["kernel", "refused", "absent"])
def files(tmp_path, request, monkeypatch):
    """A source and a target, where the kernel copies, where it refuses, and where it cannot."""
    (tmp_path / "source").write_bytes(CONTENT)
    source = os.open(tmp_path / "source", os.O_RDONLY)
    target = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)

    def refuse(*_):
        raise OSError(errno.EXDEV, "on different file systems")

    if request.param == "refused":
        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    elif request.param == "absent":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    yield source, target
    os.close(source)
    os.close(target)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 39_999), st.integers(0, 20_000), st.integers(1, 40_000))
def test_a_range_arrives_where_it_belongs(files, start, offset, length):
    """Whatever the alignment; where the source ends early, so does the copy, and says so."""
    source, target = files
    os.ftruncate(target, 0)

    copied = copy_range(source, start, target, offset, length)

    expected = CONTENT[start : start + length]
    assert copied == len(expected)
    assert os.pread(target, 100_000, 0) == bytes(offset) + expected


def test_a_failure_of_the_target_is_told(files, tmp_path):
    """A target that cannot be written is not taken for a copy that the kernel cannot make."""
    source, _ = files
    target = os.open(tmp_path / "source", os.O_RDONLY)

    with pytest.raises(OSError, match=r".+"):
        copy_range(source, 0, target, 0, 100)

    os.close(target)
