"""A get takes what it can from local files: those it replaces, seeds, and what an interrupted one left."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import replace

import fsspec
import pytest

import cas
from cas.backend.base import Capabilities
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.operations.init import init_store
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree
from cas.transfer.locks import lock_shared
from cas.transfer.stamp import FileStamp

PLAIN = cas.PutOptions(provenance=False)
OVERWRITE = cas.GetOptions(overwrite=True)
OLD = random_content(1, 3 << 20)
NEW = OLD[: 1 << 20] + b"inserted" + OLD[1 << 20 :]
# What a change of a few bytes costs: the chunks it touches, and the neighbours in their frames.
FEW_BYTES = 800_000


class Distant(MemoryBackend):
    """A store that is not on this machine, which may become unreachable."""

    capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=False)

    def __init__(self):
        super().__init__("distant")
        self.blob_reads = 0
        self.fails_after = None
        self.failure = cas.BackendError("the line is dead")

    def get(self, key, start=0, stop=None):
        if key.startswith("blobs/"):
            self.blob_reads += 1
            if self.fails_after is not None and self.blob_reads > self.fails_after:
                raise self.failure
        return super().get(key, start, stop)


@pytest.fixture
def backend():
    """A distant backend with an empty store."""
    backend = Distant()
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    return backend


@pytest.fixture
def store(backend):
    """The store on it."""
    return cas.Store.on(backend, options=cas.StoreOptions(jobs=2, journal=False))


@pytest.fixture
def target(tmp_path):
    """Where versions are written to."""
    return tmp_path / "target"


@pytest.fixture
def put(store, tmp_path):
    """A function that puts a tree as the next version of `data`."""
    return lambda tree: store.put(write_tree(tmp_path / "source", tree), "data", PLAIN)


def temporaries(folder):
    return list(folder.rglob(".cas-get-*"))


# -- files that are replaced


def test_a_replaced_file_gives_the_chunks_that_it_has(store, put, target):
    """Only what differs is fetched; the rest is copied, and the file is right."""
    put({b"big": OLD, b"same": b"s" * 5000})
    put({b"big": NEW, b"same": b"s" * 5000})
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, OVERWRITE)

    assert read_tree(target) == {b"big": NEW, b"same": b"s" * 5000}
    assert outcome.fetched_bytes < FEW_BYTES
    assert len(NEW) - FEW_BYTES < outcome.copied_bytes < len(NEW)
    assert (outcome.written_bytes, outcome.unchanged_files) == (len(NEW), 1)


def test_a_file_that_only_grew_or_shrank_is_not_fetched_again(store, put, target):
    """A log with more lines costs its new lines; a file cut short costs its last chunk."""
    put({b"log": OLD})
    put({b"log": OLD + b"more\n"})
    store.get("data:v0", target)

    grown = store.get("data:v1", target, OVERWRITE)
    shrunk = store.get("data:v0", target, OVERWRITE)

    assert grown.fetched_bytes < FEW_BYTES
    assert shrunk.fetched_bytes < FEW_BYTES
    assert read_tree(target) == {b"log": OLD}


def test_without_overwrite_files_that_differ_are_refused_as_ever(store, put, target, tmp_path):
    """Seeds or not, nothing is written."""
    put({b"big": OLD, b"new": b"n" * 5000})
    write_tree(target, {b"big": NEW})
    options = cas.GetOptions(seeds=(str(target),))

    with pytest.raises(cas.AlreadyExistsError):
        store.get("data", target, options)

    assert read_tree(target) == {b"big": NEW}


def test_out_of_a_store_on_this_machine_replaced_files_are_fetched(backend, put, target):
    """Fetching takes half the time of cutting there."""
    put({b"big": OLD})
    put({b"big": NEW})
    near = MemoryBackend()
    for one in backend.list_objects(""):
        near.put(one.key, [backend.get(one.key)])
    store = cas.Store.on(near, options=cas.StoreOptions(journal=False))
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, OVERWRITE)

    assert outcome.copied_bytes == 0
    assert read_tree(target) == {b"big": NEW}


def test_other_names_of_a_replaced_file_keep_its_content(store, put, target, tmp_path):
    """A hard link elsewhere, and what a link points to, are not the target's to change."""
    put({b"big": OLD, b"link": OLD[: 1 << 20]})
    put({b"big": NEW, b"link": NEW[: 2 << 20]})
    store.get("data:v0", target)
    (tmp_path / "twin").hardlink_to(target / "big")
    (target / "link").rename(tmp_path / "pointed")
    (target / "link").symlink_to(tmp_path / "pointed")

    store.get("data:v1", target, OVERWRITE)

    assert (tmp_path / "twin").read_bytes() == OLD
    assert (tmp_path / "pointed").read_bytes() == OLD[: 1 << 20]
    assert not (target / "link").is_symlink()
    assert read_tree(target) == {b"big": NEW, b"link": NEW[: 2 << 20]}


