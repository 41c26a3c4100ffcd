"""Copies between stores: what arrives, what is sent for it, and what is not done twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format.blob import HEADER_BYTES
from cas.format.manifest import is_page_end
from cas.operations.init import init_store
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
PLAIN = cas.PutOptions(provenance=False)
SOME = {b"a.bin": random_content(1, 400_000), b"b.txt": text_content(2, 200_000), b"c": b"c"}
ALL = cas.CopyOptions(all_versions=True)


def memory_store(*, chunk_size: int = 64 << 10, **options) -> cas.Store:
    """Make a store in memory."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=chunk_size)
    return cas.Store.on(backend, options=cas.StoreOptions(journal=False, **options))


@pytest.fixture
def source() -> cas.Store:
    """The store that is copied from."""
    return memory_store()


@pytest.fixture
def target() -> cas.Store:
    """The store that is copied to."""
    return memory_store()


@pytest.fixture
def put(tmp_path):
    """Put a tree into a store as the next version of an artifact."""

    def put(store: cas.Store, tree, name: str = "data", options: cas.PutOptions = PLAIN):
        return store.put(write_tree(tmp_path / "tree", tree), name, options)

    return put


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


def test_copying_again_copies_nothing(source, target, put):
    """Neither the newest version, nor an older one, nor a whole history."""
    for number in range(3):
        put(source, SOME | {b"n": b"%d" % number})
    first = source.copy("data", target, ALL)
    before = target.requests

    again = [
        source.copy("data", target),
        source.copy("data:v0", target),
        source.copy(None, target),
        source.copy("data", target, ALL),
    ]

    assert [one.created for one in first.versions] == [True] * 3
    refs = [[(one.ref, one.created) for one in outcome.versions] for outcome in again]
    every = [(f"data:v{n}", False) for n in range(3)]
    assert refs == [[("data:v2", False)], [("data:v0", False)], every, every]
    assert (target.requests - before).sent_bytes == 0


def test_numbers_are_the_targets_and_the_order_is_kept(source, target, put):
    """What comes after a version that was missing is copied again, so that it still comes after."""
    put(target, {b"other": b"other"})
    put(target, {b"other": b"another"})
    for number in range(3):
        put(source, {b"n": b"%d" % number})
    source.copy(["data:v1"], target)

    outcome = source.copy(["data:v2", "data:v0", "data:v1"], target)

    pairs = [(one.source, one.ref, one.created) for one in outcome.versions]
    assert pairs == [
        ("data:v0", "data:v3", True),
        ("data:v1", "data:v4", True),
        ("data:v2", "data:v5", True),
    ]
    assert outcome.versions[1].new_bytes == 0


def test_going_back_to_old_data_is_a_version_of_its_own(source, target, put):
    """After v0, v1 and v0's data again, the newest version of both stores is that data."""
    for content in (b"one", b"two"):
        put(source, {b"n": content})
    source.copy("data", target, ALL)
    put(source, {b"n": b"one"})

    (copied,) = source.copy("data", target).versions

    assert (copied.ref, copied.created) == ("data:v2", True)
    assert target.version("data").read("n") == b"one"


def test_force_copies_what_is_there(source, target, put):
    """A new version, though its data is there."""
    put(source, SOME)
    source.copy("data", target)

    (copied,) = source.copy("data", target, cas.CopyOptions(force=True)).versions

    assert (copied.ref, copied.created, copied.new_bytes) == ("data:v1", True, 0)


def test_what_is_said_of_a_version_is_carried_over(source, target, put):
    """Type, description, message, metadata, inputs and producer."""
    put(source, {b"raw": b"raw"}, "raw")
    options = cas.PutOptions(
        type="model",
        description="what it is",
        message="why",
        metadata={"loss": 0.5, "tags": ["a", None]},
        inputs=("raw:v0",),
        command=("train", "--lr", "1"),
    )
    put(source, SOME, options=options)

    source.copy("data", target)

    here, there = source.version("data").record, target.version("data").record
    for name in ("type", "description", "message", "metadata", "inputs", "producer", "extra"):
        assert getattr(there, name) == getattr(here, name)
    assert there.inputs[0].store_id == source.store_id
    assert there.session != here.session


