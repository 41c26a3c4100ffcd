"""What a scan of local paths finds, leaves out and refuses."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.errors import InvalidInputError, NotFoundError
from cas.model.entry import EntryKind
from cas.testing.strategies import trees
from cas.testing.trees import write_tree
from cas.transfer import tree as tree_module
from cas.transfer.tree import scan_tree


def kinds_of(tree):
    return {path: EntryKind(kind) for path, kind in zip(tree.paths, tree.kinds, strict=True)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(tree=trees(max_size=300), number=st.integers(0, 1 << 60))
def test_every_file_is_found_whatever_its_name(tmp_path, tree, number):
    """Names of any bytes come back, sorted by bytes, with the sizes of their files."""
    folder = write_tree(tmp_path / str(number), tree)

    found = scan_tree([folder])

    assert dict(zip(found.paths, found.sizes.tolist(), strict=True)) == {
        path: len(content) for path, content in tree.items()
    }
    assert found.paths == sorted(found.paths)
    contents = [Path(os.fsdecode(found.local_path(row))).read_bytes() for row in range(len(found))]
    assert contents == [tree[path] for path in found.paths]


def test_links_are_kept_as_links(tmp_path):
    """Neither a link to a folder, nor a broken one, nor one that leads out is followed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "out").symlink_to("/etc")

    assert kinds_of(scan_tree([tmp_path])) == {
        b"broken": EntryKind.SYMLINK,
        b"folder/file": EntryKind.FILE,
        b"out": EntryKind.SYMLINK,
        b"to-folder": EntryKind.SYMLINK,
    }


def test_sockets_and_pipes_are_skipped_with_a_reason(tmp_path, monkeypatch):
    """What is neither file, folder nor link is named in `skipped`, and not opened."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = scan_tree([tmp_path])

    assert found.paths == []
    assert sorted(one.path for one in found.skipped) == ["pipe", "socket"]
    assert {one.reason for one in found.skipped} == {"not a regular file, folder or link"}


def test_empty_folders_are_entries(tmp_path):
    """A folder without anything in it is kept; one with something is implied."""
    (tmp_path / "full" / "empty").mkdir(parents=True)
    (tmp_path / "full" / "file").write_bytes(b"")

    assert kinds_of(scan_tree([tmp_path])) == {
        b"full/empty": EntryKind.DIRECTORY,
        b"full/file": EntryKind.FILE,
    }


def test_the_executable_bit_of_the_owner_counts(tmp_path):
    """Other bits of the mode are no part of a version."""
    for name, mode in ("a", 0o755), ("b", 0o655), ("c", 0o4700), ("d", 0o600):
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / name).chmod(mode)

    assert scan_tree([tmp_path]).modes.tolist() == [1, 0, 1, 0]


def test_too_many_levels_are_refused(tmp_path, monkeypatch):
    """A tree nested deeper than the limit is an error that names the place."""
    monkeypatch.setattr(tree_module, "MAXIMUM_LEVELS", 5)
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    assert len(scan_tree([tmp_path])) == 1
    (tmp_path / "a/b/c/d/e").mkdir()

    with pytest.raises(InvalidInputError, match=r"a/b/c/d/e.*nested more than 5 levels"):
        scan_tree([tmp_path])


def test_thousands_of_real_levels_are_refused(tmp_path):
    """The limit holds for real folders too, and nothing overflows on the way."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)

    try:
        with pytest.raises(InvalidInputError, match="nested more than"):
            scan_tree([tmp_path])
    finally:
        # pytest's own clean-up would recurse once for each level.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_ignore_files_hold_below_their_folder_and_override_those_above(tmp_path):
    """Patterns are relative to their file; an inner one brings back what an outer one took."""
    files = ["a.log", "a.txt", "sub/a.log", "sub/keep.log", "sub/only", "other/only", "build/x"]
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".casignore").write_text("# a comment\n*.log\nbuild/\n")
    (tmp_path / "sub" / ".casignore").write_text("!keep.log\n/only\n")

    assert scan_tree([tmp_path]).paths == [
        b".casignore",
        b"a.txt",
        b"other/only",
        b"sub/.casignore",
        b"sub/keep.log",
    ]


