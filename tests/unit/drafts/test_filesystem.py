"""A draft as a filesystem: what is read and written before it is committed."""

from __future__ import annotations

import io
import sys
import threading
from datetime import UTC, datetime

import fsspec
import pytest
from blake3 import blake3

import cas

ALL = ["link", "run.sh", "train-2.txt", "train/a.txt", "train/deep/b.bin"]


def test_the_base_is_there_to_begin_with(draft):
    """Files, folders, links and the empty folder, with what the version says of them."""
    assert draft.find("") == ALL
    assert draft.ls("", detail=False) == [
        *["empty", "link", "run.sh", "train", "train-2.txt"],
    ]
    assert draft.isdir("train/deep")
    assert draft.isdir("empty")
    assert draft.info("run.sh")["executable"]
    assert draft.info("link")["destination"] == "train/a.txt"
    assert draft.cat("link") == b"one 1\n"
    assert draft.cat_file("train/deep/b.bin", 5, 9) == draft.cat("train/deep/b.bin")[5:9]
    assert draft.glob("**/*.txt") == ["train-2.txt", "train/a.txt"]
    assert draft.du("train") == 400_006
    assert draft.ukey("train/a.txt") == blake3(b"one 1\n").hexdigest()
    assert draft.created("train/a.txt") <= datetime.now(UTC)


def test_what_is_written_lies_over_the_base(draft):
    """In listings, in files, in ranges of several, and through links."""
    draft.pipe("train/a.txt", b"other")
    draft.pipe("new/file", b"new")

    assert draft.find("") == sorted([*ALL, "new/file"])
    assert draft.cat(["link", "new/file"]) == {"link": b"other", "new/file": b"new"}
    assert draft.cat_ranges(["new/file", "train/deep/b.bin", "no"], 1, 3)[0] == b"ew"
    assert isinstance(draft.cat_ranges(["no"], 0, 1)[0], FileNotFoundError)
    assert draft.info("train/a.txt")["size"] == 5
    assert draft.ukey("new/file") == blake3(b"new").hexdigest()
    assert draft.ls("new", detail=False) == ["new/file"]
    assert draft.isfile("new/file")


def test_files_are_opened_in_every_way(draft):
    """New, appended to, changed in place, and only if they are not there."""
    with draft.open("train/a.txt", "ab") as file:
        file.write(b"more\n")
    with draft.open("train-2.txt", "r+b") as file:
        file.seek(4)
        file.write(b"3")
    with draft.open("text", "w") as file:
        file.write("lines\n")
    with draft.open("seen", "wb") as file:
        file.write(b"12")
        file.seek(0)
        assert not draft.exists("seen")

    assert draft.cat("train/a.txt") == b"one 1\nmore\n"
    assert draft.cat("train-2.txt") == b"two 3\n"
    assert draft.cat("text") == b"lines\n"
    assert draft.cat("seen") == b"12"
    with pytest.raises(FileExistsError):
        draft.open("text", "xb")
    with pytest.raises(FileNotFoundError):
        draft.open("no", "r+b")
    with pytest.raises(ValueError, match="invalid mode"):
        draft.open("text", "qb")


def test_what_is_no_place_for_a_file_is_refused(draft):
    """A folder, a path below a file, and paths that no version holds."""
    with pytest.raises(IsADirectoryError):
        draft.pipe("train", b"")
    with pytest.raises(NotADirectoryError):
        draft.pipe("train/a.txt/below", b"")
    with pytest.raises(NotADirectoryError):
        draft.mkdir("run.sh/below")
    with pytest.raises(cas.InvalidInputError, match="path inside a version"):
        draft.pipe("a/../b", b"")
    assert draft.find("") == ALL


def test_files_and_folders_are_removed(draft):
    """One by one and whole; what is gone is missing, and comes back when it is written."""
    draft.rm("train-2.txt")
    draft.rm("train", recursive=True)
    with pytest.raises(FileNotFoundError):
        draft.rm("train")
    with pytest.raises(IsADirectoryError):
        draft.rm("empty")
    draft.rmdir("empty")
    draft.pipe("train/deep/c", b"c")
    with pytest.raises(OSError, match="not empty"):
        draft.rmdir("train")

    assert draft.find("", withdirs=True) == [
        *["", "link", "run.sh", "train", "train/deep", "train/deep/c"],
    ]
    assert not draft.exists("train/a.txt")
    assert draft.info("link")["type"] == "other"


def test_moving_and_copying_moves_no_content(draft, store):
    """Files and folders, of the base and new ones, into folders and onto files."""
    draft.pipe("new", b"new")
    before = store.requests.received_bytes

    draft.mv("train", "learn")
    draft.mv("new", "learn/")
    draft.cp_file("learn/new", "copy")
    draft.mv("run.sh", "train-2.txt")
    draft.copy("learn", "both", recursive=True)

    assert store.requests.received_bytes == before
    assert draft.find("") == [
        *["both/a.txt", "both/deep/b.bin", "both/new", "copy"],
        *["learn/a.txt", "learn/deep/b.bin", "learn/new", "link", "train-2.txt"],
    ]
    assert draft.info("train-2.txt")["executable"]
    assert draft.cat("both/new") == draft.cat("copy") == b"new"
    assert len(draft.cat("both/deep/b.bin")) == 400_000
    draft.rm("copy")
    assert draft.cat("learn/new") == b"new"
    with pytest.raises(cas.InvalidInputError, match="into itself"):
        draft.mv("learn", "learn/deeper")
    with pytest.raises(FileNotFoundError):
        draft.mv("no", "where")