def test_a_description_that_is_not_carried_over_is_told(source, target, put):
    """The target has the same data under another description, and makes no version for it."""
    put(source, SOME, options=cas.PutOptions(provenance=False, description="one"))
    put(target, SOME, options=cas.PutOptions(provenance=False, description="other"))

    outcome = source.copy("data", target)

    assert [one.created for one in outcome.versions] == [False]
    (warning,) = outcome.warnings
    assert "another description" in warning


@pytest.mark.parametrize(
    ("mode", "expected", "kept"),
    [
        (cas.AliasMode.NEW, {"best": 1, "live": 0}, ("live",)),
        (cas.AliasMode.MOVE, {"best": 1, "live": 1}, ()),
        (cas.AliasMode.NONE, {"live": 0}, ()),
    ],
)
def test_aliases_are_set_but_not_taken_from_others(source, target, put, mode, expected, kept):
    """An alias that points elsewhere in the target moves only when that is asked for."""
    put(target, {b"old": b"old"}, options=cas.PutOptions(provenance=False, aliases=("live",)))
    put(source, SOME, options=cas.PutOptions(provenance=False, aliases=("best", "live")))

    outcome = source.copy("data", target, cas.CopyOptions(aliases=mode))

    assert target.aliases("data") == expected
    assert outcome.versions[0].kept_aliases == kept
    assert len(outcome.warnings) == len(kept)


def test_aliases_come_also_to_a_version_that_was_there(source, target, put):
    """Tagged after it was copied, and copied again."""
    put(source, SOME)
    source.copy("data", target)
    source.tag("data:v0", ["best"])

    (copied,) = source.copy("data", target).versions
    (again,) = source.copy("data", target).versions

    assert (copied.created, copied.aliases, again.aliases) == (False, ("best",), ())
    assert target.aliases("data") == {"best": 0}


def test_the_whole_store_is_copied(source, target, put):
    """Every artifact and version that is visible; the trash stays where it is."""
    put(source, SOME, "team/one")
    put(source, {b"n": b"1"}, "two")
    put(source, {b"n": b"2"}, "two")
    put(source, {b"n": b"3"}, "gone")
    source.delete("two:v0")
    source.delete("gone")

    outcome = source.copy(None, target)

    assert [one.ref for one in outcome.versions] == ["team/one:v0", "two:v0"]
    assert target.version("two").read("n") == b"2"
    assert [one.name for one in target.artifacts()] == ["team/one", "two"]


def test_an_artifact_is_copied_within_its_store_only_under_another_name(source, put):
    """Onto itself is refused; under another name it costs a manifest."""
    put(source, SOME)

    with pytest.raises(cas.InvalidInputError, match="onto itself") as refused:
        source.copy("data", source)
    (copied,) = source.copy("data", source, cas.CopyOptions(name="twin")).versions

    assert "--as" in (refused.value.hint or "")
    assert (copied.ref, copied.new_bytes) == ("twin:v0", 0)
    assert source.version("twin").read("a.bin") == SOME[b"a.bin"]


