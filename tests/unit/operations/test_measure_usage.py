"""What versions take, compared with a plain count of every chunk and blob."""

from __future__ import annotations

import numpy as np
import pytest

import cas
from cas.backend.counting import RequestCounter
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.blob import CHUNK_BYTES
from cas.model.ids import BlobId
from cas.objects.blob_list import BlobRef
from cas.operations.init import init_store
from cas.operations.measure_usage import Bytes
from cas.operations.space import ListedBlobs
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree


@pytest.fixture
def store(tmp_path):
    """Versions that share files, blobs and pages in several ways; one in the trash, one purged."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=1 << 14)
    store = cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))
    shared, big = random_content(1, 200_000), random_content(2, 300_000)
    trees = [
        ("a", {b"shared": shared, b"own": random_content(3, 100_000)}),
        ("a", {b"shared": shared, b"big": big}),
        ("a", {b"shared": shared + b"tail", b"big": big}),
        ("b", {b"big": big, b"zeros": bytes(1_000_000), b"tiny": b"tiny"}),
        ("c", {b"lonely": random_content(4, 150_000)}),
        ("gone", {b"gone": random_content(5, 50_000)}),
        ("empty", {b"folder/": b""}),
    ]
    for number, (name, tree) in enumerate(trees):
        tree = {path: content for path, content in tree.items() if not path.endswith(b"/")}
        options = cas.PutOptions(provenance=False, force=True)
        store.put(write_tree(tmp_path / str(number), tree), name, options)
    store.delete("c")
    store.delete("gone", now=True)
    return store


def chunks_and_blobs(store, ref):
    """Return every chunk that a version needs, with raw and stored bytes, and every blob's key."""
    version = store.version(ref)
    root = version._pages.root
    blobs = {f"meta/{row.tobytes().hex()}" for row in root.blob_ids}
    blobs.add(f"meta/{version.record.root.blob_id.hex}")
    chunks = {}
    for page in version._pages.iter_pages():
        refs = list(zip(page.blob_ids, page.blob_sizes, page.table_offsets, strict=True))
        blobs |= {f"blobs/{row.tobytes().hex()}" for row, _, _ in refs}
        for at, first, count in zip(
            page.extent_blobs.tolist(),
            page.extent_first.tolist(),
            page.extent_chunks.tolist(),
            strict=True,
        ):
            if at >= len(refs):
                continue
            raw_id, size, offset = refs[at]
            table = store.parts.tables.read(
                BlobRef(blob_id=raw_id.tobytes(), size=int(size), table_offset=int(offset), stamp=0)
            )
            for row in range(first, first + count):
                frame = table.chunk_frames[row]
                share = table.frame_stored[frame] / table.frame_raw[frame]
                raw = int(table.chunk_lengths[row])
                chunks[raw_id.tobytes().hex(), row] = (raw, raw * share + CHUNK_BYTES)
    return chunks, blobs


def expected(mine, others, sizes):
    """Count plainly: what these versions take, and what no other needs."""
    chunks = {key: value for one, _ in mine for key, value in one.items()}
    blobs = set().union(*(one for _, one in mine))
    other_chunks = {key for one, _ in others for key in one}
    other_blobs = set().union(*(one for _, one in others)) if others else set()
    alone = {key: value for key, value in chunks.items() if key not in other_chunks}
    return {
        "unique_bytes": sum(raw for raw, _ in chunks.values()),
        "stored_bytes": sum(stored for _, stored in chunks.values()),
        "exclusive_bytes": sum(stored for _, stored in alone.values()),
        "shared_bytes": sum(s for key, (_, s) in chunks.items() if key in other_chunks),
        "freed_bytes": sum(sizes[blob] for blob in blobs - other_blobs),
        "repack_bytes": sum(
            stored for (blob, _), (_, stored) in alone.items() if f"blobs/{blob}" in other_blobs
        ),
    }


def check(usage: Bytes, wanted):
    assert {name: getattr(usage, name) for name in wanted} == pytest.approx(wanted, abs=2)


def test_every_measure_is_what_a_plain_count_says(store):
    """Of each version, of each artifact, of all together, and of a version that is asked for."""
    backend = store.parts.backend
    sizes = {
        f"{folder}/{one.key.rpartition('/')[2]}": one.size
        for folder in ("blobs", "meta")
        for one in backend.list_objects(folder)
    }
    store.restore("c")
    refs = ["a:v0", "a:v1", "a:v2", "b:v0", "c:v0", "empty:v0"]
    needs = {ref: chunks_and_blobs(store, ref) for ref in refs}
    store.delete("c")

    def split(chosen):
        return [needs[r] for r in chosen], [needs[r] for r in refs if r not in chosen]

    usage = store.usage()
    assert [f"{one.artifact}:v{one.number}" for one in usage.versions] == refs
    assert [one.artifact for one in usage.versions if one.state == "trashed"] == ["c"]
    for one in usage.versions:
        check(one, expected(*split([f"{one.artifact}:v{one.number}"]), sizes))
    for one in usage.artifacts:
        check(one, expected(*split([r for r in refs if r.startswith(f"{one.artifact}:")]), sizes))
    check(usage, expected(*split(refs), sizes))
    check(store.usage("a:v1"), expected(*split(["a:v1"]), sizes))
    check(store.usage("a"), expected(*split(["a:v0", "a:v1", "a:v2"]), sizes))
    needed = set().union(*(blobs for _, blobs in needs.values()))
    assert usage.unneeded_bytes == sum(size for key, size in sizes.items() if key not in needed)
    assert usage.store_bytes == sum(sizes.values())
    assert any(one.repack_bytes for one in usage.versions)


