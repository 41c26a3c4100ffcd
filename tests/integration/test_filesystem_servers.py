"""`cas://` on stores behind real drivers: chained URLs, threads, and processes of both kinds."""

from __future__ import annotations

import multiprocessing
import warnings
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

KINDS = ("ministack", "fake_gcs")
OTHER_KINDS = ("azurite",)
TREE = {b"train/%02d.bin" % n: random_content(n, 300_000) for n in range(6)} | {b"a.txt": b"one\n"}


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    """A store behind a driver, with `data:v0`, and what opens it by a URL."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    place = request.getfixturevalue(request.param).new_place()
    with cas.Store.create(place.url, storage_options=place.options) as store:
        source = write_tree(tmp_path / "source", TREE)
        store.put(source, "data", cas.PutOptions(provenance=False))
    fsspec.register_implementation("cas", cas.CasFileSystem, clobber=True)
    yield place
    cas.CasFileSystem.clear_instance_cache()


def read_some(fs, pipe):
    """Say what a child reads."""
    with fs.open("data/train/02.bin") as file:
        file.seek(1000)
        pipe.send((file.read(10), fs.cat_ranges(["data/a.txt"], 0, 3), fs.glob("data@v0/*.txt")))


@pytest.mark.parametrize("place", KINDS + OTHER_KINDS, indirect=True)
def test_a_chained_url_reads_a_store_behind_a_driver(place, tmp_path):
    """Its options go to the driver; files, ranges, folders and copies are what was put."""
    url, scheme = place.url, place.url.partition(":")[0]
    options = {scheme: dict(place.options)}

    with fsspec.open(f"cas://data@v0/a.txt::{url}", "rt", **options) as file:
        assert file.read() == "one\n"
    fs, path = fsspec.url_to_fs(f"cas://data@v0::{url}", **options)
    paths = fs.find(f"{path}/train")
    with ThreadPoolExecutor(8) as pool:
        read = dict(zip(paths, pool.map(fs.cat_file, paths), strict=True))
    fs.get(path, str(tmp_path / "out"), recursive=True)

    assert read == fs.cat(paths) == {p: TREE[p.partition("/")[2].encode()] for p in paths}
    assert len(paths) == 6
    assert read_tree(tmp_path / "out") == TREE


@pytest.mark.parametrize("place", KINDS, indirect=True)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_reads_after_its_parent_did(place, method):
    """Event loops and connections of drivers are the parent's; the child opens its own."""
    fs = cas.CasFileSystem(store=place.url, target_options=place.options)
    assert fs.cat("data/a.txt") == b"one\n"
    context = multiprocessing.get_context(method)
    mine, theirs = context.Pipe()
    child = context.Process(target=read_some, args=(fs, theirs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, in 3.12
        child.start()
    answer = mine.recv() if mine.poll(100) else None
    child.join(60)

    assert answer == (TREE[b"train/02.bin"][1000:1010], [b"one"], ["data@v0/a.txt"])
    assert child.exitcode == 0
    assert fs.cat_file("data/train/05.bin") == TREE[b"train/05.bin"]


@pytest.mark.parametrize("place", KINDS + OTHER_KINDS, indirect=True)
def test_a_draft_is_written_beside_what_stays_in_the_bucket(place):
    """Threads write, append to and move files; of what is only moved nothing is fetched or sent."""
    with (
        cas.Store.open(place.url, storage_options=place.options) as store,
        store.draft("data", base="data:v0", options=cas.PutOptions(provenance=False)) as draft,
    ):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: draft.pipe(f"new/{n}", b"%d" % n * 1000), range(8)))
        draft.mv("train", "learn")
        received = store.requests.received_bytes
        assert received < 100_000
        with draft.open("learn/00.bin", "ab") as file:
            file.write(b"more")
        made = draft.commit()
        sent, found = draft.outcome.sent_bytes, made.read("learn/00.bin")

    assert found == TREE[b"train/00.bin"] + b"more"
    assert sent < 400_000
    assert made.totals.files == 15
