"""What a version needs: its root, its pages, and the blobs that they speak of."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from collected import AT_ONCE, purge

import cas
from cas.backend.counting import RequestCounter
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.manifest import decode_page, encode_page, page_blob_ids, root_page_location
from cas.model.names import ArtifactName
from cas.objects.closure import ClosureReader, Unreadable
from cas.objects.page_notes import FOLDER
from cas.objects.versions import list_slots, read_slot
from cas.operations.collect_garbage import collect_garbage
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)


@pytest.fixture
def truth():
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    return backend


@pytest.fixture
def opened(truth, tmp_path):
    """Return a function that opens the store, through a backend if one is given."""

    def opened(backend=None, *, journal=True):
        options = cas.StoreOptions(jobs=2, journal=journal, cache_dir=str(tmp_path / "cache"))
        return cas.Store.on(backend or truth, options=options)

    return opened


@pytest.fixture
def version(opened, tmp_path):
    """Publish a version of two files, and return its record."""
    content = {b"a": random_content(1, 200_000), b"b/c": random_content(2, 3_000)}
    store = opened()
    store.put(write_tree(tmp_path / "source", content), str(NAME), PLAIN)
    return read_slot(store.parts.backend, NAME, 0)


def listed(truth, folder):
    return {keys.parse_blob_key(one.key).raw for one in truth.list_objects(folder)}


def members(ids):
    return {row.tobytes() for row in ids}


def noted(folder):
    """Return the ids of all pages that this machine has notes of."""
    (path,) = (folder / "cache" / FOLDER).glob("*.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        return {page_id for (page_id,) in connection.execute("SELECT page_id FROM pages")}


def write_odd_notes(folder):
    """Note something under what is no id of a page."""
    (path,) = (folder / "cache" / FOLDER).glob("*.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        rows = [(page_id, b"", b"") for page_id in ("text", 7, b"short")]
        connection.executemany("INSERT INTO pages VALUES (?,?,?)", rows)
        connection.commit()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_fresh_store_holds_exactly_the_closure_of_its_version(truth, opened, version, threads):
    """A first put stores nothing but what its version needs, and all of that."""
    parts = opened().parts

    with ClosureReader(parts, threads=threads) as reader:
        closure = reader.of_version(list_slots(truth, NAME), version)

    assert members(closure.data_ids) == listed(truth, keys.BLOBS)
    assert members(closure.meta_ids) == listed(truth, keys.META)
    assert closure.unreadable == ()


def test_a_page_alone_needs_its_blobs(opened, version):
    """Intents name pages one by one where the root is about to go."""
    parts = opened().parts
    page = root_page_location(parts.pages.read_root(version.root), 0)

    with ClosureReader(parts, threads=1) as reader:
        of_page, of_root = reader.of_locations([page]), reader.of_root(version.root)

    assert members(of_page.data_ids) == members(of_root.data_ids)
    assert members(of_page.meta_ids) == {page.blob_id.raw}


def test_a_page_is_read_once_and_then_known_on_this_machine(truth, opened, version):
    """The next run, in another process, asks for roots alone."""
    with ClosureReader(opened().parts, threads=1) as reader:
        first = reader.of_root(version.root)
    counter = RequestCounter(truth)

    with ClosureReader(opened(counter).parts, threads=1) as reader:
        before = counter.counts.get
        again = reader.of_root(version.root)

    assert counter.counts.get - before == 1
    assert (again.data_ids == first.data_ids).all()


def test_a_damaged_note_is_not_believed(opened, version, tmp_path):
    """A note whose bytes changed does not have its checksum: the page is read again."""
    with ClosureReader(opened().parts, threads=1) as reader:
        first = reader.of_root(version.root)
    (path,) = (tmp_path / "cache" / FOLDER).glob("*.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE pages SET ids = x''")
    connection.commit()
    connection.close()

    with ClosureReader(opened().parts, threads=1) as reader:
        assert (reader.of_root(version.root).data_ids == first.data_ids).all()


def test_notes_that_are_no_database_are_made_anew(opened, version, tmp_path):
    """The folder may hold anything; it costs time only."""
    with ClosureReader(opened().parts, threads=1) as reader:
        first = reader.of_root(version.root)
    for path in (tmp_path / "cache" / FOLDER).iterdir():
        path.write_bytes(b"no database" * 1000)

    with ClosureReader(opened().parts, threads=1) as reader:
        assert (reader.of_root(version.root).data_ids == first.data_ids).all()


def test_a_collection_removes_the_notes_of_pages_that_are_gone(opened, version, tmp_path):
    """Those of pages that are live stay, so that they are not read again."""
    store = opened()
    other = {b"a": random_content(3, 100_000)}
    store.put(write_tree(tmp_path / "other", other), str(NAME), PLAIN)
    with ClosureReader(store.parts, threads=1) as reader:
        reader.of_root(version.root)
    purge(store.parts.backend, 0)

    collect_garbage(store.parts, AT_ONCE)
    collect_garbage(store.parts, AT_ONCE)

    live = store.parts.pages.read_root(read_slot(store.parts.backend, NAME, 1).root)
    assert noted(tmp_path) == {row.tobytes() for row in live.page_ids}


def test_what_is_no_note_goes_with_the_others(opened, version, tmp_path):
    """SQLite holds values of any type under any column."""
    with ClosureReader(opened().parts, threads=1) as reader:
        reader.of_root(version.root)
        write_odd_notes(tmp_path)

        reader.forget_others()

    live = opened().parts.pages.read_root(version.root)
    assert noted(tmp_path) == {row.tobytes() for row in live.page_ids}


def test_what_is_missing_stops_or_is_a_leaf_as_asked(truth, opened, version):
    """A writer's root may not be stored yet; a version's must be."""
    truth.delete(keys.meta_key(version.root.blob_id))
    reader = ClosureReader(opened(journal=False).parts, threads=1)

    leaf = reader.of_root(version.root, unreadable=Unreadable.LEAF)
    with pytest.raises(cas.CorruptionError) as stopped:
        reader.of_root(version.root)
    reader.close()

    assert members(leaf.meta_ids) == {version.root.blob_id.raw}
    assert len(leaf.data_ids) == 0
    assert len(leaf.unreadable) == 1
    assert version.root.blob_id.hex in str(stopped.value)


def test_what_is_damaged_is_no_leaf_unless_that_is_asked_for(truth, opened, version):
    """A page that is there protects what is behind it, if only it could be read."""
    key = keys.meta_key(version.root.blob_id)
    content = bytearray(truth.get(key))
    content[version.root.offset + 60] ^= 1
    truth.put(key, [content])
    reader = ClosureReader(opened(journal=False).parts, threads=1)

    with pytest.raises(cas.CorruptionError):
        reader.of_root(version.root, unreadable=Unreadable.LEAF)
    ignored = reader.of_root(version.root, unreadable=Unreadable.IGNORE)
    reader.close()

    assert members(ignored.meta_ids) == {version.root.blob_id.raw}
    assert ignored.unreadable


def test_pages_are_told_one_by_one(truth, opened, version):
    """With the blobs of each; without those that are known, and damaged ones if that is asked for."""
    page = root_page_location(opened().parts.pages.read_root(version.root), 0)
    with ClosureReader(opened(journal=False).parts, threads=1) as reader:
        of_root = reader.of_root(version.root)
        root = reader.read_root(version.root)
        told = dict(reader.iter_pages(root))
        known = list(reader.iter_pages(root, told))
    content = bytearray(truth.get(keys.meta_key(page.blob_id)))
    content[page.offset + page.length - 1] ^= 1
    truth.put(keys.meta_key(page.blob_id), [content])

    with ClosureReader(opened(journal=False).parts, threads=1) as reader:
        with pytest.raises(cas.CorruptionError):
            list(reader.iter_pages(root))
        readable = list(reader.iter_pages(root, unreadable=Unreadable.IGNORE))

    assert list(told) == [page.page_id.raw]
    assert members(told[page.page_id.raw]) == members(of_root.data_ids)
    assert (known, readable) == ([], [])


def test_the_blobs_of_a_page_are_those_that_its_full_decoder_finds(opened, version):
    """The short way looks at less, and finds the same."""
    parts = opened().parts
    location = root_page_location(parts.pages.read_root(version.root), 0)
    content = parts.pages.read_content(location)

    found = page_blob_ids(content, location.page_id)

    assert (found == decode_page(content, location.page_id).blob_ids).all()


def test_a_page_with_entries_of_a_later_cas_is_refused(opened, version):
    """They may need blobs that this cas does not know of."""
    parts = opened().parts
    page = parts.pages.read_page(root_page_location(parts.pages.read_root(version.root), 0))
    content = bytearray(encode_page(page))
    at = content.index(b"kinds") + len(b"kinds") + 2

    assert bytes(content[at : at + len(page.kinds)]) == page.kinds.tobytes()
    content[at] = 9
    with pytest.raises(cas.UnsupportedError):
        page_blob_ids(bytes(content), None)