@pytest.mark.parametrize(
    ("refs", "options", "error"),
    [
        ("other", cas.CopyOptions(), cas.NotFoundError),
        ("data:v7", cas.CopyOptions(), cas.NotFoundError),
        ("other", ALL, cas.NotFoundError),
        ("data:v0/a.bin", cas.CopyOptions(), cas.InvalidInputError),
        ("data:v0", ALL, cas.InvalidInputError),
        (["data", "two"], cas.CopyOptions(name="new"), cas.InvalidInputError),
        ("data", cas.CopyOptions(name="no name"), cas.InvalidInputError),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    source, target, put, refs, options, error
):
    """Unknown names, paths, and options that contradict the references."""
    put(source, SOME)
    put(source, SOME, "two")
    before = target.requests

    with pytest.raises(error):
        source.copy(refs, target, options)

    assert (target.requests - before).put == 0
    assert target.artifacts() == []


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


def test_progress_reaches_its_totals(source, target, put):
    """Over several versions, the ones that are there included."""
    seen: list[cas.Progress] = []
    for number in range(2):
        put(source, SOME | {b"n": b"%d" % number * 500})
    source.copy("data:v0", target)

    source.copy("data", target, cas.CopyOptions(all_versions=True, progress=seen.append))

    last = seen[-1]
    assert {one.phase for one in seen} == {"copy"}
    assert (last.done_files, last.done_bytes) == (last.total_files, last.total_bytes)
    assert last.total_files == 8
    assert list(np.diff([one.done_bytes for one in seen]) >= 0) == [True] * (len(seen) - 1)


def test_a_copy_that_is_cancelled_publishes_nothing(source, target, put):
    """And the next one goes on."""
    put(source, SOME)
    cancel = cas.Cancel()
    cancel.set()

    with pytest.raises(cas.Cancelled):
        source.copy("data", target, cas.CopyOptions(cancel=cancel))

    assert target.artifacts() == []
    assert source.copy("data", target).versions[0].created


@pytest.mark.parametrize(
    ("files", "memory_bytes"), [(8, 3 * MIB), (1, MIB // 2)], ids=["files", "many small blobs"]
)
def test_a_copy_that_is_cancelled_halfway_goes_on_from_there(
    source, put, tmp_path, files, memory_bytes
):
    """What was sent until then is found by the journal and not sent again."""
    put(source, {b"%d.bin" % n: random_content(n, 8 * MIB // files) for n in range(files)})
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    cache_dir = str(tmp_path / "cache")
    options = cas.StoreOptions(jobs=2, memory_bytes=memory_bytes, cache_dir=cache_dir)
    target = cas.Store.on(backend, options=options)
    cancel = cas.Cancel()

    def stop(progress: cas.Progress) -> None:
        if progress.sent_bytes > 4 * MIB:
            cancel.set()

    with pytest.raises(cas.Cancelled):
        source.copy("data", target, cas.CopyOptions(progress=stop, cancel=cancel))
    before = target.artifacts()
    (copied,) = source.copy("data", target).versions

    assert before == []
    assert copied.resumed_bytes > 4 * MIB - 10_000
    assert copied.new_bytes + copied.resumed_bytes == 8 * MIB


def damaged(source: cas.Store, flip_at: int) -> cas.Store:
    """Return a copy of a store in which a bit of its largest blob is wrong."""
    backend = MemoryBackend()
    objects = list(source.parts.backend.list_objects(""))
    largest = max(
        (one for one in objects if one.key.startswith("blobs/")), key=lambda one: one.size
    )
    for one in objects:
        content = bytearray(source.parts.backend.get(one.key))
        if one.key == largest.key:
            content[flip_at] ^= 1
        backend.put(one.key, [bytes(content)])
    return cas.Store.on(backend, options=cas.StoreOptions(journal=False))


@pytest.mark.parametrize("flip_at", [200_000, -60], ids=["a chunk", "the table"])
def test_damage_in_the_source_is_named_and_nothing_is_published(source, target, put, flip_at):
    """The file and the blob are told, and the target has no version."""
    put(source, SOME)

    with pytest.raises(cas.CorruptionError, match=r"^a\.bin: .*blob"):
        damaged(source, flip_at).copy("data", target)

    assert target.artifacts() == []
    assert list(target.parts.backend.list_objects("sessions")) == []


def test_a_missing_blob_is_named(source, target, put):
    """As damage of the file that needs it."""
    put(source, SOME)
    (blob,) = source.parts.backend.list_objects("blobs")
    source.parts.backend.delete(blob.key)

    with pytest.raises(cas.CorruptionError, match=r"^a\.bin: .*missing"):
        source.copy("data", target)

    assert target.artifacts() == []