def test_folders_are_made_and_stay_while_they_are_empty(draft):
    """As on a disk: until they are removed."""
    draft.makedirs("a/b")
    draft.makedirs("a/b", exist_ok=True)
    with pytest.raises(FileExistsError):
        draft.mkdir("a/b")
    with pytest.raises(FileNotFoundError):
        draft.mkdir("x/y", create_parents=False)
    draft.pipe("empty/f", b"")
    draft.rm("empty/f")

    assert draft.isdir("a")
    assert draft.isdir("a/b")
    assert draft.isdir("empty")
    assert draft.ls("a/b") == []


def test_files_of_a_transaction_appear_together(draft):
    """All or none of them."""
    with draft.transaction:
        draft.pipe("one", b"1")
        draft.pipe("two", b"2")
        assert not draft.exists("one")
    with pytest.raises(FileNotFoundError), draft.transaction:  # noqa: PT012 - as above
        draft.pipe("three", b"3")
        draft.rm("no")

    assert draft.cat("two") == b"2"
    assert not draft.exists("three")


def test_local_files_are_put_and_got(draft, tmp_path):
    """With whether they may be executed."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "tool").write_bytes(b"tool")
    (tmp_path / "in" / "sub" / "tool").chmod(0o700)

    draft.put(str(tmp_path / "in"), "put", recursive=True)
    draft.get("put", str(tmp_path / "out"), recursive=True)

    assert draft.info("put/sub/tool")["executable"]
    assert (tmp_path / "out" / "sub" / "tool").read_bytes() == b"tool"


def test_folders_are_got_with_what_is_new_and_what_is_of_the_base(draft, tmp_path):
    """Files of the base by one plan, links as what they lead to, and links that lead nowhere."""
    draft.pipe("train/new", b"new")
    draft.rm("train-2.txt")
    draft.mv("run.sh", "tools/run.sh")
    draft.mv("train/a.txt", "train/moved")

    draft.get("", str(tmp_path / "all"), recursive=True)
    draft.get("train/deep/b.bin", str(tmp_path / "one.bin"))

    got = {
        str(path.relative_to(tmp_path / "all"))
        for path in (tmp_path / "all").rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert got == {"link", "tools/run.sh", "train/deep/b.bin", "train/moved", "train/new"}
    assert (tmp_path / "all" / "link").is_symlink()
    assert (tmp_path / "all" / "tools" / "run.sh").stat().st_mode & 0o100
    assert (tmp_path / "all" / "train" / "moved").read_bytes() == b"one 1\n"
    assert (tmp_path / "all" / "empty").is_dir()
    assert (tmp_path / "one.bin").read_bytes() == draft.cat("train/deep/b.bin")


def test_a_url_leads_to_the_draft_while_it_runs(store):
    """For libraries that take no filesystem; each draft has its own."""
    with store.draft("data") as draft, store.draft("data") as other:
        with fsspec.open(f"{draft.url}/a/file", "wb") as file:
            file.write(b"by url")
        found, path = fsspec.core.url_to_fs(f"{draft.url}/a/file")

        assert (found, path) == (draft, "a/file")
        assert draft != other
        assert not other.exists("a/file")
        assert draft.unstrip_protocol("a/file") == f"{draft.url}/a/file"
        other.discard()
    with pytest.raises(cas.NotFoundError, match="no draft"):
        fsspec.open(f"{draft.url}/a/file").open()


def test_threads_write_side_by_side(store):
    """Each file is whole, whoever wrote beside."""
    with store.draft("threads") as draft:

        def write(number):
            for part in range(20):
                draft.pipe(f"{number}/{part}", bytes([number]) * 1000)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(draft.version) == 160
    assert all(draft.version.read(f"{n}/7") == bytes([n]) * 1000 for n in range(8))


def test_threads_make_the_same_folder_side_by_side(draft):
    """With `exist_ok` it is none of their concern who was first."""
    start = threading.Barrier(4)
    refused = []

    def make():
        for number in range(50):
            start.wait()
            try:
                draft.makedirs(f"new-{number}/folder", exist_ok=True)
            except FileExistsError as error:
                refused.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they do come between each other
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert refused == []


def test_an_open_file_that_nobody_closes_is_not_kept(draft):
    """Nobody said that it is whole."""
    file = draft.open("half", "wb")
    file.write(b"half")
    del file

    assert not draft.exists("half")
    assert isinstance(draft.open("run.sh"), io.BufferedReader)
