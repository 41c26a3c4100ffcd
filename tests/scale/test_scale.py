"""A million files and a huge sparse one: work is bounded by what changed, memory by its budget.

    pytest -m scale --basetemp=/big/disk/folder

Needs 1.2 million inodes, 5 GB of disk, and some minutes. `tools/bench` measures; this only checks.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cas

pytestmark = [
    pytest.mark.slow,
    pytest.mark.scale,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform == "win32", reason="measures memory as POSIX systems do"),
]
COUNT = 1_000_000
PER_FOLDER = 1000
PEAK_BYTES = 700 << 20
SPARSE_BYTES = 100 << 30
PLAIN = cas.PutOptions(provenance=False)


def path_of(folder: Path, number: int) -> Path:
    return folder / f"d{number // PER_FOLDER:04}" / f"f{number:07}"


def make_files(folder: Path) -> Path:
    for number in range(COUNT):
        if number % PER_FOLDER == 0:
            path_of(folder, number).parent.mkdir(parents=True)
        path_of(folder, number).write_bytes(b"%d" % number if number % 2 else b"")
    return folder


def peak_bytes_of_children() -> int:
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def test_a_million_files_take_little_memory_and_ten_changes_little_work(tmp_path, monkeypatch):
    """Put, put again, put with ten changes, compared and read: each costs what it must."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    source = make_files(tmp_path / "source")
    store_folder = tmp_path / "store"
    cas.Store.create(store_folder).close()
    tool = [sys.executable, "-m", "cas", "--store", str(store_folder), "-q"]
    subprocess.run([*tool, "put", str(source), "data"], check=True)
    assert peak_bytes_of_children() < PEAK_BYTES

    with cas.Store.open(store_folder) as store:
        again = store.put(source, "data", PLAIN)
        for number in range(1, COUNT, COUNT // 10):
            path_of(source, number).write_bytes(b"changed")
        changed = store.put(source, "data", PLAIN)
        diff = store.diff("data:v0", "data:v1")
        some = path_of(Path(), 777_777).as_posix()

        assert (again.created, again.number, again.totals.files) == (False, 0, COUNT)
        assert (changed.number, changed.new_bytes) == (1, 0)
        assert changed.sent_bytes < 10 << 20
        assert (len(diff.modified), len(diff.added), len(diff.removed)) == (10, 0, 0)
        assert store.version("data").read(some) == b"777777"


def test_a_huge_hole_is_put_and_got_as_one(tmp_path, monkeypatch):
    """A hundred GiB that are nowhere take no place on either side, and one island is found in them."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(SPARSE_BYTES)
        file.seek(SPARSE_BYTES // 2)
        file.write(b"island")

    with cas.Store.create(tmp_path / "store") as store:
        put = store.put(tmp_path / "sparse", "data", PLAIN)
        store.get("data", tmp_path / "copy")

        got = (tmp_path / "copy" / "sparse").stat()
        assert put.stored_bytes < 1 << 20
        assert (got.st_size, got.st_blocks * 512 < 1 << 20) == (SPARSE_BYTES, True)
        with store.version("data").open("sparse") as file:
            file.seek(SPARSE_BYTES // 2)
            assert file.read(6) == b"island"
