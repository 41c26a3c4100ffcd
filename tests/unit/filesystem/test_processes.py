"""The filesystem in other processes and threads: what is resolved and read travels with it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import cas
from cas.filesystem import pinned_store
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

BIG = random_content(1, 3 << 20)
PATH = "data/train/deep/b.bin"


def read_in_child(fs, pipe):
    """Say what another process finds, and what it asked the store for."""
    found = fs.cat_file(PATH, 0, 100), fs.cat_ranges([PATH], -9, None)[0], len(fs.find("data"))
    pipe.send((found, fs.cat("data/new"), fs.store.requests))


def run_child(method, fs):
    context = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    child = context.Process(target=read_in_child, args=(fs, theirs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, in 3.12
        child.start()
    answer = mine.recv() if mine.poll(60) else None
    child.join(60)
    assert child.exitcode == 0
    return answer


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_reads_the_same_versions_without_finding_them_again(fs, store, source, method):
    """What `data` means is what the parent found; nothing is listed, no page read."""
    fs.find("data")
    (source / "new").write_bytes(b"newer")
    store.put(source, "data")

    found, new, requests = run_child(method, fs)

    assert found == (BIG[:100], BIG[-9:], 7)
    assert new == b"new"
    assert requests.list == 0


def test_a_file_that_is_open_goes_on_in_a_forked_child(fs):
    """Also when it was being fetched ahead by threads that the child does not have."""
    with fs.open(PATH) as file:
        begun = file.read(1 << 20)
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.write(writer, bytes([begun + file.read() == BIG]))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 1) == b"\1"
        assert begun + file.read() == BIG
    os.close(reader)
    os.close(writer)


def test_a_copy_in_the_same_process_is_the_same_object(fs):
    """As with any filesystem of fsspec, and also once references are resolved."""
    fs.find("data")

    assert pickle.loads(pickle.dumps(fs)) is fs


def test_a_copy_that_knows_otherwise_stands_apart(fs, store, source):
    """A reference that means something else here already is not led elsewhere."""
    fs.find("data")
    copy = pickle.dumps(fs)
    (source / "new").write_bytes(b"newer")
    store.put(source, "data")
    fs.invalidate_cache()
    assert fs.cat("data/new") == b"newer"

    other = pickle.loads(copy)

    assert other is not fs
    assert other.cat("data/new") == b"new"
    assert fs.cat("data/new") == b"newer"


def test_a_copy_reads_the_store_of_its_original_wherever_it_is_opened(store, tmp_path, monkeypatch):
    """Though `CAS_STORE` names another one there."""
    monkeypatch.setenv("CAS_STORE", store.url)
    copy = pickle.dumps(cas.CasFileSystem())
    monkeypatch.setenv("CAS_STORE", str(tmp_path / "elsewhere"))

    assert pickle.loads(copy).cat("data@v0/link") == b"one 1\n"


def test_a_pickle_stays_small(tmp_path, monkeypatch):
    """Dask sends one with every task: of many pages only the last ones read go along."""
    monkeypatch.setattr(pinned_store, "CARRIED_BYTES", 400_000)
    with cas.Store.create(tmp_path / "store") as store:
        tree = {b"%05d" % n: b"" for n in range(4_000)}
        store.put(write_tree(tmp_path / "many", tree), "many", cas.PutOptions(provenance=False))
        fs = cas.CasFileSystem.on(store)
        assert len(fs.find("many")) == 4_000

        pickled = pickle.dumps(fs)

        assert len(pickled) < 400_000
        assert len(pickle.loads(pickled).find("many")) == 4_000


def test_many_threads_share_one_filesystem(fs):
    """Files, ranges and listings at once."""

    def act(number):
        with fs.open(PATH) as file:
            file.seek(number * 1000)
            return file.read(500), fs.cat_file(PATH, number, number + 9), len(fs.ls("data"))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(act, range(200)))

    assert found == [(BIG[n * 1000 :][:500], BIG[n : n + 9], 7) for n in range(200)]
