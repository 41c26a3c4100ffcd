"""`cas cache`, and what the cache of data does for commands: with the tool, on stores far away."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import warnings

import fsspec
import pytest
from cas_tool import MemoryTool, make_tool

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

TREE = {b"train/%d.bin" % n: random_content(n, 300_000) for n in range(8)} | {b"a.txt": b"one\n"}


@pytest.fixture
def tool(tmp_path):
    """The tool, and a store that is not local with one version."""
    fsspec.filesystem("memory").store.clear()
    tool = make_tool(tmp_path, MemoryTool)
    tool.environ["CAS_STORE"] = "memory://far/store"
    tool("init")
    tool("put", write_tree(tmp_path / "source", TREE), "data", "--no-provenance")
    return tool


@pytest.fixture
def place(ministack):
    """A bucket of an S3 server."""
    return ministack.new_place()


def test_there_is_none_at_first(tool, tmp_path):
    """It says so, and where it would be."""
    shown = tool.json("cache")

    assert shown == {
        "folder": str(tmp_path / "home" / "cas" / "cache" / "data-1"),
        "limit_bytes": 0,
        "size": None,
        "source": "default",
        "origin": "nobody asked for one",
        "used_bytes": 0,
        "entries": 0,
        "entry_bytes": 0,
        "hits": 0,
        "misses": 0,
        "hit_bytes": 0,
    }
    assert "none: nothing is kept" in tool("cache").out


def test_a_limit_stays_and_reading_fills_it(tool):
    """What one command read the next one has."""
    limited = tool("cache", "limit", "20MB")
    first = tool("cat", "data:v0/train/1.bin", "--stats")
    second = tool("cat", "data:v0/train/1.bin", "--stats")
    shown = tool.json("cache", "show")

    assert "limit   19.1 MiB" in limited.out
    assert "cache: 0 of " in first.err
    assert "(100 %), 293.0 KiB not fetched" in second.err
    assert (shown["limit_bytes"], shown["source"]) == (20_000_000, "user config")
    assert shown["entry_bytes"] >= 300_000
    assert shown["hit_bytes"] == 300_000
    assert shown["used_bytes"] <= 20_000_000


def test_a_get_of_what_was_read_asks_for_no_data(tool, tmp_path):
    """Its statistics say so."""
    environ = {"CAS_CACHE_SIZE": "20MB"}
    tool("cat", *(f"data:v0/{path.decode()}" for path in TREE), **environ)

    got = tool("get", "data", "out", "--stats", **environ)

    assert "(100 %), 2.3 MiB not fetched" in got.err
    assert read_tree(tmp_path / "work" / "out") == TREE
    assert tool.json("get", "data", "again", "--cache-size", "0")["fetched_bytes"] > 2_000_000


def test_it_is_cleared_and_verified(tool):
    """By the names that other tools have for it, too."""
    tool("cat", "data:v0/train/1.bin", "--cache-size", "20MB")
    verified = tool.json("cache", "verify")
    listed = tool.json("cache", "ls")
    cleared = tool.json("cache", "clean")

    assert (verified["size"], verified["removed"]) == (listed["entry_bytes"], 0)
    assert cleared["freed_bytes"] >= 300_000
    assert tool.json("cache")["entries"] == 0
    assert tool("cache", "clear").out == "freed 0 B\n"


def test_a_smaller_limit_frees_at_once(tool):
    """And 0 frees everything."""
    tool("cat", *(f"data:v0/{path.decode()}" for path in TREE), CAS_CACHE_SIZE="100MB")

    tool("cache", "limit", "16MiB")
    some = tool.json("cache")
    tool("cache", "limit", "0")
    none = tool.json("cache")

    assert 2_000_000 < some["used_bytes"] <= 16 << 20
    assert (none["entries"], none["limit_bytes"]) == (0, 0)


def test_a_variable_that_counts_more_is_told(tool):
    """Or the limit would seem to do nothing."""
    limited = tool("cache", "limit", "30MB", CAS_CACHE_SIZE="20MB")

    assert "warning: CAS_CACHE_SIZE says otherwise, and counts more" in limited.err
    assert "limit   19.1 MiB" in limited.out


@pytest.mark.parametrize(
    "words", [["grow"], ["limit"], ["clear", "1GB"], ["limit", "much"], ["limit", "1KB"]]
)
def test_what_makes_no_sense_is_refused(tool, words):
    """With what would."""
    refused = tool("cache", *words, code=2)

    assert "hint: " in refused.err


def test_a_folder_that_others_can_write_is_told_once(tool, tmp_path):
    """The file is read all the same; the command that is about the cache alone refuses."""
    folder = tmp_path / "home" / "cas" / "cache" / "data-1"
    folder.mkdir(parents=True)
    folder.chmod(0o777)

    read = tool("cat", "data:v0/a.txt", "data:v0/train/1.bin", "--cache-size", "20MB")
    refused = tool("cache", code=2)

    assert read.err.count("warning: the data cache in ") == 1
    assert "others may write to" in read.err
    assert "others may write to" in refused.err


def test_a_warm_cache_on_s3_asks_for_no_data(place, tmp_path, monkeypatch):
    """Through the library, `cas://` and a copy of the version, over a real driver."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAS_CACHE_SIZE", "30MB")
    with cas.Store.create(place.url, storage_options=place.options) as store:
        source = write_tree(tmp_path / "source", TREE)
        store.put(source, "data", cas.PutOptions(provenance=False))
        version = store.version("data")
        assert [version.read(path.decode()) for path in TREE] == list(TREE.values())

    with cas.Store.open(place.url, storage_options=place.options) as store:
        fs = cas.CasFileSystem.on(store)
        fs.info("data/a.txt")
        before = store.requests
        with fs.open("data/train/3.bin") as file:
            file.seek(100_000)
            part = file.read(4096)
        ranges = fs.cat_ranges(["data/train/4.bin", "data/train/5.bin"], 1000, 2000)
        asked = store.requests - before
        counts = store.cache_counts
        got = store.get("data", tmp_path / "out")

    assert asked.requests == 0
    assert part == TREE[b"train/3.bin"][100_000:104_096]
    assert ranges == [TREE[b"train/%d.bin" % n][1000:2000] for n in (4, 5)]
    assert (counts.misses, got.fetched_bytes) == (0, 0)
    assert read_tree(tmp_path / "out") == TREE


