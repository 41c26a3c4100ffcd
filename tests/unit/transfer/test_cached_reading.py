"""Whatever reads a store that is far away finds what was read before on this machine."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from memory_stores import PLAIN, DistantBackend, with_store

import cas
from cas.chunk_cache.segments import used_bytes
from cas.chunk_cache.upkeep import measure_cache, shrink_cache
from cas.filesystem import CasFileSystem
from cas.model.units import MIB
from cas.testing.corpora import random_content, text_content
from cas.testing.trees import read_tree, write_tree

TREE = {
    b"big": random_content(1, 4 << 20) + text_content(4, 2 << 20),
    b"sparse": b"\0" * (1 << 20) + random_content(2, 300_000) + b"\0" * (2 << 20),
    b"text": text_content(3, 900_000),
    b"tiny": b"tiny",
    b"none": b"",
}
BIG = TREE[b"big"]


@pytest.fixture
def backend(tmp_path):
    """A distant backend with a store that has one version."""
    backend = with_store(DistantBackend())
    with cas.Store.on(backend, options=cas.StoreOptions(journal=False)) as store:
        store.put(write_tree(tmp_path / "source", TREE), "data", PLAIN)
    return backend


@pytest.fixture
def open_store(backend, tmp_path):
    """A function that opens the store as another process would, with a cache all of them share."""

    def open_store(size: int | str = 64 * MIB, **options: bool) -> cas.Store:
        given = cas.StoreOptions(cache_dir=str(tmp_path / "cache"), cache_size=size, **options)
        return cas.Store.on(backend, options=given)

    return open_store


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where the cache is."""
    return tmp_path / "cache" / "data-1"


def read_all(store: cas.Store) -> None:
    """Read every file once, as a whole."""
    with store:
        version = store.version("data")
        for path in version:
            version.read(path)


def by_version(store, ranges):
    version = store.version("data")
    answers = []
    with version.open("big") as file:
        for start, stop in ranges:
            file.seek(start)
            answers.append(file.read(stop - start))
    return answers


def by_read(store, ranges):
    content = store.version("data").read("big")
    return [content[start:stop] for start, stop in ranges]


def by_open_file(store, ranges):
    answers = []
    with CasFileSystem.on(store).open("data/big") as file:
        for start, stop in ranges:
            file.seek(start)
            answers.append(file.read(stop - start))
    return answers


def by_cat_file(store, ranges):
    fs = CasFileSystem.on(store)
    return [fs.cat_file("data/big", start, stop) for start, stop in ranges]


def by_cat_ranges(store, ranges):
    starts, stops = zip(*ranges, strict=True)
    return CasFileSystem.on(store).cat_ranges(["data/big"] * len(ranges), starts, stops)


WAYS = [by_version, by_read, by_open_file, by_cat_file, by_cat_ranges]


@pytest.fixture(scope="module")
def ranges() -> list[tuple[int, int]]:
    """Ranges of a file: small ones, at its ends, over chunks, and all of it."""
    chosen = random.Random(1)
    some = [sorted(chosen.randrange(len(BIG)) for _ in range(2)) for _ in range(10)]
    small = [(at, at + 4096) for at in (chosen.randrange(len(BIG)) for _ in range(50))]
    return [*map(tuple, some), *small, (0, 1), (len(BIG) - 1, len(BIG)), (0, len(BIG))]


@pytest.mark.parametrize("read", WAYS)
def test_what_was_read_is_read_again_without_a_request(open_store, read, ranges):
    """By another process, in each of the ways; for data nobody is asked."""
    read_all(open_store())
    with open_store() as store:
        store.version("data").open("big").read(1)
        before = store.requests

        answers = read(store, ranges)

        asked = store.requests - before
        counts = store.cache_counts
    assert answers == [BIG[start:stop] for start, stop in ranges]
    # A version is resolved anew; what it says of itself may have changed.
    assert asked.received_bytes < 1000
    assert (counts.misses, counts.hits > 0, counts.hit_rate) == (0, True, 1.0)


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", [by_version, by_cat_ranges])
def test_each_way_of_reading_fills_for_the_others(open_store, first, second, ranges):
    """What one brought the other finds."""
    with open_store() as store:
        first(store, ranges)
    with open_store() as store:
        answers = second(store, ranges)
        misses = store.cache_counts.misses

    assert answers == [BIG[start:stop] for start, stop in ranges]
    assert misses == 0


def test_a_get_takes_what_is_here_and_leaves_no_more(open_store, folder, tmp_path):
    """Nothing is fetched that was read before; a get of much does not wash out what is hot."""
    with open_store() as store:
        store.version("data").read("big")
    entries = measure_cache(folder).entries
    with open_store() as store:
        first = store.get("data", tmp_path / "first")

    read_all(open_store())
    with open_store() as store:
        before = store.requests
        second = store.get("data", tmp_path / "second")
        asked = store.requests - before

    assert 0 < first.fetched_bytes < 1_500_000
    assert (second.fetched_bytes, asked.received_bytes < 1000) == (0, True)
    assert read_tree(tmp_path / "first") == read_tree(tmp_path / "second") == TREE
    assert entries < measure_cache(folder).entries


def test_a_get_alone_fills_nothing(open_store, folder, tmp_path):
    """It is on this machine then."""
    with open_store() as store:
        store.get("data", tmp_path / "out")

    assert measure_cache(folder).entries == 0


