"""What cannot be made on this machine is found before anything is written."""

from __future__ import annotations

import pytest

from cas.transfer.safe_paths import find_conflicts, leads_outside


def conflicts(*paths: bytes, folds_case: bool = False, is_windows: bool = False) -> list[str]:
    return find_conflicts(paths, folds_case=folds_case, is_windows=is_windows)


def test_ordinary_paths_have_no_conflicts():
    """Names of any bytes, equal but for case, are fine where the file system tells them apart."""
    assert conflicts(b"a", b"A", b"d/a", b"D/a", b"\xff", b"con", b"a:b") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"readme", b"README"),
        ("é".encode(), "e\u0301".encode()),
        ("straße".encode(), b"STRASSE"),
        (b"Data/x", b"data/y"),
    ],
)
def test_names_that_fall_together_are_found(one, other):
    """Where case or Unicode form does not count, two files or two folders are one."""
    problems = conflicts(one, other, folds_case=True)

    assert len(problems) == 1
    assert "are one name here" in problems[0]


def test_one_folder_of_many_files_is_no_conflict():
    """Files of the same folder share it, on any file system."""
    assert conflicts(b"d/a", b"d/b", b"d/e/c", folds_case=True) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"aux", "aux is a reserved name on Windows"),
        (b"d/COM1.txt", "COM1.txt is a reserved name on Windows"),
        ("lpt\u00b2".encode(), "lpt\u00b2 is a reserved name on Windows"),
        (b"d./x", "'d.' ends in a dot or a space, which Windows drops"),
        (b"x ", "'x ' ends in a dot or a space, which Windows drops"),
        (b"a:b", "':' cannot be in a name on Windows"),
        (b"a\\b", "'\\\\' cannot be in a name on Windows"),
        (b"a\x01", "'\\x01' cannot be in a name on Windows"),
    ],
)
def test_what_windows_cannot_hold_is_found(path, reason):
    """Reserved names, forbidden characters and dropped endings, with the reason."""
    assert [problem.partition(": ")[2] for problem in conflicts(path, is_windows=True)] == [reason]
    assert conflicts(b"console", b"com10", b"a.b", is_windows=True) == []


def test_a_path_that_is_file_and_folder_is_found():
    """No file system holds `a` and `a/b`."""
    assert conflicts(b"a", b"a/b", b"a/c/d") == ["a is both a file and a folder"]


def test_names_and_paths_beyond_limits_are_found():
    """A name over 255 bytes and a path of too many levels or bytes cannot be made."""
    assert conflicts(b"d/" + b"n" * 256)[0].endswith("a name longer than 255 bytes")
    assert "nested more than" in conflicts(b"a/" * 1001 + b"a")[0]
    assert "nested more than" in conflicts(b"/".join([b"a" * 200] * 30))[0]
    assert conflicts(b"a/" * 999 + b"a") == []


def test_a_million_levels_are_refused_without_delay():
    """A path made to cost time for each level costs none."""
    assert len(conflicts(b"a/" * (1 << 20) + b"a")) == 1


@pytest.mark.parametrize(
    ("path", "target", "leads"),
    [
        (b"a", b"b", False),
        (b"d/a", b"../b", False),
        (b"d/a", b"../../b", True),
        (b"a", b"..", True),
        (b"a", b"/etc/passwd", True),
        (b"d/e/a", b"../x/../../y", False),
        (b"d/a", b"x/../../../y", True),
        (b"a", b"./b/.//c", False),
        (b"a", b"b/../..", True),
    ],
)
def test_links_that_lead_out_are_told(path, target, leads):
    """What counts is whether the way ever leaves the tree, not where it ends."""
    assert leads_outside(path, target) is leads
