"""Files of versions opened, read in ranges, and fetched many at once."""

from __future__ import annotations

import _thread
import io
import operator
import pickle
import threading
from functools import partial

import fsspec
import pytest
from memory_stores import DistantBackend, open_on, with_store
from moved_blobs import move_blobs

import cas
from cas.model.names import ArtifactName
from cas.operations.revise import Reviser
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

PLAIN = cas.PutOptions(provenance=False)
BIG = random_content(1, 3 << 20)  # as data@v0/train/deep/b.bin has
PATH = "data@v0/train/deep/b.bin"


@pytest.fixture
def distant(tmp_path):
    """A distant store with twelve files of 1 MiB, and a filesystem on it with nothing cached."""
    backend = with_store(DistantBackend())
    tree = {b"%02d" % n: random_content(n, 1 << 20) for n in range(12)}
    open_on(backend).put(write_tree(tmp_path / "many", tree), "many", PLAIN)
    return cas.CasFileSystem.on(open_on(backend)), tree


def test_an_open_file_is_what_python_and_fsspec_expect(fs):
    """Seekable, buffered, with size and details; text and compression come from fsspec."""
    with fs.open(PATH) as file:
        assert (file.size, file.tell(), file.mode, file.path) == (3 << 20, 0, "rb", PATH)
        assert file.full_name == "cas://" + PATH
        assert file.details == fs.info(PATH)
        assert file.seek(-5, io.SEEK_END) == (3 << 20) - 5
        assert file.read() == BIG[-5:]
        assert (file.seekable(), file.readable(), file.writable()) == (True, True, False)
    assert file.closed
    with fs.open("cas://data@v0/link", "rt") as text:
        assert list(text) == ["one 1\n"]
    assert fs.read_text("data@v0/link") == "one 1\n"
    assert fs.head(PATH, 9) + fs.tail(PATH, 9) == BIG[:9] + BIG[-9:]
    assert fs.read_block("data@v0/train/a.txt", 0, 2, b"\n") == b"one 1\n"


def test_threads_that_run_no_python_read_where_they_sought(fs):
    """DuckDB's do so side by side, on one file, with nothing that keeps seek and read together."""
    done, answers = threading.Event(), []
    with fs.open(PATH) as file:
        file.seek(7)

        def run_natively(*calls):
            # No frame of Python lies below these calls, as in a thread of a C++ library.
            done.clear()
            _thread.start_new_thread(answers.extend, (map(operator.call, (*calls, done.set)),))
            assert done.wait(30)

        run_natively(partial(file.seek, 100), partial(file.tell), partial(file.read, 5))
        run_natively(partial(file.read, 5))  # goes on after the last one
        run_natively(partial(file.seek, -9, 2), partial(file.read))

        assert answers[:3] == [100, 100, BIG[100:105]]
        assert answers[4:5] == [BIG[105:110]]
        assert answers[6:8] == [(3 << 20) - 9, BIG[-9:]]
        assert file.tell() == 7
        assert file.read(5) == BIG[7:12]


def test_an_open_file_travels_with_its_position(fs):
    """Its pickle is opened anew and goes on where it was."""
    with fs.open(PATH) as file:
        file.seek(1 << 20)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert copy.read(100) == BIG[1 << 20 :][:100]


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (5, 9), (-9, None), (0, -9), (9, 5), (-(1 << 30), 1 << 30)]
)
def test_a_range_is_what_a_slice_would_be(fs, start, end):
    """Negative ends count from the end, and what lies outside is left out."""
    assert fs.cat_file(PATH, start, end) == BIG[start:end]
    assert fs.cat_ranges([PATH], start, end) == [BIG[start:end]]
    assert fs.cat_ranges([PATH], [start], [end], max_gap=100) == [BIG[start:end]]


def test_several_files_are_read_as_one(fs):
    """A list, a pattern or a folder gives a map; errors come as they are asked for."""
    pair = {"data@v0/train/a.txt": b"one 1\n", PATH: BIG}

    assert fs.cat(list(pair)) == fs.cat("data@v0/train", recursive=True) == pair
    assert fs.cat("data@v0/*.png") == {"data@v0/x@2.png": b"png"}
    with pytest.raises(FileNotFoundError):
        fs.cat(["data@v0/link", "data@v0/no"])
    assert fs.cat(["data@v0/link", "data@v0/no"], on_error="omit") == {"data@v0/link": b"one 1\n"}
    returned = fs.cat(["data@v0/train", "data@v0/no"], on_error="return")
    assert list(map(type, returned.values())) == [
        type(fs.cat_ranges([one], 0, 1)[0]) for one in returned
    ]
    assert isinstance(returned["data@v0/train"], IsADirectoryError)
    with pytest.raises(IsADirectoryError):
        fs.cat_ranges(["data@v0/train"], 0, 1, on_error="raise")


