"""How many requests and bytes reading costs, and how many of them are under way at a time."""

from __future__ import annotations

import threading

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

MANY = 12


class Gate:
    """Holds reads until two are under way; from then on it is open for all."""

    def __init__(self):
        self._has_first = threading.Lock()
        self._is_open = threading.Event()

    @property
    def is_open(self):
        """Whether two reads came."""
        return self._is_open.is_set()

    def wait(self, timeout):
        """Come to the gate."""
        if not self._has_first.acquire(blocking=False):
            self._is_open.set()
        assert self._is_open.wait(timeout), "no other read is under way"


class GatedBackend(DistantBackend):
    """A distant store at which reads of blobs wait until several are under way."""

    gate: Gate | threading.Barrier | None = None

    def get(self, key, start=0, stop=None):
        if self.gate is not None and key.startswith("blobs/"):
            self.gate.wait(timeout=30)
        return super().get(key, start, stop)


@pytest.fixture
def backend():
    """A distant backend with an empty store."""
    return with_store(GatedBackend())


@pytest.fixture
def open_store(backend):
    """A function that opens the store anew, with nothing cached."""
    return lambda **given: open_on(backend, **given)


def test_one_file_of_a_small_version_costs_a_chain_of_four_requests(open_store, tmp_path):
    """`cas.json`, list beside record, root with its page, and the blob whole."""
    tree = {b"one/file": b"text\n" * 1000, b"two": random_content(1, 200_000)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    store = open_store()

    store.get("data:v0/one/file", tmp_path / "out")

    assert (store.requests.get, store.requests.list) == (4, 1)
    assert read_tree(tmp_path / "out") == {b"file": tree[b"one/file"]}


def test_one_file_out_of_a_big_blob_costs_one_request_more(open_store, tmp_path):
    """Its table says where the file lies, and only that is read."""
    tree = {b"one/file": random_content(2, 100_000), b"two": random_content(1, 3 << 20)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    store = open_store()

    with store.version("data:v0").open("one/file") as file:
        assert file.read() == tree[b"one/file"]

    assert (store.requests.get, store.requests.list) == (5, 1)
    assert store.requests.received_bytes < 500_000


def test_a_small_blob_is_fetched_once_for_all_that_is_read_of_it(open_store, tmp_path):
    """Reading file after file of one blob makes no request after the first."""
    tree = {b"%d" % n: random_content(n, 20_000) for n in range(20)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    version = (store := open_store()).version("data:v0")
    version.read("0")
    before = store.requests.requests

    read = {b"%d" % n: version.read(str(n)) for n in range(20)}

    assert read == tree
    assert store.requests.requests == before


def test_reading_on_and_on_fetches_ever_more_at_a_time(open_store, tmp_path):
    """A stream of small reads costs few requests, each byte is fetched once, and it is right."""
    content = random_content(1, 24 << 20)
    open_store().put(write_tree(tmp_path / "source", {b"big": content}), "data", PLAIN)
    store = open_store()

    with store.version("data:v0").open("big") as file:
        read = b"".join(iter(lambda: file.read(100_000), b""))

    assert read == content
    assert store.requests.get < 20
    assert store.requests.received_bytes < 1.05 * len(content)


@pytest.mark.parametrize("step", [-1, 1 << 20])
def test_a_big_file_is_read_with_several_requests_under_way(open_store, backend, tmp_path, step):
    """Whole or on and on: none returns before others have come, and their bytes come in order."""
    content = random_content(1, 40 << 20)
    open_store().put(write_tree(tmp_path / "source", {b"big": content}), "data", PLAIN)
    store = open_store(memory_bytes=64 << 20)

    with store.version("data:v0").open("big") as file:
        head = file.read(12 << 20)
        backend.gate = gate = Gate()
        rest = b"".join(iter(lambda: file.read(step), b""))

    assert head + rest == content
    assert gate.is_open
    # Frames of 256 KiB are shared by two pieces where a blob's table was not known yet.
    assert store.requests.received_bytes < 1.1 * len(content)


def test_reading_a_big_file_keeps_to_the_memory_budget(open_store, backend, tmp_path):
    """With little memory one piece is fetched after the other, and a reader who stops ends it."""
    content = random_content(1, 20 << 20)
    open_store().put(write_tree(tmp_path / "source", {b"big": content}), "data", PLAIN)
    store = open_store(memory_bytes=1)

    with store.version("data:v0").open("big") as file:
        assert file.read(9 << 20) == content[: 9 << 20]
        file.seek(5)
        assert file.read(3) == content[5:8]

    assert store.version("data:v0").read("big") == content


def test_reading_here_and_there_fetches_no_more_than_that(open_store, tmp_path):
    """Read-ahead is for those who read on."""
    content = random_content(1, 24 << 20)
    open_store().put(write_tree(tmp_path / "source", {b"big": content}), "data", PLAIN)
    store = open_store()

    with store.version("data:v0").open("big") as file:
        for at in range(20 << 20, 0, -(2 << 20)):
            file.seek(at)
            assert file.read(1000) == content[at : at + 1000]

    assert store.requests.received_bytes < 10 * 1_100_000


def test_a_version_that_is_not_there_is_told_as_ever(open_store, tmp_path):
    """Reading the slot beside the listing changes no answer."""
    store = open_store()
    store.put(write_tree(tmp_path / "source", {b"f": b"x"}), "data", PLAIN)
    with pytest.raises(cas.NotFoundError, match="has no version v7"):
        store.version("data:v7")
    with pytest.raises(cas.NotFoundError, match="no artifact 'other'"):
        store.version("other:v0")
    store.delete("data:v0")

    with pytest.raises(cas.NotFoundError, match="trash"):
        store.version("data:v0")


def test_more_reads_wait_for_a_distant_store_than_there_are_workers(open_store, backend, tmp_path):
    """With one worker a dozen requests are under way at once: none returns before all have come."""
    for number in range(MANY):
        content = {b"%02d" % n: random_content(n, 1_500_000) for n in range(number + 1)}
        open_store().put(write_tree(tmp_path / "source", content), "data", PLAIN)
    assert len(list(backend.list_objects("blobs"))) == MANY
    backend.gate = threading.Barrier(MANY)  # the tables, then the chunks of each

    open_store(jobs=1).get("data", tmp_path / "out")

    assert read_tree(tmp_path / "out") == content


def test_the_memory_budget_bounds_the_reads_in_flight(open_store, backend, tmp_path):
    """Where memory is short one read after the other is made, and it is all the same."""
    content = {b"%02d" % n: random_content(n, 3_000_000) for n in range(8)}
    open_store().put(write_tree(tmp_path / "source", content), "data", PLAIN)

    open_store(jobs=1, memory_bytes=1).get("data", tmp_path / "out")

    assert read_tree(tmp_path / "out") == content


def test_chosen_files_cost_their_own_bytes(open_store, tmp_path):
    """`include` fetches what it chose, and no neighbour that is not worth a request."""
    tree = {b"%02d.bin" % n: random_content(n, 2 << 20) for n in range(12)}
    tree |= {b"%02d.txt" % n: random_content(100 + n, 50_000) for n in range(12)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    store = open_store()

    outcome = store.get("data", tmp_path / "out", cas.GetOptions(include=("0[3-5].*",)))

    chosen = {path: content for path, content in tree.items() if path[:2] in (b"03", b"04", b"05")}
    size = sum(map(len, chosen.values()))
    assert read_tree(tmp_path / "out") == chosen
    # Frames of 256 KiB at the edges, and the table of the blob.
    assert size <= outcome.fetched_bytes <= size + 6 * 300_000
    assert store.requests.received_bytes <= size + 2_000_000


def test_nothing_is_fetched_for_a_version_that_is_there(open_store, tmp_path):
    """Only the pages are read."""
    tree = {b"%d" % n: random_content(n, 100_000) for n in range(5)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    store = open_store()

    outcome = store.get("data:v0", tmp_path / "source")

    assert (outcome.fetched_bytes, outcome.unchanged_files) == (0, 5)
    assert (store.requests.get, store.requests.list) == (3, 1)


def test_pages_come_in_order_though_several_are_read_at_once(open_store, tmp_path):
    """A version of many pages is listed whole and sorted, and the listing may be left early."""
    tree = {b"%05d" % n: b"" for n in range(5000)}
    open_store().put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    version = open_store().version("data:v0")

    assert len(version._pages) > 2
    assert list(version) == sorted(path.decode() for path in tree)
    assert next(open_store().version("data:v0").entries("04999")).path == "04999"
    entries = open_store().version("data:v0").entries()
    assert [next(entries).path for _ in range(3000)][-1] == "02999"
    entries.close()