# -- seeds


def test_a_seed_helps_whatever_its_files_are_called(store, put, target, tmp_path):
    """A new folder is filled from a copy of another version under other names."""
    put({b"a/big": NEW, b"b/text": b"word " * 5000})
    seed = write_tree(tmp_path / "seed", {b"other": OLD, b"deep/er": b"word " * 5000})

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert read_tree(target) == {b"a/big": NEW, b"b/text": b"word " * 5000}
    assert outcome.fetched_bytes < FEW_BYTES


def test_several_seeds_may_be_files(store, put, target, tmp_path):
    """Each gives what it has."""
    put({b"one": OLD, b"two": OLD[::-1]})
    write_tree(tmp_path, {b"x": OLD, b"y": OLD[::-1]})
    seeds = (str(tmp_path / "x"), str(tmp_path / "y"))

    outcome = store.get("data", target, cas.GetOptions(seeds=seeds))

    assert (outcome.fetched_bytes, outcome.copied_bytes) == (0, 2 * len(OLD))
    assert read_tree(target) == {b"one": OLD, b"two": OLD[::-1]}


def test_the_target_may_be_its_own_seed(store, put, target):
    """A file that was renamed is found under its old name."""
    put({b"old-name": OLD})
    put({b"new-name": OLD})
    store.get("data:v0", target)

    outcome = store.get("data:v1", target, cas.GetOptions(seeds=(str(target),)))

    assert outcome.fetched_bytes == 0
    assert (target / "new-name").read_bytes() == OLD


def test_seeds_are_not_read_when_nothing_is_missing(store, put, target, tmp_path, monkeypatch):
    """A second get with the same seed looks at the target only."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    options = cas.GetOptions(seeds=(str(seed),))
    store.get("data", target, options)

    def cut(*_):
        raise AssertionError("a seed was cut")

    monkeypatch.setattr("cas.operations.get.cut_seeds", cut)
    assert store.get("data", target, options).unchanged_files == 1


def test_a_seed_that_does_not_exist_is_an_error(store, put, target, tmp_path):
    """A misspelt path must not silently cost a whole download; nothing is written."""
    put({b"big": OLD})

    with pytest.raises(cas.NotFoundError):
        store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "nowhere"),)))

    assert not target.exists()


def test_a_pipe_is_no_seed(store, put, target, tmp_path):
    """It is refused rather than waited for."""
    put({b"big": OLD})
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(cas.InvalidInputError):
        store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "pipe"),)))


def test_links_and_pipes_in_a_seed_are_passed_over(store, put, target, tmp_path):
    """A seed's links are not followed, except for the seed itself."""
    put({b"big": OLD, b"other": OLD[::-1]})
    write_tree(tmp_path, {b"outside": OLD, b"folder/good": OLD[::-1]})
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "folder" / "pipe")
    (tmp_path / "seed").symlink_to(tmp_path / "folder")

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(tmp_path / "seed"),)))

    assert outcome.copied_bytes == len(OLD)
    assert read_tree(target) == {b"big": OLD, b"other": OLD[::-1]}