def test_a_page_that_versions_share_is_read_once(store, tmp_path):
    """However many versions there are, the work is that of distinct pages."""
    for _ in range(5):
        source = write_tree(tmp_path / "same", {b"x": b"x" * 1000})
        store.put(source, "same", cas.PutOptions(provenance=False, force=True))
    reads = []
    pages = store.parts.pages
    original = type(pages).read_page

    class Counting(type(pages)):
        def read_page(self, location):
            reads.append(location.page_id)
            return original(self, location)

    pages.__class__ = Counting
    store.usage()

    assert len(reads) == len(set(reads))


def test_whole_blobs_are_measured_without_reading_any(store):
    """What is freed is as in the full measure, of versions, artifacts and all; no table is read."""
    full = store.usage()
    sizes = {
        f"{folder}/{one.key.rpartition('/')[2]}": one.size
        for folder in ("blobs", "meta")
        for one in store.parts.backend.list_objects(folder)
    }
    needed = {ref: chunks_and_blobs(store, ref)[1] for ref in ("a:v0", "a:v1", "a:v2")}
    store.parts.tables.read = None

    usage = store.usage_by_blobs()

    for mine, other in (
        (usage, full),
        *zip(usage.versions, full.versions, strict=True),
        *zip(usage.artifacts, full.artifacts, strict=True),
    ):
        assert (mine.logical_bytes, mine.freed_bytes) == (other.logical_bytes, other.freed_bytes)
        assert mine.blob_bytes == mine.shared_bytes + mine.freed_bytes
    for one in usage.versions[:3]:
        assert one.blob_bytes == sum(sizes[blob] for blob in needed[f"a:v{one.number}"])
    assert usage.artifacts[0].blob_bytes == sum(sizes[b] for b in set().union(*needed.values()))
    assert (usage.store_bytes, usage.unneeded_bytes) == (full.store_bytes, full.unneeded_bytes)
    asked = store.usage_by_blobs("a:v1")
    assert [one.number for one in asked.versions] == [1]
    assert asked.freed_bytes == usage.versions[1].freed_bytes


def test_a_pruning_says_what_would_be_freed(store):
    """As `du` says of the versions that go; nothing where nothing goes."""
    rules = cas.KeepRules(last=0, every_alias=False)

    assert store.plan_prune("b", rules).freed_bytes == store.usage("b").freed_bytes > 0
    assert store.plan_prune("a", rules).freed_bytes == store.usage("a").freed_bytes > 0
    assert store.plan_prune("b", cas.KeepRules(last=1)).freed_bytes == 0


def test_blobs_whose_ids_begin_alike_are_told_apart(store):
    """Nobody meets such ids by chance, but anybody can name an object so."""
    ids = np.zeros((5, 32), np.uint8)
    ids[:, 31] = range(5)
    for row in ids[[0, 2, 4]]:
        store.parts.backend.put(keys.blob_key(BlobId(row.tobytes())), [b"x" * (1 + row[31])])
    listed = ListedBlobs(store.parts)

    rows = listed.rows_of(ids)

    assert (rows >= 0).tolist() == [True, False, True, False, True]
    assert listed.sizes[rows[[0, 2, 4]]].tolist() == [1, 3, 5]


def test_pages_that_versions_share_are_read_once_on_a_machine(store, tmp_path):
    """By whoever measures by whole blobs; the next time only roots are read."""
    truth = store.parts.backend
    versions = 6  # that are not purged

    def reads(act):
        counter = RequestCounter(truth)
        options = cas.StoreOptions(jobs=2, cache_dir=str(tmp_path / "cache"))
        opened = cas.Store.on(counter, options=options)
        seen = []
        original = counter.get
        counter.get = lambda key, *rest: (seen.append(key), original(key, *rest))[1]
        act(opened)
        return sum(key.startswith("meta/") for key in seen)

    first = reads(lambda opened: opened.usage_by_blobs())
    assert first > versions
    assert reads(lambda opened: opened.usage_by_blobs()) == versions
    assert reads(lambda opened: opened.plan_prune("b", cas.KeepRules(last=0))) == versions
