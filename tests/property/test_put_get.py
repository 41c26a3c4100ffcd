"""What is put is what is got, stored once, whatever its names, its store and its chunk size."""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.testing.corpora import random_content, small_files
from cas.testing.strategies import histories, trees
from cas.testing.trees import read_tree, write_tree

PLAIN = cas.PutOptions(provenance=False, force=True)
NO_JOURNAL = cas.StoreOptions(jobs=2, journal=False)
FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def new_store(chunk_size: int = 64 << 10, options: cas.StoreOptions = NO_JOURNAL) -> cas.Store:
    """Make a store in memory."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=chunk_size)
    return cas.Store.on(backend, options=options)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Give a folder of its own each time it is called."""
    base, numbers = tmp_path_factory.mktemp("trees"), count()
    return lambda: base / str(next(numbers))


@FEW
@given(history=histories())
def test_every_version_of_a_history_comes_back(fresh, history):
    """Names of any bytes, empty files, edits and renames."""
    store = new_store()
    for tree in history:
        store.put(write_tree(fresh(), tree), "data", PLAIN)
    for number, tree in enumerate(history):
        target = fresh()
        store.get(f"data:v{number}", target)
        assert read_tree(target) == tree
        version = store.version(f"data:v{number}")
        assert {os.fsencode(path): version.read(path) for path in version} == tree


@FEW
@given(tree=trees())
def test_the_digest_depends_on_nothing_but_the_data(fresh, tree):
    """Stores with other chunks and other histories give the same digest."""
    source = write_tree(fresh(), tree)
    one, other = new_store(), new_store(16 << 10)
    other.put(write_tree(fresh(), {b"else": b"x" * 70_000}), "data", PLAIN)

    assert one.put(source, "a", PLAIN).digest == other.put(source, "data", PLAIN).digest


@FEW
@given(tree=trees(), seed=st.integers(0, 99))
def test_what_the_store_has_is_never_stored_again(fresh, tree, seed):
    """Under other names, in another artifact, and twice within one put."""
    store = new_store()
    content = random_content(seed, 90_000)
    twice = {b"one/" + path: data for path, data in tree.items()} | {b"x": content, b"y": content}
    first = store.put(write_tree(fresh(), twice), "one", PLAIN)
    renamed = {b"moved/" + path: data for path, data in tree.items()} | {b"z": content}

    again = store.put(write_tree(fresh(), renamed), "two", PLAIN)

    assert first.new_bytes <= 90_000 + sum(len(data) for data in tree.values())
    assert again.new_bytes == 0


