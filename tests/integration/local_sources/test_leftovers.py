"""A get takes from what an interrupted one left, and tidies up."""

from __future__ import annotations

import os
import threading
import uuid

import fsspec
import pytest
from memory_stores import open_on

import cas
from cas.locks import lock_shared
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

OVERWRITE = cas.GetOptions(overwrite=True)


def temporaries(folder):
    return list(folder.rglob(".cas-get-*"))


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
    small = open_on(backend, jobs=1, memory_bytes=1)
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
    small = open_on(backend, jobs=1, memory_bytes=1)

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
    small = open_on(backend, jobs=1, memory_bytes=1)
    interrupt(small, backend, target, after=4)
    done = len([path for path in target.iterdir() if not path.name.startswith(".")])

    outcome = store.get("data", target)

    assert outcome.unchanged_files == done > 0
    assert read_tree(target) == tree
