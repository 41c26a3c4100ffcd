"""How many requests a put takes where each of them takes a round trip, and which wait for which."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

import cas
from cas.backend.counting import RequestCounts
from cas.testing.corpora import random_content, small_files, text_content
from cas.testing.faulty import FaultyBackend
from cas.testing.trees import Tree, write_tree
from cas.transfer import journal

TREE: Tree = {b"%03d/%02d.txt" % (n // 40, n % 40): text_content(n, 3000) for n in range(400)}


@pytest.fixture
def backend() -> DistantBackend:
    """A distant backend with an empty store."""
    return with_store(DistantBackend())


@pytest.fixture(autouse=True)
def made_long_ago(monkeypatch):
    """Let the journal see files as made long ago, whenever they were made."""
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder of small files."""
    return write_tree(tmp_path / "source", TREE)


def put(backend, source: Path) -> tuple[cas.PutOutcome, RequestCounts]:
    """Put a folder as a new process does; return the outcome and what was asked for."""
    with open_on(backend, jobs=2, cache_dir=str(source.parent / "cache")) as store:
        outcome = store.put(source, "data", PLAIN)
        return outcome, store.requests


def edit(source: Path, content: bytes) -> None:
    """Change one file."""
    (source / "005/07.txt").write_bytes(content)


def test_each_kind_of_put_keeps_to_its_number_of_requests(backend, source):
    """The first version, the same again, and one file edited."""
    _, first = put(backend, source)
    again, same = put(backend, source)
    edit(source, b"edited\n" * 50)
    outcome, small = put(backend, source)

    assert (again.created, outcome.created) == (False, True)
    # cas.json; log, slots, index and the log again; blob, pages, intent, segment; slot; intent.
    assert (first.get, first.list, first.put, first.create, first.delete) == (1, 4, 4, 1, 1)
    # cas.json and the record; log and slots. The root is known: this machine wrote it.
    assert (same.get, same.list, same.put, same.create, same.delete) == (2, 2, 0, 0, 0)
    # The same, and the log again; blob, pages, intent; slot; intent.
    assert (small.get, small.list, small.put, small.create, small.delete) == (2, 3, 3, 1, 1)


def test_what_thousands_of_small_files_cost_hardly_grows_with_their_number(backend, tmp_path):
    """They lie together in few blobs and pages; a change to one of them costs what it always does."""
    tree = small_files(1, 3000)
    source = write_tree(tmp_path / "many", tree)
    edited = source / min(tree).decode()

    outcome, first = put(backend, source)
    again, same = put(backend, source)
    edited.write_bytes(b"edited\n" * 100)
    changed, small = put(backend, source)

    assert (outcome.totals.files, first.requests <= 20) == (len(tree), True)
    assert (again.created, same.requests) == (False, 4)
    assert (changed.created, small.requests) == (True, 10)


def test_a_small_put_neither_asks_the_index_nor_adds_to_it(backend, source):
    """The tables of the version before it are enough, and the next put finds what it stored."""
    put(backend, source)
    segments = list(backend.list_objects("index"))
    watched = FaultyBackend(backend)
    content = random_content(5, 60_000)

    edit(source, content)
    put(watched, source)
    (source / "again.bin").write_bytes(content)
    (source / "other.bin").write_bytes(random_content(6, 90_000))
    outcome, _ = put(backend, source)

    assert [one for one in watched.log if one.key.startswith("index")] == []
    assert len(list(backend.list_objects("index"))) == len(segments) + 1
    assert outcome.new_bytes == 90_000


def test_the_index_is_read_beside_the_tables_of_the_version_before(backend, source):
    """A listing of it that only ends when a table is asked for holds nothing up."""
    put(backend, source)
    is_asked = threading.Event()

    class SlowIndex(FaultyBackend):
        """Lists the index no sooner than a table is read."""

        def list_objects(self, prefix):
            if prefix == "index":
                assert is_asked.wait(20)
            return super().list_objects(prefix)

        def get(self, key, start=0, stop=None):
            if key.startswith("blobs/"):
                is_asked.set()
            return super().get(key, start, stop)

    store = cas.Store.on(SlowIndex(backend), options=cas.StoreOptions(jobs=2, journal=False))
    (source / "new.bin").write_bytes(random_content(1, 200_000))
    outcome = store.put(source, "data", PLAIN)

    assert outcome.new_bytes == 200_000