def test_excluded_patterns_count_like_an_ignore_file_at_the_top(tmp_path):
    """`exclude` leaves files and whole folders out, names of any bytes among them."""
    for name in (b"a.tmp", b"b", b"cache/x", b"\xff.tmp"):
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    assert scan_tree([tmp_path], exclude=["*.tmp", "cache/"]).paths == [b"b"]


def test_a_pattern_that_cannot_be_is_refused(tmp_path):
    """A wrong pattern is an error that says where it stands."""
    with pytest.raises(InvalidInputError, match="--exclude"):
        scan_tree([tmp_path], exclude=["!"])


def test_an_ignore_file_that_is_no_file_is_not_read(tmp_path):
    """A pipe or folder of that name stops nothing."""
    os.mkfifo(tmp_path / ".casignore")
    (tmp_path / "sub" / ".casignore").mkdir(parents=True)
    (tmp_path / "a").write_bytes(b"x")

    assert scan_tree([tmp_path]).paths == [b"a", b"sub/.casignore"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_listed_is_a_problem(tmp_path):
    """A folder without permission is named, and so is an ignore file."""
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / ".casignore").touch(mode=0)

    assert sorted(scan_tree([tmp_path]).problems) == [
        ".casignore: Permission denied",
        "closed: Permission denied",
    ]


def test_a_source_that_is_a_link_is_followed(tmp_path):
    """The user named the link, and means what it points to, under the link's name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"x")
    (tmp_path / "folder-link").symlink_to("real")
    (tmp_path / "file-link").symlink_to("real/file")

    one = scan_tree([tmp_path / "file-link"])
    folder = scan_tree([tmp_path / "folder-link"])

    assert kinds_of(one) == {b"file-link": EntryKind.FILE}
    assert (tmp_path / "file-link").readlink() == Path("real/file")
    assert one.local_path(0) == os.fsencode((tmp_path / "real" / "file").resolve())
    assert folder.paths == [b"file"]


def test_several_sources_stand_under_their_names(tmp_path):
    """Files and folders given together keep their names; two of one name are refused."""
    for name in ("x/a", "x/b", "y/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")

    assert scan_tree([tmp_path / "x", tmp_path / "y" / "a"]).paths == [b"a", b"x/a", b"x/b"]
    with pytest.raises(InvalidInputError, match="several sources are called 'a'"):
        scan_tree([tmp_path / "x" / "a", tmp_path / "y" / "a"])
    with pytest.raises(NotFoundError, match="does not exist"):
        scan_tree([tmp_path / "gone"])


def test_a_path_over_the_limit_is_a_problem(tmp_path, monkeypatch):
    """A file whose path is too long is named; the scan goes on."""
    monkeypatch.setattr(tree_module, "MAXIMUM_PATH_BYTES", 20)
    (tmp_path / ("n" * 21)).write_bytes(b"")
    (tmp_path / "short").write_bytes(b"")

    found = scan_tree([tmp_path])

    assert found.paths == [b"short"]
    assert found.problems == ["nnnnnnnnnnnnnnnnnnnnn...: path longer than 20 bytes"]


def test_what_an_interrupted_get_left_is_no_file_of_the_tree(tmp_path):
    """It is said to be left out; other names that begin alike are files."""
    left = b".cas-get-0123456789ab-7"
    write_tree(tmp_path, {b"a": b"1", b"b/" + left: b"2", b"b/c": b"4", b".cas-get-mine": b"3"})

    found = scan_tree([tmp_path])

    assert found.paths == [b".cas-get-mine", b"a", b"b/c"]
    assert [one.path for one in found.skipped] == ["b/" + left.decode()]
