"""Local trees on the way out, with directory descriptors and, as on Windows, without."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cas.errors import AlreadyExistsError, InvalidInputError
from cas.testing.trees import read_tree
from cas.transfer import target as target_module
from cas.transfer.target import OPEN_FOLDERS, TEMPORARY_PREFIX, TargetTree, require_folder


@pytest.fixture(params=["descriptors", "paths"], autouse=True)
def system(request, monkeypatch):
    """Run each test with and without the calls that Windows does not have."""
    if request.param == "paths":
        monkeypatch.setattr(target_module, "_HAS_DIR_FD", False)
        monkeypatch.delattr(os, "pwrite", raising=False)
        monkeypatch.delattr(os, "fchmod", raising=False)
    return request.param


@pytest.fixture
def root(tmp_path):
    return tmp_path / "target"


@pytest.fixture
def target(root):
    target = TargetTree(os.fsencode(root))
    yield target
    target.close()


def write(target, path, content, *, executable=False):
    file = target.create(path, executable=executable)
    file.write_at(memoryview(content), 0)
    file.commit()


def test_a_file_appears_when_it_is_whole(target, root):
    """Until then there is only a temporary one; parts may come in any order."""
    file = target.create(b"a/b/file", executable=False)
    file.write_at(memoryview(b"world"), 6)
    file.write_at(memoryview(b"hello "), 0)
    (before,) = read_tree(root)

    file.commit()

    assert before.startswith(b"a/b/" + TEMPORARY_PREFIX)
    assert read_tree(root) == {b"a/b/file": b"hello world"}


def test_a_file_given_up_leaves_nothing(target, root):
    """But for the folders that were made for it."""
    file = target.create(b"a/file", executable=False)
    file.write_at(memoryview(b"half"), 0)

    file.discard()

    assert read_tree(root) == {}


def test_what_is_never_written_is_a_hole(target, root):
    """A size is enough for zeros."""
    file = target.create(b"file", executable=False)
    file.resize(1000)
    file.write_at(memoryview(b"end"), 997)
    file.commit()

    assert read_tree(root) == {b"file": bytes(997) + b"end"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_with_the_name_of_the_file(target, root):
    """Of several targets somebody wants to know which has no room."""
    file = target.create(b"a/file", executable=False)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file.descriptor)
    os.close(full)

    with pytest.raises(OSError, match="No space left") as told:
        file.write_at(memoryview(b"content"), 0)
    file.discard()

    assert told.value.filename == str(root / "a" / "file")


def test_a_file_is_replaced_and_its_mode_is_the_new_ones(target, root):
    """Not written into: whoever has it open keeps the old one."""
    write(target, b"file", b"old", executable=True)
    with (root / "file").open("rb") as old:
        write(target, b"file", b"new")

        assert old.read() == b"old"
    assert read_tree(root) == {b"file": b"new"}
    assert not (root / "file").stat().st_mode & 0o111


@pytest.mark.parametrize("executable", [True, False])
def test_the_executable_bit_is_set_and_cleared(target, root, system, executable):
    """For whoever may read; elsewhere modes say nothing."""
    write(target, b"file", b"x", executable=not executable)
    (root / "file").chmod(0o640 if executable else 0o750)

    target.set_executable(b"file", executable=executable)

    if system == "descriptors":
        assert (root / "file").stat().st_mode & 0o777 == (0o750 if executable else 0o640)


def test_links_are_made_and_replaced_but_never_followed(target, root):
    """What a link points to stays as it is."""
    (root.parent / "outside").write_bytes(b"safe")
    target.make_link(b"d/link", b"../../outside")
    target.make_link(b"d/link", b"../../outside")

    read = target.read_link(b"d/link")
    write(target, b"d/link", b"file now")

    assert read == b"../../outside"
    assert (root.parent / "outside").read_bytes() == b"safe"
    assert read_tree(root) == {b"d/link": b"file now"}


@pytest.mark.parametrize("what", ["file", "link to a folder", "dangling link"])
def test_nothing_is_written_through_what_is_no_folder(target, root, what):
    """A link in the place of a folder would lead the files of a version elsewhere."""
    (root.parent / "outside").mkdir()
    if what == "file":
        (root / "d").write_bytes(b"mine")
    else:
        (root / "d").symlink_to("../outside" if what == "link to a folder" else "nowhere")

    for act in (
        lambda: target.create(b"d/file", executable=False),
        lambda: target.create(b"d/e/file", executable=False),
        lambda: target.make_link(b"d/link", b"x"),
        lambda: target.make_folder(b"d"),
    ):
        with pytest.raises(AlreadyExistsError, match="a folder must be there") as failure:
            act()
        assert failure.value.hint is not None

    assert list((root.parent / "outside").iterdir()) == []


def test_the_stat_is_of_what_stands_there(target, root):
    """Of a link itself; None where nothing is, whatever is missing."""
    write(target, b"d/file", b"12345")
    target.make_link(b"d/link", b"file")

    assert target.status(b"d/file").st_size == 5
    assert target.read_link(b"d/link") == b"file"
    assert target.status(b"d/link").st_size == 4
    assert (target.status(b"d/none"), target.status(b"none/none")) == (None, None)


def test_an_existing_file_is_opened_for_reading(target):
    """To compare it with what a version holds."""
    write(target, b"d/file", b"12345")

    with os.fdopen(target.open_existing(b"d/file"), "rb") as file:
        assert file.read() == b"12345"
    with pytest.raises(FileNotFoundError):
        target.open_existing(b"d/none")


def test_many_threads_write_into_more_folders_than_are_kept_open(target, root):
    """Folders are closed when the last user is gone, not before."""
    paths = [b"%d/%d/file" % (number % 7, number) for number in range(3 * OPEN_FOLDERS)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write(target, path, path), paths))

    assert read_tree(root) == {path: path for path in paths}


def test_a_target_must_be_a_folder_or_nothing(root):
    """A file of that name is not replaced by a folder."""
    require_folder(os.fsencode(root))
    root.mkdir(exist_ok=True)
    require_folder(os.fsencode(root))
    (root / "file").write_bytes(b"")

    with pytest.raises(InvalidInputError, match="is not a folder"):
        require_folder(os.fsencode(root / "file"))
