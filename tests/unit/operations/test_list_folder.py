"""What lies right below a folder, and how little is read to know it."""

from __future__ import annotations

import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store

from cas.model.names import Ref
from cas.operations.list_folder import is_folder, iter_children
from cas.operations.pinned import pin_version
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


def children(pages, folder):
    return [(child.path, child.is_folder) for child in iter_children(pages, folder)]


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