@pytest.mark.parametrize("path", ["data@v0/train", "data@v0", "data@v0/empty", "data@", "team", ""])
def test_a_folder_is_no_file(fs, path):
    """Opening and reading one is the error that Python has for it."""
    for act in (fs.open, fs.cat_file):
        with pytest.raises(IsADirectoryError) as caught:
            act(path)
        assert isinstance(caught.value, cas.InvalidInputError)


def test_ranges_of_many_files_cost_few_requests(distant):
    """Their files lie together, so they are read together, each byte once."""
    fs, tree = distant
    fs.cat_file("many@v0/00", 0, 1)
    before = fs.store.requests

    paths = [f"many@v0/{n:02}" for n in range(12)]
    found = fs.cat_ranges(paths, 0, [1 << 20] * 12)

    assert found == list(tree.values())
    assert fs.store.requests.get - before.get <= 4
    assert fs.store.requests.received_bytes - before.received_bytes < (12 << 20) + (1 << 20)


def test_a_range_costs_about_its_own_bytes(distant):
    """One read of what is wanted, once the table of the blob is known."""
    fs, tree = distant
    fs.cat_file("many@v0/00", 0, 1)
    before = fs.store.requests

    assert fs.cat_file("many@v0/05", 1000, 2000) == tree[b"05"][1000:2000]
    assert fs.store.requests.get - before.get == 1
    assert fs.store.requests.received_bytes - before.received_bytes < 600_000


def test_under_a_typed_digest_a_file_is_checked_whole_once(distant):
    """Its hash is what the digest vouches for; later ranges cost their own bytes."""
    fs, tree = distant
    path = f"many@{fs.store.version('many').digest.hex}/03"
    assert fs.cat_file(path, 5, 6) == tree[b"03"][5:6]
    before = fs.store.requests

    with fs.open(path) as file:
        assert file.read(3) == tree[b"03"][:3]

    assert fs.store.requests.received_bytes - before.received_bytes < 600_000


def test_damage_is_told_and_is_no_missing_file(store, fs, tmp_path):
    """A blob that is gone fails what lies in it, as an error of the store."""
    for blob in (tmp_path / "store" / "blobs").glob("*/*"):
        blob.unlink()

    for act in (lambda: fs.cat_file(PATH), lambda: fs.cat_ranges([PATH], 0, 5, on_error="raise")):
        with pytest.raises(cas.CorruptionError) as caught:
            act()
        assert not isinstance(caught.value, OSError)


def test_what_is_moved_while_it_is_read_is_found(tmp_path):
    """Files that are open, ranges and listings follow a version to where it lies now."""
    backend = with_store(DistantBackend())
    content = random_content(1, 12 << 20)
    open_on(backend).put(write_tree(tmp_path / "source", {b"big": content}), "data", PLAIN)
    fs = cas.CasFileSystem.on(open_on(backend))
    old = [one.key for folder in ("blobs", "meta") for one in backend.list_objects(folder)]
    with fs.open("data@v0/big") as file:
        begun = file.read(10)

        parts = open_on(backend).parts
        Reviser(parts, move_blobs(parts)).revise(ArtifactName("data"), 0)
        for key in old:
            backend.delete(key)

        assert begun + file.read() == content
    assert fs.cat_ranges(["data@v0/big"] * 2, [5, -5], [9, None]) == [content[5:9], content[-5:]]


def test_what_cannot_cache_says_what_can(store, tmp_path):
    """`blockcache::` reads in a way of its own; whole files are kept as of any filesystem."""
    options = {"cas": {"store": store.url}, "cache_storage": str(tmp_path / "kept")}

    with pytest.raises(cas.UnsupportedError, match="blockcache") as caught:
        fsspec.open("blockcache::cas://data@v0/train/a.txt", **options).open()

    assert "filecache::" in caught.value.hint
    with fsspec.open("filecache::cas://data@v0/train/a.txt", cas=options["cas"]) as file:
        assert file.read() == b"one 1\n"