def read_often(fs, pipe):
    """Read ranges in some order, twice; send what was wrong and what was asked for."""
    chosen = random.Random(os.getpid())
    wrong = []
    for _ in range(2):
        paths = chosen.sample(sorted(TREE), len(TREE))
        for path in paths:
            start = chosen.randrange(len(TREE[path]))
            found = fs.cat_file(f"data/{path.decode()}", start, start + 5000)
            wrong += [path] if found != TREE[path][start : start + 5000] else []
    pipe.send((wrong, fs.store.cache_counts.hits > 0, fs.store.cache_counts.damaged))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_share_a_cache(place, tmp_path, monkeypatch, method):
    """Of a data loader, say, which begins them after it has read itself."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAS_CACHE_SIZE", "16MiB")
    with cas.Store.create(place.url, storage_options=place.options) as store:
        source = write_tree(tmp_path / "source", TREE)
        store.put(source, "data", cas.PutOptions(provenance=False))
    fs = cas.CasFileSystem(store=place.url, target_options=place.options, skip_instance_cache=True)
    fs.cat_file("data/train/0.bin", 0, 10)
    context = multiprocessing.get_context(method)
    pipes = [context.Pipe() for _ in range(3)]
    workers = [context.Process(target=read_often, args=(fs, theirs)) for _, theirs in pipes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, in 3.12
        for worker in workers:
            worker.start()
    answers = [mine.recv() if mine.poll(100) else None for mine, _ in pipes]
    for worker in workers:
        worker.join(60)

    assert answers == [([], True, 0)] * 3
    assert [worker.exitcode for worker in workers] == [0] * 3


def test_a_folder_is_cached_if_its_settings_say_so(tmp_path):
    """It may lie on a slow network; others are left alone."""
    tool = make_tool(tmp_path, MemoryTool)
    tool("init")
    tool("put", write_tree(tmp_path / "source", TREE), "data", "--no-provenance")
    text = f'[stores.far]\nurl = "{tmp_path / "store"}"\ncache = true\n'
    (tool.cwd / "cas.toml").write_text(text, encoding="utf-8")
    words = ["cat", "data:v0/a.txt", "data:v0/train/1.bin", "--cache-size", "20MB", "--stats"]

    asked, unasked = tool(*words, "--store", "far"), tool(*words)

    assert "cache: 0 of " in asked.err
    assert "cache: " not in unasked.err


LEFT_OPEN = """
import os, sys, cas
store = cas.Store.open("store", options=cas.StoreOptions(use_cache=True, cache_size="20MB"))
store.version("data").read("a.txt")
# Behind what the interpreter takes down last, as drivers and their threads keep it.
os.kept = store, dict(sys.modules)
"""


def test_what_nobody_closed_ends_in_silence(tmp_path):
    """A program that ends with a store open has nothing on its standard error."""
    with cas.Store.create(tmp_path / "store") as store:
        store.put(write_tree(tmp_path / "source", TREE), "data", cas.PutOptions(provenance=False))

    ended = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN],
        cwd=tmp_path,
        env={**os.environ, "CAS_HOME": str(tmp_path / "home")},
        capture_output=True,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_this_machine_had_was_not_fetched(tool, tmp_path):
    """A small version that was just put or read lies in the cache of small objects."""
    content = random_content(50, 100_000)
    tool("put", write_tree(tmp_path / "small", {b"a.bin": content}), "small", "--no-provenance")

    elsewhere = str(tmp_path / "cold")
    first = tool.json("get", "small", "1", CAS_CACHE_DIR=elsewhere)["fetched_bytes"]
    second = tool.json("get", "small", "2", CAS_CACHE_DIR=elsewhere)["fetched_bytes"]
    to_url = tool.json("get", "small", "memory://far/objects")["fetched_bytes"]

    assert first >= len(content)
    assert (second, to_url) == (0, 0)
    assert read_tree(tmp_path / "work" / "2") == {b"a.bin": content}
