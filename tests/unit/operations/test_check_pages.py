"""Pages of many versions are checked once each, and in bounded memory."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from scale.vast_store import Shape, VastBackend, make_vast_store

import cas
from cas.backend.memory import MemoryBackend
from cas.backend.open import open_backend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.manifest import root_page_location
from cas.model.ids import VersionDigest
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

# Far more pages than any reader keeps; most of them are in every version.
SHAPE = Shape(versions=6, pages=150, files=40, changed=20, fresh=2, dead=0)
REFS = [f"vast:v{number}" for number in range(SHAPE.versions)]
OPTIONS = cas.StoreOptions(journal=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a store of several versions that share most of their pages."""
    folder = tmp_path_factory.mktemp("many") / "store"
    make_vast_store(folder, SHAPE)
    return folder


def locations_of(store, ref):
    """Return where the pages of a version lie."""
    root = store.parts.pages.read_root(store.version(ref).record.root)
    return [root_page_location(root, row) for row in range(len(root.page_ids))]


def flip(path, at):
    """Flip a bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def backend(folder):
    return VastBackend(open_backend(str(folder)), SHAPE)


def test_each_distinct_page_is_read_once(backend):
    """However many versions share it, and though far more are there than are kept."""
    outcome = cas.Store.on(backend, options=OPTIONS).verify()

    assert outcome.problems == ()
    assert (outcome.versions, outcome.pages) == (SHAPE.versions, SHAPE.distinct_pages)
    assert backend.counts["get meta"] == SHAPE.distinct_pages + SHAPE.versions


def test_every_version_of_a_damaged_page_is_named(folder, backend, tmp_path):
    """It is read once for all of them, and none of them can be read as a whole."""
    store = cas.Store.on(backend, options=OPTIONS)
    location = locations_of(store, REFS[0])[0]
    holders = [ref for ref in REFS if location in locations_of(store, ref)]
    copied = tmp_path / "store"
    shutil.copytree(folder, copied)
    flip(copied / keys.meta_key(location.blob_id), location.offset + location.length - 1)

    damaged = cas.Store.on(VastBackend(open_backend(str(copied)), SHAPE), options=OPTIONS).verify()

    pages = [one for one in damaged.problems if one.kind == "page"]
    assert len(holders) > 1
    assert [one.versions for one in pages] == [(ref,) for ref in holders]


def test_every_version_of_other_data_than_its_digest_says_is_named(tmp_path, monkeypatch):
    """Its root and pages are whole, and none of them is what the digest vouches for."""
    few = replace(SHAPE, versions=3)
    monkeypatch.setattr("scale.vast_store._Writer._digest", lambda _: VersionDigest(bytes(32)))
    make_vast_store(tmp_path / "store", few)

    found = cas.Store.on(VastBackend(open_backend(str(tmp_path / "store")), few), options=OPTIONS)

    problems = found.verify().problems
    assert [(one.kind, one.versions) for one in problems] == [
        ("digest", (ref,)) for ref in REFS[: few.versions]
    ]


def test_each_copy_of_a_page_is_read(tmp_path):
    """A page that is whole elsewhere does not vouch for a copy that a version leads to."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    store = cas.Store.on(backend, options=OPTIONS)
    source = write_tree(tmp_path / "source", {b"a": random_content(1, 90_000)})
    store.put(source, "one", cas.PutOptions(message="first"))
    store.put(source, "other", cas.PutOptions(message="second"))
    first, second = locations_of(store, "one"), locations_of(store, "other")
    location = second[0]
    content = bytearray(backend.get(keys.meta_key(location.blob_id)))
    content[location.offset + location.length - 1] ^= 1
    backend.put(keys.meta_key(location.blob_id), [content])

    problems = store.verify().problems

    assert first[0].page_id == location.page_id
    assert first != second
    assert ("page", ("other:v0",)) in [(one.kind, one.versions) for one in problems]