@pytest.mark.parametrize("edit", ["front", "middle", "end"])
def test_an_edit_of_a_big_file_stores_about_what_it_changed(fresh, edit):
    """Cuts come back into step after an insertion."""
    store = new_store()
    content = random_content(5, 20 << 20)
    at = {"front": 0, "middle": len(content) // 2, "end": len(content)}[edit]
    edited = content[:at] + b"inserted" + content[at:]
    store.put(write_tree(fresh(), {b"big": content}), "data", PLAIN)

    outcome = store.put(write_tree(fresh(), {b"big": edited}), "data", PLAIN)

    assert outcome.new_bytes < 1 << 20
    assert store.version("data").read("big") == edited


def test_unchanged_files_are_not_read_again(tmp_path):
    """The journal knows them; a touched one is read and found to be the same."""
    store = new_store(options=cas.StoreOptions(jobs=1, cache_dir=str(tmp_path / "cache")))
    source = write_tree(tmp_path / "source", small_files(1, 300))
    for path in source.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    with settled_times():
        store.put(source, "data", cas.PutOptions(provenance=False))
        again = store.put(source, "data", cas.PutOptions(provenance=False))
        touched = next(path for path in sorted(source.rglob("*")) if path.is_file())
        os.utime(touched, (1_000_000_001, 1_000_000_001))
        third = store.put(source, "data", cas.PutOptions(provenance=False))

    assert (again.read_files, again.created) == (0, False)
    assert (third.read_files, third.created) == (1, False)


@contextmanager
def settled_times():
    """Let the journal trust files that were made a moment ago."""
    from cas.transfer import journal

    racy = journal.RACY_NS
    journal.RACY_NS = -(1 << 62)
    try:
        yield
    finally:
        journal.RACY_NS = racy


def test_a_file_changed_within_its_clocks_tick_is_read_again(tmp_path):
    """Same size, same times, other bytes, made just now: the journal does not vouch for it."""
    store = new_store(options=cas.StoreOptions(jobs=1, cache_dir=str(tmp_path / "cache")))
    source = write_tree(tmp_path / "source", {b"f": b"a" * 1000})
    store.put(source, "data", cas.PutOptions(provenance=False))
    status = (source / "f").stat()
    (source / "f").write_bytes(b"b" * 1000)
    os.utime(source / "f", ns=(status.st_atime_ns, status.st_mtime_ns))

    store.put(source, "data", cas.PutOptions(provenance=False))

    assert store.version("data").read("f") == b"b" * 1000


def test_a_small_change_rewrites_few_pages_and_a_diff_reads_only_those(tmp_path):
    """Twenty thousand files, two changed: most pages are shared and never read."""
    store = new_store()
    tree = {b"d%03d/f%05d" % (n % 200, n): b"%d" % n for n in range(20_000)}
    source = write_tree(tmp_path / "source", tree)
    store.put(source, "data", PLAIN)
    pages = len(store.version("data:v0")._pages)
    (source / "d000" / "f00000").write_bytes(b"changed")
    (source / "d199" / "f00199").unlink()

    store.put(source, "data", PLAIN)
    shared = {
        row.tobytes()
        for ref in ("data:v0", "data:v1")
        for row in store.version(ref)._pages.root.page_ids
    }
    diff = cas.Store.on(store.parts.backend, options=NO_JOURNAL).diff("data:v0", "data:v1")

    assert pages >= 4
    assert len(shared) <= pages + 2
    assert diff.pages_read <= 4
    assert [change.path for change in diff.modified] == ["d000/f00000"]
    assert [change.path for change in diff.removed] == ["d199/f00199"]


def test_holes_and_zeros_cost_nothing_and_come_back_as_holes(tmp_path):
    """Five sparse files: the store stays tiny, and the copies take no disk."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(5):
        with (source / f"data_part_{number}.bin").open("wb") as file:
            file.seek((64 << 20) - 1)
            file.write(b"\0")
    with (source / "island.bin").open("wb") as file:
        file.seek(9 << 20)
        file.write(b"island")
        file.seek((32 << 20) - 1)
        file.write(b"\0")
    store = new_store()

    store.put(source, "sparse", PLAIN)
    store.get("sparse", tmp_path / "copy")

    assert sum(one.size for one in store.parts.backend.list_objects("")) < 64 << 10
    copies = sorted((tmp_path / "copy").iterdir())
    assert sum(path.stat().st_blocks for path in copies) * 512 < 1 << 20
    assert (tmp_path / "copy" / "island.bin").read_bytes() == (source / "island.bin").read_bytes()


def test_zeros_are_cut_alike_whether_they_are_holes_or_not(tmp_path):
    """A sparse file and its full copy share every chunk."""
    content = random_content(1, 700_000) + bytes(3 << 20) + random_content(2, 900_000)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "f").write_bytes(content)
    (tmp_path / "sparse").mkdir()
    with (tmp_path / "sparse" / "f").open("wb") as file:
        file.write(content[:700_000])
        file.seek(700_000 + (3 << 20))
        file.write(content[700_000 + (3 << 20) :])
    store = new_store()
    first = store.put(tmp_path / "full", "data", PLAIN)

    second = store.put(tmp_path / "sparse", "data", PLAIN)

    assert (second.new_bytes, second.digest) == (0, first.digest)


def test_many_versions_of_one_edited_file_stay_quick_to_read(tmp_path):
    """Scattered hits are refused beyond a budget, and the bytes so stored again are counted."""
    content = bytearray(random_content(9, 24 << 20))
    store = new_store()
    refused = 0
    for number in range(24):
        for at in range(0, len(content), 2 << 20):
            content[at + number * 70_000 : at + number * 70_000 + 8] = b"%08d" % number
        outcome = store.put(write_tree(tmp_path / "source", {b"f": bytes(content)}), "data", PLAIN)
        refused += outcome.refused_bytes
    before = store.requests

    store.get("data", tmp_path / "copy")

    assert (store.requests - before).get < 2 * (8 + 24) + 20
    assert (tmp_path / "copy" / "f").read_bytes() == bytes(content)
    assert refused >= 0


def test_links_modes_and_empty_folders_come_back(tmp_path):
    """Links as links, the executable bit, folders without files; sockets are left out, aloud."""
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "link").symlink_to("run.sh")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    os.link(source / "run.sh", source / "hard")
    store = new_store()

    outcome = store.put(source, "data", PLAIN)
    store.get("data", tmp_path / "copy")

    copy = tmp_path / "copy"
    assert [one.path for one in outcome.skipped] == ["pipe"]
    assert (copy / "empty").is_dir()
    assert os.access(copy / "run.sh", os.X_OK)
    assert (copy / "link").readlink() == Path("run.sh")
    assert (copy / "dangling").readlink() == Path("nowhere")
    assert store.version("data").read("link") == b"#!/bin/sh\n"
    assert store.diff_folder("data", source).is_empty