@pytest.mark.parametrize("is_noticed", [True, False], ids=["by its times", "only by its bytes"])
def test_a_seed_that_changes_after_it_was_cut_is_found_out(
    store, put, target, tmp_path, monkeypatch, is_noticed
):
    """Bytes are hashed where they arrived; what is wrong is fetched, and nothing is passed on."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    from cas.operations import get as module

    cut = module.cut_seeds

    def cut_and_change(*given):
        index = cut(*given)
        with (seed / "big").open("r+b") as file:
            file.seek(1 << 20)
            file.write(b"changed meanwhile")
        return index

    monkeypatch.setattr(module, "cut_seeds", cut_and_change)
    if not is_noticed:
        monkeypatch.setattr(FileStamp, "fits", lambda *_: True)

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert read_tree(target) == {b"big": OLD}
    assert temporaries(target) == []
    assert outcome.fetched_bytes > 0
    assert (outcome.fetched_bytes < FEW_BYTES) is not is_noticed


def test_copies_need_nothing_of_the_kernel(store, put, target, tmp_path, monkeypatch):
    """Where files cannot be copied inside the kernel they are read and written."""
    put({b"big": OLD})
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    monkeypatch.delattr("os.copy_file_range", raising=False)

    outcome = store.get("data", target, cas.GetOptions(seeds=(str(seed),)))

    assert (outcome.fetched_bytes, read_tree(target)) == (0, {b"big": OLD})


# -- what an interrupted get left


def interrupt(store, backend, target, options=None, *, after=6):
    """Let a get fail when some reads of blobs were answered."""
    backend.blob_reads, backend.fails_after = 0, after
    try:
        with pytest.raises(type(backend.failure)):
            store.get("data", target, options)
    finally:
        backend.fails_after = None


@pytest.fixture
def begun(store, backend, put, target):
    """A big file of five reads of which a part was fetched before the line went dead."""
    content = random_content(5, 36 << 20)
    put({b"folder/big": content})
    small = cas.Store.on(backend, options=cas.StoreOptions(jobs=1, journal=False, memory_bytes=1))
    interrupt(small, backend, target, after=4)
    return content


def test_an_interrupted_get_goes_on_where_it_was(store, begun, target):
    """Chunks in the temporary file are not fetched again, and it is gone in the end."""
    (left,) = temporaries(target)
    held = left.stat().st_blocks * 512

    outcome = store.get("data", target)

    assert read_tree(target) == {b"folder/big": begun}
    assert outcome.resumed_bytes > 0.9 * held > 0
    assert outcome.fetched_bytes + outcome.resumed_bytes < 1.1 * len(begun)


def test_a_file_of_a_living_get_is_left_alone(store, begun, target):
    """Its maker shares the lock of the folder, and will rename it."""
    (left,) = temporaries(target)
    descriptor = os.open(left.parent, os.O_RDONLY)
    assert lock_shared(descriptor)

    outcome = store.get("data", target)
    again = store.get("data", target)

    assert (outcome.resumed_bytes, again.unchanged_files) == (0, 1)
    assert temporaries(target) == [left]
    assert (target / "folder" / "big").read_bytes() == begun
    os.close(descriptor)
    store.get("data", target)
    assert temporaries(target) == []


def test_gets_into_one_target_at_the_same_time_do_not_harm_each_other(store, put, target):
    """None takes another's files for left behind, so all succeed and nothing is left."""
    tree = {
        b"%d/%02d" % (n % 3, n): random_content(n, 1_200_000 if n < 4 else 3000) for n in range(40)
    }
    put(tree)
    failures = []
    gate = threading.Barrier(4)

    def get():
        gate.wait()
        try:
            store.get("data", target, OVERWRITE)
        except (cas.CasError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert read_tree(target) == tree


def test_leftovers_of_files_that_are_complete_are_removed(store, put, target):
    """A get that has nothing to do still tidies up after the one that was killed."""
    put({b"folder/file": b"f" * 5000})
    store.get("data", target)
    for number, size in enumerate([0, 100, 2 << 20]):
        (target / "folder" / f".cas-get-0123456789ab-{number}").write_bytes(bytes(size))
    (target / "folder" / ".cas-get-0123456789ab-link").symlink_to("nowhere")

    store.get("data", target)

    assert temporaries(target) == []


def test_only_what_a_get_made_is_taken_for_left_behind(store, target):
    """A user's files stay, whatever they are called, and so do those of the version."""
    tree = {b".cas-get-0123456789ab-7": b"v" * 5000, b"file": b"f" * 5000}
    # A put from a folder would leave the first out; one from a bucket cannot know.
    bucket = uuid.uuid4().hex
    for path, content in tree.items():
        fsspec.filesystem("memory").pipe(f"/{bucket}/{path.decode()}", content)
    store.put(f"memory://{bucket}", "data")
    mine = {b".cas-get-notes": b"mine", b".cas-get-0123456789ab-7.txt": b"mine"}
    store.get("data", write_tree(target, mine))
    store.get("data", target)

    assert read_tree(target) == tree | mine


@pytest.mark.parametrize("path", ["folder", "pipe"])
def test_what_cannot_be_left_behind_by_a_get_is_passed_over(store, put, target, path):
    """A folder or a pipe under such a name is neither read nor removed."""
    put({b"file": b"f" * 5000})
    target.mkdir()
    trap = target / ".cas-get-0123456789ab-1"
    trap.mkdir() if path == "folder" else os.mkfifo(trap)

    store.get("data", target)

    assert trap.exists()


def test_a_hostile_leftover_is_not_passed_on(store, begun, target):
    """Bytes count by their hash, so a leftover can only help."""
    (left,) = temporaries(target)
    left.write_bytes(random_content(99, 4 << 20) + begun[: 2 << 20])

    outcome = store.get("data", target)

    assert read_tree(target) == {b"folder/big": begun}
    assert outcome.resumed_bytes > 1 << 20


@pytest.mark.parametrize(
    ("failure", "stays"),
    [
        (cas.BackendError("away"), True),
        (cas.CorruptionError("bad"), False),
        (OSError("full"), False),
    ],
    ids=["backend", "damage", "disk"],
)
def test_a_begun_file_stays_only_if_the_next_get_may_finish_it(
    store, backend, put, target, failure, stays
):
    """A damaged store or a full disk is no reason to keep what may never be used."""
    put({b"big": random_content(5, 36 << 20)})
    backend.failure = failure
    small = cas.Store.on(backend, options=cas.StoreOptions(jobs=1, journal=False, memory_bytes=1))

    interrupt(small, backend, target, after=4)

    assert bool(temporaries(target)) is stays


def test_little_files_leave_nothing_behind(store, backend, put, target):
    """They are fetched again sooner than anything could be gained."""
    put({b"%d" % n: random_content(n, 300_000) for n in range(4)})

    interrupt(store, backend, target, after=0)

    assert temporaries(target) == []


def test_complete_files_are_not_fetched_again(store, backend, put, target):
    """They match, so the next get leaves them as they are."""
    tree = {b"%02d" % n: random_content(n, 2 << 20) for n in range(20)}
    put(tree)
    small = cas.Store.on(backend, options=cas.StoreOptions(jobs=1, journal=False, memory_bytes=1))
    interrupt(small, backend, target, after=4)
    done = len([path for path in target.iterdir() if not path.name.startswith(".")])

    outcome = store.get("data", target)

    assert outcome.unchanged_files == done > 0
    assert read_tree(target) == tree


def test_a_digest_that_was_typed_vouches_for_copied_bytes_too(store, put, target, tmp_path):
    """The whole file is hashed before it appears, wherever its bytes came from."""
    digest = put({b"big": NEW}).digest.hex
    seed = write_tree(tmp_path / "seed", {b"big": OLD})
    options = replace(OVERWRITE, seeds=(str(seed),))

    outcome = store.get(f"data:{digest}", target, options)

    assert read_tree(target) == {b"big": NEW}
    assert outcome.copied_bytes > 0
