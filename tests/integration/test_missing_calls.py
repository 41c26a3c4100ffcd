"""The whole job on a system that lacks the calls which Linux has: slower, never wrong."""

from __future__ import annotations

import os

import pytest

import cas
from cas.testing.corpora import dataset, random_content
from cas.testing.trees import read_tree, write_tree
from cas.transfer import stamp, target

MISSING = {
    "positions": ("pread", "pwrite", "copy_file_range"),
    "many buffers": ("writev",),
    "holes": ("SEEK_DATA", "SEEK_HOLE"),
    "hard links": ("link",),
    "owners": ("geteuid", "getuid", "fchmod"),
    "processors": ("sched_getaffinity", "sysconf"),
    "descriptors of folders": (),
}
MISSING["all of them"] = tuple(name for names in MISSING.values() for name in names)


@pytest.fixture(params=MISSING)
def system(request, monkeypatch):
    """Take calls away for one test."""
    for name in MISSING[request.param]:
        monkeypatch.delattr(os, name, raising=False)
    if request.param in ("descriptors of folders", "all of them"):
        monkeypatch.setattr(target, "_HAS_DIR_FD", False)
        monkeypatch.setattr(stamp, "INODE_MASK", 0)
    return request.param


def test_files_are_put_and_got_without_them(system, tmp_path, monkeypatch):
    """Big and small, sparse and plain, twice; what did not change is not read again."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    tree = dataset() | {b"big": random_content(7, 20 << 20), b"\xffname/x": b"1"}
    source = write_tree(tmp_path / "source", tree)
    (source / "link").symlink_to("big")
    cas.Store.create(tmp_path / "store").close()
    store = cas.Store.open(tmp_path / "store", options=cas.StoreOptions(jobs=4))

    store.put(source, "data", cas.PutOptions(provenance=False))
    again = store.put(source, "data", cas.PutOptions(provenance=False))
    store.get("data", tmp_path / "copy")
    fresh = store.get("data", tmp_path / "copy")

    assert read_tree(tmp_path / "copy") == tree
    assert (tmp_path / "copy" / "link").is_symlink()
    assert (again.created, fresh.written_bytes) == (False, 0)
    store.close()