def test_a_get_to_a_url_takes_what_is_here(open_store):
    """Small files and large ones."""
    read_all(open_store())
    with open_store() as store:
        before = store.requests
        store.get("data", "memory://cached-get/out")
        asked = store.requests - before

    assert asked.received_bytes < 1000


def test_what_is_evicted_or_damaged_is_fetched(open_store, folder, tmp_path, ranges):
    """Half of the segments gone or wrong, every answer is right and comes from the store."""
    read_all(open_store())
    for number, path in enumerate(sorted(folder.glob("*.chunks"))):
        if number % 2:
            path.unlink()
        else:
            path.write_bytes(bytes(path.stat().st_size))
    for read in WAYS:
        with open_store() as store:
            assert read(store, ranges) == [BIG[start:stop] for start, stop in ranges]
    with open_store() as store:
        store.get("data", tmp_path / "out")

    assert read_tree(tmp_path / "out") == TREE


def test_a_get_fetches_what_goes_while_it_runs(open_store, folder, tmp_path, monkeypatch):
    """What seemed to be here when it was planned."""
    read_all(open_store())
    with open_store() as store:
        assert store.parts.chunks is not None
        monkeypatch.setattr(type(store.parts.chunks), "find", lambda *_: None)
        store.get("data", tmp_path / "out")

    assert read_tree(tmp_path / "out") == TREE


@pytest.mark.parametrize("size", [0, "0"])
def test_there_is_none_unless_asked_for(open_store, folder, size):
    """Nothing is written."""
    with open_store(size) as store:
        store.version("data").read("big")

        assert store.cache_counts is None
    assert not folder.exists()


def test_the_variable_asks_for_one(backend, tmp_path, monkeypatch):
    """For a store that is opened without a word about it, as `cas://` does."""
    monkeypatch.setenv("CAS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CAS_CACHE_SIZE", "20MB")
    with cas.Store.on(backend) as store:
        store.version("data").read("text")

    assert measure_cache(tmp_path / "cache" / "data-1").entries > 0


def test_a_local_store_is_not_cached_unless_asked(tmp_path):
    """It would be read from one disk to be written to the same."""
    write_tree(tmp_path / "source", TREE)
    with cas.Store.create(tmp_path / "store") as store:
        store.put(tmp_path / "source", "data", PLAIN)
    found = []
    for use_cache in (None, True, False):
        options = cas.StoreOptions(
            cache_dir=str(tmp_path / "cache"), cache_size="20MB", use_cache=use_cache
        )
        with cas.Store.open(tmp_path / "store", options=options) as store:
            read_all(store)
            found.append(store.cache_counts is not None)

    assert found == [False, True, False]
    assert measure_cache(tmp_path / "cache" / "data-1").entries > 0


def test_stores_share_what_they_have_in_common(open_store, tmp_path):
    """A chunk is a chunk, whichever store it came from."""
    other = with_store(DistantBackend())
    options = cas.StoreOptions(cache_dir=str(tmp_path / "cache"), cache_size="64MiB")
    with cas.Store.on(other, options=options) as store:
        store.put(tmp_path / "source", "data", PLAIN)
    read_all(open_store())

    with cas.Store.on(other, options=options) as store:
        read_all(store)

        assert store.cache_counts.misses == 0


def test_frames_are_not_kept_twice(open_store, tmp_path):
    """The cache of small objects leaves to this one what this one has."""
    read_all(open_store())

    assert used_bytes(tmp_path / "cache" / "data-1") > 5_000_000
    metadata = [path.stat().st_size for path in tmp_path.glob("cache/metadata-1/*/*/*")]
    assert sum(metadata) < 1_500_000


def test_a_version_pinned_to_its_digest_is_read_from_here(open_store):
    """The whole file is hashed all the same."""
    read_all(open_store())
    with open_store() as store:
        digest = store.version("data").digest.hex
        version = store.version(f"data:{digest}")
        version.read("tiny")
        before = store.requests

        assert version.read("big") == BIG
        assert (store.requests - before).requests == 0


def test_a_cleared_cache_is_filled_again(open_store, folder):
    """While a store that uses it is open."""
    with open_store() as store:
        version = store.version("data")
        version.read("big")
        shrink_cache(folder, 0)
        empty = measure_cache(folder).entries
        version.read("big")
        version.read("big")

        assert version.read("big") == BIG
    assert (empty, measure_cache(folder).entries > 0) == (0, True)


def test_what_is_here_is_read_though_the_store_is_out_of_reach(open_store, backend):
    """By whoever has the version already; what it means is not asked again."""
    read_all(open_store())
    with open_store() as store:
        version = store.version("data")
        version.read("text")
        for stored in list(backend.list_objects("blobs")):
            backend.delete(stored.key)

        assert {path: version.read(path.decode()) for path in TREE} == TREE


def test_many_ranges_of_a_chunk_read_it_once(open_store):
    """A table's footer and its columns, say; hashing it for each of them would take its time."""
    read_all(open_store())
    with open_store() as store:
        fs = CasFileSystem.on(store)
        starts = list(range(1000, 101_000, 100))
        found = fs.cat_ranges(["data/big"] * len(starts), starts, [at + 50 for at in starts])

        assert store.cache_counts.hits < 20
    assert found == [BIG[at : at + 50] for at in starts]
