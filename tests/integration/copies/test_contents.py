"""What arrives with a copy between stores, and what is sent for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_stores import PLAIN, SOME, memory_store

import cas
from cas.format.blob import HEADER_BYTES
from cas.format.manifest import is_page_end
from cas.testing.corpora import (
    dataset,
    edited_content,
    random_content,
    small_files,
    sparse_content,
    text_content,
)
from cas.testing.trees import read_tree, write_tree

MIB = 1 << 20
ALL = cas.CopyOptions(all_versions=True)


def got(store: cas.Store, ref: str, folder: Path) -> dict[bytes, bytes]:
    """Get a version and return its regular files."""
    store.get(ref, folder)
    return read_tree(folder)


@pytest.mark.parametrize("sizes", [(64, 64), (64, 8), (8, 256)], ids=str)
def test_a_copy_is_the_same_version_whatever_the_chunks_of_either_store(tmp_path, sizes):
    """Every kind of file, link and folder arrives, under the same digest."""
    write_tree(tmp_path / "tree", dataset())
    (tmp_path / "tree" / "link").symlink_to("README.md")
    (tmp_path / "tree" / "folder").mkdir()
    (tmp_path / "tree" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "run").chmod(0o755)
    source, target = (memory_store(chunk_size=size << 10) for size in sizes)
    put = source.put(tmp_path / "tree", "data", PLAIN)

    (copied,) = source.copy("data", target).versions

    assert (copied.source, copied.ref, copied.created) == ("data:v0", "data:v0", True)
    assert (copied.digest, copied.totals) == (put.digest, put.totals)
    assert copied.new_bytes == put.new_bytes
    here, there = source.version("data"), target.version(f"data:{put.digest.hex}")
    assert list(there.entries()) == list(here.entries())
    assert got(target, f"data@{put.digest.hex}", tmp_path / "out") == dataset() | {
        b"run": b"#!/bin/sh\n"
    }
    assert (tmp_path / "out" / "link").readlink() == Path("README.md")
    assert (tmp_path / "out" / "folder").is_dir()


def test_a_copy_of_nothing_is_a_version_too(source, target, put):
    """An empty version has neither pages nor blobs."""
    put(source, {}, options=cas.PutOptions(provenance=False, force=True))

    (copied,) = source.copy("data", target).versions

    assert copied.created
    assert target.version("data").totals.entries == 0


@pytest.mark.parametrize("memory_bytes", [None, 2 * MIB])
def test_large_and_scattered_files_arrive_whole_in_little_memory(
    source, put, tmp_path, memory_bytes
):
    """Files over several batches, holes, copies of each other, and a history that is scattered."""
    target = memory_store(memory_bytes=memory_bytes, jobs=2)
    big = random_content(3, 9 * MIB + 123)
    tree = {
        b"big": big,
        b"big too": edited_content(big, 5, edits=40),
        b"holes": sparse_content(4, 6 * MIB, islands=20),
        b"text": text_content(5, 3 * MIB),
        b"zeros": bytes(5 * MIB),
    } | small_files(6, 300)
    put(source, {b"big": big})
    put(source, tree | {b"text": text_content(5, MIB)})
    put(source, tree)

    outcome = source.copy("data", target, ALL)

    assert [one.ref for one in outcome.versions] == ["data:v0", "data:v1", "data:v2"]
    assert got(target, "data:v2", tmp_path / "out") == tree


def test_only_chunks_that_the_target_lacks_are_read_and_sent(source, target, put):
    """Requests counted on both sides: the changed part and the manifest, no more."""
    tree = {b"%d.bin" % n: random_content(n, MIB) for n in range(4)}
    put(source, tree)
    source.copy("data", target)
    put(source, tree | {b"2.bin": random_content(9, MIB)})
    before, sent_before = source.requests, target.requests

    outcome = source.copy("data", target)

    assert outcome.new_bytes == MIB
    sent = (target.requests - sent_before).sent_bytes
    assert MIB < sent < MIB + 20_000
    assert outcome.sent_bytes <= sent
    received = (source.requests - before).received_bytes
    assert MIB < received < MIB + 50_000


def test_what_another_artifact_or_put_brought_is_not_sent(source, target, put):
    """Chunks are looked up in the whole target, by its index."""
    put(source, SOME)
    put(target, SOME | {b"other": b"other" * 1000}, "elsewhere")
    before = target.requests

    (copied,) = source.copy("data", target).versions

    assert copied.new_bytes == 0
    assert copied.created
    assert (target.requests - before).sent_bytes < 10_000


def test_unchanged_pages_are_shared(source, target, put, tmp_path):
    """A second version of many files writes only the page that changed."""
    last_of_page = next(name for n in range(99_999) if is_page_end(name := b"b%05d" % n, 1024))
    names = [*(b"a%04d" % n for n in range(1030)), last_of_page, *(b"c%02d" % n for n in range(50))]
    tree = {name: name * 20 for name in names}
    put(source, tree)
    source.copy("data", target)
    changed = tree | {b"c03": b"changed"}
    put(source, changed)
    before = target.requests

    source.copy("data", target)

    roots = [target.parts.pages.read_root(target.version(f"data:v{n}").record.root) for n in (0, 1)]
    first, second = ({page.tobytes() for page in root.page_ids} for root in roots)
    assert len(first) == 2
    assert len(second - first) == 1
    assert (target.requests - before).sent_bytes < 8_000
    assert got(target, "data:v1", tmp_path / "out") == changed


def test_frames_go_as_they_are(source, target, put):
    """What is missing as a whole is stored in the very frames of the source."""
    put(source, {b"a.txt": text_content(1, 3 * MIB), b"z.bin": random_content(2, MIB)})

    source.copy("data", target)

    def frames(store):
        (blob,) = store.parts.backend.list_objects("blobs")
        # Without the header, which has a nonce, and the last frames, which are shorter.
        return store.parts.backend.get(blob.key)[HEADER_BYTES:MIB]

    assert frames(source) == frames(target)


def test_a_plan_tells_exactly_what_is_new_and_reads_no_data(source, target, put):
    """New bytes to the byte, of versions that share chunks among themselves and with the target."""
    for number in range(3):
        put(source, SOME | {b"n": random_content(number, 100_000)})
    source.copy("data:v0", target)
    put(source, {b"x": random_content(8, 50_000), b"copy": SOME[b"a.bin"]}, "other")
    before, sent_before = source.requests, target.requests

    plan = source.plan_copy(None, target)
    read = (source.requests - before).received_bytes
    sent = target.requests - sent_before
    outcome = source.copy(None, target)

    def facts(versions):
        return [(one.source, one.ref, one.created, one.new_bytes) for one in versions]

    assert facts(plan.versions) == facts(outcome.versions)
    assert (sent.put, sent.create, sent.delete) == (0, 0, 0)
    assert read < 60_000 < plan.new_bytes
    assert abs(plan.stored_bytes - outcome.stored_bytes) < outcome.stored_bytes // 20


def test_folders_and_memory_mix(tmp_path, put):
    """From a folder to memory and back into another folder."""
    middle = memory_store()
    with cas.Store.create(tmp_path / "a") as first, cas.Store.create(tmp_path / "b") as last:
        digest = put(first, dataset()).digest

        first.copy("data", middle)
        middle.copy("data", last)

        assert last.version("data").digest == digest
        assert got(last, "data", tmp_path / "out") == dataset()
