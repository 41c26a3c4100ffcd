"""The pipeline of a put: path order, files that change or vanish, little memory, and its end."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from cas.backend.memory import MemoryBackend
from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile
from cas.errors import BackendError
from cas.model.ids import SessionId
from cas.model.progress import Cancel, Cancelled
from cas.objects.blob_list import BlobList
from cas.objects.blobs import TableReader
from cas.objects.index import Index
from cas.testing.corpora import random_content
from cas.testing.faulty import Fault, FaultyBackend
from cas.testing.trees import write_tree
from cas.transfer.budget import MemoryBudget
from cas.transfer.cutting import SMALL_FILE_BYTES, Items, cut_content
from cas.transfer.dedup import Deduplicator, Facts
from cas.transfer.packing import BlobWriter
from cas.transfer.rows import HOLE_ROW, EntryColumns
from cas.transfer.stream import stream_tree
from cas.transfer.tree import scan_tree
from cas.transfer.upload import Upload, UploadTools

PROFILE = ChunkProfile(16 << 10)
BIG = SMALL_FILE_BYTES + 1
MIB = 1 << 20


@dataclass
class Run:
    """An upload of a tree, and what it works with."""

    backend: object
    tree: object
    columns: EntryColumns
    blobs: BlobList
    budget: MemoryBudget
    writer: BlobWriter
    upload: Upload
    cancel: Cancel
    sent: list = field(default_factory=list)

    def go(self):
        self.upload.run(range(len(self.tree)))
        return self.finish()

    def finish(self):
        """Send what is left."""
        self.writer.flush()
        while not self.writer.wait(60):
            pass
        self.sent = self.writer.collect()
        return self

    def stored_ids(self):
        """The ids of all stored chunks, blob after blob."""
        ordered = sorted(self.sent, key=lambda one: one.row)
        return [row.tobytes() for one in ordered for row in one.chunk_ids]

    def ids_of(self, row):
        """The chunks that an entry consists of; the bytes of a hole."""
        ids = {one.row: one.chunk_ids for one in self.sent}
        extents = self.columns.extents_of(row)
        found = []
        for at in range(len(extents)):
            blob, first = int(extents.blobs[at]), int(extents.first[at])
            if blob == HOLE_ROW:
                found.append(int(extents.lengths[at]))
            else:
                chunks = ids[blob][first : first + int(extents.chunks[at])]
                found += [chunk.tobytes() for chunk in chunks]
        return found


@pytest.fixture
def prepare():
    writers = []
    with ThreadPoolExecutor(4) as pool:

        def prepare(tree, *, backend=None, memory=96 * MIB, cutter=None):
            backend = backend or MemoryBackend()
            blobs, budget, cancel = BlobList(), MemoryBudget(memory), Cancel()
            writer = BlobWriter(
                backend,
                SessionId(b"s" * 16),
                blobs,
                pool,
                budget,
                frame_bytes=256 << 10,
                stamp=0,
            )
            writers.append(writer)
            facts = Facts(
                stamp=0, floor=0, newest=0, is_condemned=lambda ids: np.zeros(len(ids), np.uint8)
            )
            tools = UploadTools(
                cutter=cutter or Cutter(PROFILE),
                dedup=Deduplicator(TableReader(backend), lambda: Index(()), blobs, facts, pool),
                writer=writer,
                pool=pool,
                budget=budget,
                jobs=4,
            )
            columns = EntryColumns(len(tree))
            upload = Upload(tree, columns, tools, cancel=cancel, report=lambda: None)
            return Run(backend, tree, columns, blobs, budget, writer, upload, cancel)

        yield prepare
        for writer in writers:
            writer.close()


def ids_in(content):
    items = Items()
    cut_content(Cutter(PROFILE), content, items)
    return items.ids


FILES = {
    b"a/small": random_content(1, 50_000),
    b"b/big": random_content(2, 3 * MIB),
    b"c/small": random_content(3, 30_000),
    b"c/tiny": b"tiny",
    b"d/big": random_content(4, 2 * MIB),
    b"e/small": random_content(5, 20_000),
}
STORED = [path for path in FILES if path != b"c/tiny"]


class LateCutter:
    """Cuts the piece that begins with `first` only after another big one was cut."""

    def __init__(self, first):
        self._cutter, self._first = Cutter(PROFILE), first
        self._other_is_cut = threading.Event()
        self.profile, self.iter_ends = PROFILE, self._cutter.iter_ends

    def cut(self, content):
        if bytes(content[:16]) == self._first[:16]:
            assert self._other_is_cut.wait(30)
        ends = self._cutter.cut(content)
        if len(content) > SMALL_FILE_BYTES:
            self._other_is_cut.set()
        return ends


def test_chunks_are_stored_in_path_order_whichever_was_cut_first(tmp_path, prepare):
    """So a folder is one range of a blob, on however many threads it was read."""
    tree = scan_tree([write_tree(tmp_path, FILES)])

    run = prepare(tree, cutter=LateCutter(FILES[b"b/big"])).go()

    assert run.stored_ids() == [chunk for path in STORED for chunk in ids_in(FILES[path])]
    assert run.upload.problems == []


def test_every_entry_has_size_hash_and_place(tmp_path, prepare):
    """Inlined, whole or in segments: the chunks of a file are its own."""
    tree = scan_tree([write_tree(tmp_path, FILES)])

    run = prepare(tree).go()

    assert run.columns.is_known.all()
    for row, path in enumerate(tree.paths):
        content = FILES[path]
        assert run.columns.sizes[row] == len(content)
        assert run.columns.hashes[row].tobytes() == blake3(content).digest()
        assert run.ids_of(row) == ([] if path == b"c/tiny" else ids_in(content))
    size = sum(map(len, FILES.values()))
    assert (run.upload.counts.read_files, run.upload.counts.read_bytes) == (len(FILES), size)
    assert run.upload.counts.new_bytes == size - len(b"tiny")


def test_what_occurs_twice_is_stored_once(tmp_path, prepare):
    """In one batch, in one file, and in another file."""
    content = random_content(1, 60_000)
    files = {b"a": content, b"b": content, b"big": random_content(2, BIG), b"z": content}
    files[b"bigger"] = files[b"big"] + bytes(MIB) + files[b"big"]
    tree = scan_tree([write_tree(tmp_path, files)])

    run = prepare(tree).go()

    ids = run.stored_ids()
    assert len(ids) == len(set(ids))
    assert run.ids_of(0) == run.ids_of(1) == run.ids_of(tree.paths.index(b"z"))


def test_little_memory_is_enough_and_all_of_it_is_given_back(tmp_path, prepare):
    """Blobs are sent before they are full when nothing else makes room."""
    files = {b"%02d" % n: random_content(n, 900_000) for n in range(12)}
    files[b"big"] = random_content(99, 9 * MIB)
    tree = scan_tree([write_tree(tmp_path, files)])

    run = prepare(tree, memory=3 * MIB).go()

    assert run.columns.is_known.all()
    assert run.budget._used == 0


def test_zeros_and_holes_take_no_place(tmp_path, prepare):
    """Stored as zeros or not stored at all, the entry is the same."""
    (tmp_path / "zeros").write_bytes(bytes(3 * MIB))
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(3 * MIB)
    tree = scan_tree([tmp_path])

    run = prepare(tree).go()

    assert run.stored_ids() == []
    assert run.ids_of(0) == run.ids_of(1) == [3 * MIB]
    assert {row.tobytes() for row in run.columns.hashes} == {blake3(bytes(3 * MIB)).digest()}


@pytest.mark.parametrize("size", [500, BIG])
def test_a_file_that_is_gone_is_a_problem_and_the_others_are_stored(tmp_path, prepare, size):
    """Named with its path; its entry stays unknown."""
    tree = scan_tree(
        [write_tree(tmp_path, {b"a": b"x" * 300, b"b": bytes(size), b"c": b"y" * 300})]
    )
    (tmp_path / "b").unlink()

    run = prepare(tree).go()

    assert run.upload.problems == ["b: No such file or directory"]
    assert run.columns.is_known.tolist() == [True, False, True]


@pytest.mark.parametrize("length", [BIG + 500_000, 2 * BIG, 100, 0])
def test_a_big_file_that_changed_since_the_scan_is_stored_as_it_is(tmp_path, prepare, length):
    """Grown, or so small now that it would have gone with the small ones."""
    tree = scan_tree([write_tree(tmp_path, {b"big": random_content(1, BIG)})])
    content = random_content(2, length)
    (tmp_path / "big").write_bytes(content)

    run = prepare(tree).go()

    assert run.upload.problems == []
    assert run.columns.sizes[0] == length == tree.sizes[0]
    assert run.columns.hashes[0].tobytes() == blake3(content).digest()
    assert tree.stamp(0).fits((tmp_path / "big").stat())


class MeddlingCutter:
    """Does something to a file while it is cut, for the first few times."""

    def __init__(self, act, times):
        self._cutter, self._act, self._left = Cutter(PROFILE), act, times
        self.profile, self.iter_ends = PROFILE, self._cutter.iter_ends

    def cut(self, content):
        if self._left:
            self._left -= 1
            self._act()
        return self._cutter.cut(content)


@pytest.mark.parametrize("times", [1, 99])
def test_a_big_file_that_changes_while_it_is_read_is_read_again(tmp_path, prepare, times):
    """If it comes to rest, the last state is stored; if not, it is a problem."""
    tree = scan_tree([write_tree(tmp_path, {b"big": random_content(1, BIG)})])

    def grow():
        with (tmp_path / "big").open("ab") as file:
            file.write(b"more")

    run = prepare(tree, cutter=MeddlingCutter(grow, times)).go()

    if times == 1:
        content = (tmp_path / "big").read_bytes()
        assert run.columns.hashes[0].tobytes() == blake3(content).digest()
        assert run.ids_of(0) == ids_in(content)
    else:
        assert run.upload.problems == ["big: kept changing while it was read"]
        assert run.columns.is_known.tolist() == [False]
    assert run.budget._used == 0


@pytest.mark.parametrize("times", [1, 99])
def test_a_disk_that_fails_is_told_unless_another_try_helps(tmp_path, prepare, monkeypatch, times):
    """By its own words: nobody looks for a bad disk behind a file that kept changing."""
    tree = scan_tree([write_tree(tmp_path, {b"big": random_content(1, 9 * MIB)})])
    read, failures = os.pread, []

    def pread(descriptor, length, offset):
        if offset and len(failures) < times:
            failures.append(offset)
            raise OSError(errno.EIO, "Input/output error")
        return read(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    run = prepare(tree).go()

    assert run.upload.problems == ([] if times == 1 else ["big: Input/output error"])
    assert run.columns.is_known.tolist() == [times == 1]


def test_a_small_file_that_became_big_is_read_in_segments(tmp_path, prepare):
    """However big it is now, memory stays within its budget."""
    tree = scan_tree([write_tree(tmp_path, {b"a": b"x" * 500, b"log": b"x", b"z": b"y" * 500})])
    content = random_content(2, 2 * BIG)
    (tmp_path / "log").write_bytes(content)

    run = prepare(tree).go()

    assert run.columns.is_known.all()
    assert run.columns.hashes[1].tobytes() == blake3(content).digest()
    assert run.ids_of(1) == ids_in(content)
    assert run.columns.sizes[1] == tree.sizes[1] == len(content)


def test_links_are_stored_as_where_they_point(tmp_path, prepare):
    """Inlined, whatever is there."""
    (tmp_path / "link").symlink_to("nowhere/at/all")
    tree = scan_tree([tmp_path])

    run = prepare(tree).go()

    page = run.columns.page(0, 1, tree.paths, tree.kinds, run.blobs)
    assert (page.inline, run.stored_ids()) == (b"nowhere/at/all", [])


DESCRIPTORS = Path("/proc/self/fd")


def open_descriptors():
    return len(list(DESCRIPTORS.iterdir()))


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="tells open files on Linux only")
@pytest.mark.parametrize("stopped_by", ["cancel", "failure"])
def test_stopping_closes_what_was_open(tmp_path, prepare, stopped_by):
    """A put that fails in a notebook must not use up the descriptors of its process."""
    files = {b"%d" % number: random_content(number, 2 * BIG) for number in range(6)}
    tree = scan_tree([write_tree(tmp_path, files)])
    backend = MemoryBackend()
    if stopped_by == "failure":
        backend = FaultyBackend(backend).fail_nth("put", 1, Fault.FAIL_BEFORE)
    run = prepare(tree, backend=backend, memory=3 * MIB)
    if stopped_by == "cancel":
        run.upload._cutter = MeddlingCutter(run.cancel.set, 1)
    before = open_descriptors()

    with pytest.raises(Cancelled if stopped_by == "cancel" else BackendError):
        run.go()

    assert open_descriptors() == before


@pytest.mark.parametrize("size", [0, 100, 5000, BIG])
def test_a_stream_is_stored_as_a_file_of_its_content(tmp_path, prepare, size):
    """The same chunks as a file would have."""
    content = random_content(1, size)
    tree = stream_tree(b"file")
    run = prepare(tree)

    run.upload.run_stream(0, BytesIO(content))
    run.finish()

    assert run.columns.sizes[0] == size
    assert run.columns.hashes[0].tobytes() == blake3(content).digest()
    assert run.ids_of(0) == ([] if size <= 256 else ids_in(content))
