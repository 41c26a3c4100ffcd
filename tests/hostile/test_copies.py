"""A source that lies: what its version's digest does not vouch for never reaches the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from memory_stores import PLAIN, memory_store, open_on

import cas
from cas.format.manifest import Page, encode_page
from cas.operations import store_tree
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

TREE = {b"a": random_content(1, 3000), b"b": random_content(2, 3000), b"c": b"inlined"}


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a version whose page is another than its digest was made of."""

    def make(forge: Callable[[Page], Page]) -> cas.Store:
        store = memory_store(jobs=1)
        with monkeypatch.context() as patch:
            patch.setattr(store_tree, "encode_page", lambda page: encode_page(forge(page)))
            store.put(write_tree(tmp_path / "source", TREE), "data", PLAIN)
        return open_on(store.parts.backend)

    return make


def renamed(page: Page) -> Page:
    """A path that the digest does not cover."""
    return replace(page, paths=[b"a", b"b", b"d"])


def other_bytes(page: Page) -> Page:
    """Inlined bytes that are not those of the file's hash."""
    return replace(page, inline=b"INLINED")


def exchanged(page: Page) -> Page:
    """Each of two files lies where the other does."""
    return replace(page, extent_first=page.extent_first[::-1].copy())


def too_few(page: Page) -> Page:
    """Entries are missing."""
    return replace(
        page,
        paths=page.paths[:2],
        kinds=page.kinds[:2],
        modes=page.modes[:2],
        sizes=page.sizes[:2],
        hashes=page.hashes[:2],
        inline=b"",
        inline_lengths=page.inline_lengths[:2],
        extent_counts=page.extent_counts[:2],
    )


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (renamed, r"^data:v0 does not hold what its digest says"),
        (too_few, r"^data:v0 does not hold what its digest says"),
        (other_bytes, r"^c: its page holds other bytes than its hash says"),
        (exchanged, r"^a: its page and blob \w+ disagree"),
    ],
)
def test_a_page_that_lies_is_found_before_anything_is_published(publish, forge, told):
    """By the digest, or by the hash of a file that can be told without reading all of it."""
    source, target = publish(forge), memory_store(jobs=1)

    with pytest.raises(cas.CorruptionError, match=told):
        source.copy("data", target)

    assert target.artifacts() == []
    assert list(target.parts.backend.list_objects("blobs")) == []
