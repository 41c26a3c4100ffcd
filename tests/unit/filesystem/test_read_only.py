"""Whatever writes is refused by the same error, which is a `PermissionError`."""

from __future__ import annotations

import errno

import pytest

import cas

ACTS = {
    "open": lambda fs: fs.open("data@v0/x", "wb"),
    "open for text": lambda fs: fs.open("data@v0/x", "w"),
    "open to append": lambda fs: fs.open("data@v0/link", "ab"),
    "open exclusively": lambda fs: fs.open("data@v0/x", "xb"),
    "open to change": lambda fs: fs.open("data@v0/link", "r+b"),
    "pipe": lambda fs: fs.pipe("data@v0/x", b""),
    "pipe several": lambda fs: fs.pipe({"data@v0/x": b""}),
    "pipe_file": lambda fs: fs.pipe_file("data@v0/x", b"", mode="create"),
    "write_text": lambda fs: fs.write_text("data@v0/x", ""),
    "write_bytes": lambda fs: fs.write_bytes("data@v0/x", b""),
    "put": lambda fs: fs.put(__file__, "data@v0/x"),
    "put_file": lambda fs: fs.put_file(__file__, "data@v0/x"),
    "upload": lambda fs: fs.upload(__file__, "data@v0/x"),
    "touch": lambda fs: fs.touch("data@v0/link", truncate=False),
    "mkdir": lambda fs: fs.mkdir("data@v0/x"),
    "makedirs": lambda fs: fs.makedirs("data@v0/x", exist_ok=True),
    "rmdir": lambda fs: fs.rmdir("data@v0/empty"),
    "rm": lambda fs: fs.rm("data@v0", recursive=True),
    "rm_file": lambda fs: fs.rm_file("data@v0/link"),
    "delete": lambda fs: fs.delete("data@v0/link"),
    "cp": lambda fs: fs.cp("data@v0/link", "data@v0/x"),
    "cp_file": lambda fs: fs.cp_file("data@v0/link", "data@v0/x"),
    "mv": lambda fs: fs.mv("data@v0/link", "data@v0/x"),
    "rename": lambda fs: fs.rename("data@v0/link", "data@v0/x"),
    "a mapper": lambda fs: fs.get_mapper("data@v0").__setitem__("x", b""),
    "transaction": lambda fs: fs.transaction,
    "start_transaction": lambda fs: fs.start_transaction(),
    "end_transaction": lambda fs: fs.end_transaction(),
}


@pytest.mark.parametrize("act", ACTS)
def test_writing_is_refused(fs, act):
    """And says what to do instead."""
    before = fs.find("data@v0")

    with pytest.raises(PermissionError, match="can only be read") as caught:
        ACTS[act](fs)

    assert isinstance(caught.value, cas.UnsupportedError)
    assert caught.value.errno == errno.EROFS
    assert "cas put" in caught.value.hint
    assert fs.find("data@v0") == before


def test_signing_is_refused_and_says_why(fs):
    """No URL of a bucket gives a file that lies in pieces of blobs."""
    with pytest.raises(NotImplementedError, match="no URL of its own") as caught:
        fs.sign("data@v0/link")

    assert isinstance(caught.value, cas.UnsupportedError)
