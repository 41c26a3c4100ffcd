"""What lies right below a folder, and how little is read to know it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_stores import PLAIN, DistantBackend, open_on, with_store

from cas.model.names import Ref
from cas.operations.list_folder import is_folder, iter_children
from cas.operations.pinned import pin_version
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

TREE = {
    b"a/x": b"1",
    b"a-b": b"2",
    b"a.txt": b"3",
    b"a/y/z": b"4",
    b"b/": None,
    b"c0": b"5",
}


def pages_of(store):
    return pin_version(store.parts, Ref.parse("data")).pages


def children(pages, folder, depth=1):
    return [(child.path, child.is_folder) for child in iter_children(pages, folder, depth)]


@pytest.fixture
def backend():
    """A distant backend with an empty store."""
    return with_store(DistantBackend())


def test_children_of_each_folder_are_listed_once(backend, tmp_path):
    """Names that sort between a folder and what lies in it confuse nothing."""
    source = write_tree(tmp_path / "source", {p: c for p, c in TREE.items() if c is not None})
    (source / "b").mkdir()
    open_on(backend).put(source, "data", PLAIN)
    pages = pages_of(open_on(backend))

    assert children(pages, b"") == [
        (b"a-b", False),
        (b"a.txt", False),
        (b"a", True),
        (b"b", False),
        (b"c0", False),
    ]
    assert children(pages, b"a") == [(b"a/x", False), (b"a/y", True)]
    assert children(pages, b"", 2) == [
        (b"a-b", False),
        (b"a.txt", False),
        (b"a", True),
        (b"a/x", False),
        (b"a/y", True),
        (b"b", False),
        (b"c0", False),
    ]
    assert children(pages, b"", 9) == children(pages, b"", 3)
    assert (b"a/y/z", False) in children(pages, b"", 3)
    assert children(pages, b"a/x") == children(pages, b"b") == children(pages, b"no") == []
    assert [is_folder(pages, path) for path in (b"", b"a", b"a/y", b"a/x", b"no")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_what_lies_deep_is_not_read_to_list_the_top(backend, tmp_path):
    """Of a version of many pages only some are read."""
    tree = {b"%s/%05d" % (top, n): b"" for top in (b"p", b"q") for n in range(8000)}
    open_on(backend).put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    pages = pages_of(store := open_on(backend))
    assert len(pages) > 3
    before = store.requests.get

    found = children(pages, b"")

    assert found == [(b"p", True), (b"q", True)]
    assert store.requests.get - before < len(pages)
    assert len(children(pages, b"q")) == 8000


class TogetherBackend(DistantBackend):
    """Answers a read of a page only once another has been asked for."""

    def __init__(self):
        super().__init__()
        self.reads = None
        self.several = threading.Event()

    def get(self, key, start=0, stop=None):
        """Wait for the second one, if there is to be any."""
        if self.reads is not None:
            self.reads.append(key)
            if len(self.reads) > 1:
                self.several.set()
            assert self.several.wait(60)
        return super().get(key, start, stop)


def test_pages_of_one_huge_folder_are_read_side_by_side(tmp_path):
    """After the first one, which is all that many callers want; tiny files make pages big."""
    tree = {b"%06d" % n: random_content(n, 250) for n in range(10_000)}
    backend = with_store(TogetherBackend())
    open_on(backend).put(write_tree(tmp_path / "source", tree), "data", PLAIN)
    pages = pages_of(open_on(backend))
    listed = iter_children(pages, b"")
    assert next(listed).path == b"000000"
    backend.reads = []

    assert 1 + sum(1 for _ in listed) == len(tree)
    assert len(backend.reads) > 1


class CutPages:
    """Pages cut anywhere, which tell which of them were read."""

    def __init__(self, paths, cuts):
        starts = sorted({0, *(cut for cut in cuts if cut < len(paths))}) if paths else []
        stops = [*starts[1:], len(paths)]
        self.cut = [paths[a:b] for a, b in zip(starts, stops, strict=False)]
        first_paths = [page[0] for page in self.cut]
        self.root = SimpleNamespace(first_paths=first_paths, page_ids=first_paths)
        self.read = []

    def iter_numbered(self, numbers):
        for number in numbers:
            self.read.append(number)
            yield SimpleNamespace(paths=self.cut[number])


def naive_children(paths, folder, depth):
    prefix = folder + b"/" if folder else b""
    found = {}
    for path in paths:
        if path.startswith(prefix):
            parts = path[len(prefix) :].split(b"/")
            for count in range(1, min(depth, len(parts) - 1) + 1):
                found[prefix + b"/".join(parts[:count])] = True
            if len(parts) <= depth:
                found[path] = False
    return list(found.items())


PARTS = st.lists(st.sampled_from([b"a", b"a-", b"a0", b"b"]), min_size=1, max_size=4)


@given(
    files=st.sets(PARTS.map(b"/".join)),
    cuts=st.sets(st.integers(1, 20)),
    folder=st.sampled_from([b"", b"a", b"a-", b"b", b"a/a", b"a/b/a0"]),
    depth=st.integers(1, 4),
)
def test_children_are_those_of_a_naive_listing_wherever_pages_are_cut(files, cuts, folder, depth):
    """No path is both a file and a folder; a page is read only if it may hold one of them."""
    paths = sorted(p for p in files if not any(other.startswith(p + b"/") for other in files))
    pages = CutPages(paths, cuts)

    found = [(child.path, child.is_folder) for child in iter_children(pages, folder, depth)]

    assert found == naive_children(paths, folder, depth)
    assert pages.read == sorted(set(pages.read))
