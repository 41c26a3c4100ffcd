"""Ranges of many files by one plan: the right bytes, few reads, and failures kept apart."""

from __future__ import annotations

import random

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

from cas.errors import CorruptionError
from cas.model.names import Ref
from cas.operations.pinned import pin_version
from cas.operations.version_pages import file_content
from cas.testing.corpora import random_content, text_content
from cas.testing.trees import write_tree
from cas.transfer.plan import REMOTE_READS
from cas.transfer.ranges import RangeTools, WantedRange, read_ranges

TREE = {
    b"big": random_content(1, 6 << 20),
    b"sparse": b"\0" * (1 << 20) + random_content(2, 300_000) + b"\0" * (2 << 20),
    b"text": text_content(3, 900_000),
    b"tiny": b"tiny",
    b"none": b"",
}


@pytest.fixture
def backend(tmp_path):
    """A distant backend with a store that has one version."""
    backend = with_store(DistantBackend())
    open_on(backend).put(write_tree(tmp_path / "source", TREE), "data", PLAIN)
    return backend


@pytest.fixture
def store(backend):
    """That store, opened with nothing cached."""
    return open_on(backend)


def read(store, ranges, **tools):
    version = pin_version(store.parts, Ref.parse("data"))
    contents = {path: file_content(*version.pages.find(path)) for path in TREE}
    wanted = [WantedRange(contents[path], start, stop) for path, start, stop in ranges]
    given = {"threads": 4, "memory_bytes": 64 << 20} | tools
    return read_ranges(wanted, RangeTools(store.parts.tables, REMOTE_READS, **given))


@pytest.mark.parametrize("memory_bytes", [1, 64 << 20])
def test_ranges_of_any_kind_are_what_slices_would_be(store, memory_bytes):
    """Overlapping, empty, whole, across holes and chunks, in any order, with little memory too."""
    chosen = random.Random(5)
    ranges = [(path, 0, len(content)) for path, content in TREE.items()]
    for _ in range(200):
        path = chosen.choice(sorted(TREE))
        ends = sorted(chosen.randint(0, len(TREE[path])) for _ in range(2))
        ranges.append((path, *ends))

    answers = read(store, ranges, memory_bytes=memory_bytes)

    assert answers == [TREE[path][start:stop] for path, start, stop in ranges]


def test_what_lies_together_is_fetched_once(store):
    """A hundred small ranges of a stretch cost one read, and hardly more than that stretch."""
    read(store, [(b"big", 0, 1)])
    before = store.requests

    read(store, [(b"big", at, at + 900) for at in range(1 << 20, 2 << 20, 10_000)] * 2)

    # The version's record, since `read` resolves it anew, and the stretch.
    assert store.requests.get - before.get == 2
    assert store.requests.received_bytes - before.received_bytes < (1 << 20) + 2 * (300 << 10)


def test_a_blob_that_is_gone_fails_its_own_ranges_only(store, backend):
    """What lies elsewhere is read all the same."""
    for stored in list(backend.list_objects("blobs")):
        backend.delete(stored.key)

    answers = read(store, [(b"big", 0, 10), (b"tiny", 1, 3), (b"sparse", 10, 20)])

    assert isinstance(answers[0], CorruptionError)
    assert answers[1:] == [b"in", bytes(10)]
