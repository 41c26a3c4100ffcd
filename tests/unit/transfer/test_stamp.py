"""What tells that a file changed."""

from __future__ import annotations

import os

import pytest

from cas.transfer import stamp as stamp_module
from cas.transfer.stamp import FileStamp


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    return tmp_path / "file"


def test_an_untouched_file_fits(path):
    """A stamp fits the stat that it was taken from, and each like it."""
    assert FileStamp.of(path.stat()).fits(path.stat())


def test_a_file_that_took_the_place_of_another_does_not_fit(path):
    """Same size, same times, another inode."""
    stamp = FileStamp.of(before := path.stat())
    path.with_name("other").write_bytes(b"CONTENT")
    path.with_name("other").replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not stamp.fits(path.stat())
    assert not stamp._replace(mtime=0, ctime=path.stat().st_ctime_ns).fits(path.stat())


def test_inodes_do_not_count_where_listings_have_none(path, monkeypatch):
    """On Windows they would make every file a changed one."""
    monkeypatch.setattr(stamp_module, "INODE_MASK", 0)
    listed = FileStamp.of(path.stat())._replace(inode=0)

    assert listed.fits(path.stat())
    assert FileStamp.of(path.stat()) == listed
