"""Drafts that several processes of a machine write to: forked ones, and those that get a pickle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings

import fsspec
import pytest

import cas
from cas.drafts import edit_log


def write_some(draft, number, pipe):
    """Do what a worker does, in a process of its own."""
    seen = draft.cat("before")
    for part in range(20):
        draft.pipe(f"from/{number}/{part}", bytes([number]) * 1000)
    with fsspec.open(f"{draft.url}/by-url/{number}", "wb") as file:
        file.write(b"url")
    draft.mv(f"from/{number}/7", f"moved/{number}")
    draft.cp_file(f"from/{number}/8", f"from/{number}/copy")
    draft.rm(f"from/{number}/8")
    draft.rm(f"train-{number}.txt" if number == 2 else "run.sh")
    try:
        draft.commit()
    except cas.UnsupportedError:
        pipe.send((seen, draft.cat("train/a.txt")))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_write_side_by_side(store, method):
    """All that they did is in the version, whoever did it; only who made the draft commits it."""
    context = multiprocessing.get_context(method)
    with store.draft("data", base="data:v0") as draft:
        draft.pipe("before", b"before")
        draft.pipe("train/a.txt", b"new")
        mine, theirs = context.Pipe()
        children = [
            context.Process(target=write_some, args=(draft, number, theirs)) for number in (2, 3)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, in 3.12
            for child in children:
                child.start()
        for number in range(20):
            draft.pipe(f"from/parent/{number}", b"p")
        answers = [mine.recv() for _ in children if mine.poll(100)]
        for child in children:
            child.join(60)
        assert answers == [(b"before", b"new")] * 2
        assert draft.exists("moved/2")

    version = draft.version
    assert [child.exitcode for child in children] == [0, 0]
    assert len([path for path in version if path.startswith("from/")]) == 20 + 2 * 19
    assert {version.read(f"moved/{number}") for number in (2, 3)} == {b"\2" * 1000, b"\3" * 1000}
    assert version.read("from/3/copy") == b"\3" * 1000
    assert version.read("by-url/2") == b"url"
    assert not {"run.sh", "train-2.txt", "from/2/8"} & set(version)


def test_a_pickle_is_the_draft_itself_where_it_runs(draft):
    """Nothing is opened twice."""
    assert pickle.loads(pickle.dumps(draft)) is draft


def test_without_locks_a_draft_is_not_shared_and_goes_on(store, monkeypatch):
    """Processes could not make their edits in one order; the one that has it can."""
    monkeypatch.setattr(edit_log, "lock_alone", lambda *_, **__: False)

    with store.draft("alone") as draft:
        draft.pipe("file", b"content")
        with pytest.raises(cas.UnsupportedError, match="no locks"):
            pickle.dumps(draft)
        draft.pipe("other", b"more")

    assert sorted(draft.version) == ["file", "other"]


def test_a_child_reads_the_base_by_connections_of_its_own(draft):
    """Also ranges of files that its parent has read."""
    whole = draft.cat("train/deep/b.bin")
    child = os.fork()
    if child == 0:
        same = draft.cat_file("train/deep/b.bin", 1000, 2000) == whole[1000:2000]
        os._exit(7 if same and draft.cat_ranges(["train-2.txt"], 0, 3) == [b"two"] else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_file_that_is_open_at_a_fork_is_left_to_the_parent(draft):
    """A child that ends, or closes its copy, neither lands nor removes it."""
    file = draft.open("open", "wb")
    file.write(b"half")
    file.flush()
    child = os.fork()
    if child == 0:
        file.close()
        other = draft.exists("open")
        del file
        os._exit(7 if not other else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert not draft.exists("open")
    file.write(b" and half")
    file.close()
    assert draft.cat("open") == b"half and half"


def test_who_takes_part_learns_that_the_draft_is_closed(store):
    """When it acts on it next; what a killed writer left half told is passed over."""
    draft = store.draft("data", base="data:v0")
    draft.pipe("first", b"1")
    copy = pickle.dumps(draft)
    reads, writes = os.pipe()
    asks, answers = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(answers, b"." if draft.exists("first") else b"?")
        os.read(reads, 1)
        try:
            draft.pipe("late", b"")
        except cas.InvalidInputError as error:
            os._exit(7 if "closed" in str(error) else 1)
        os._exit(0)
    assert os.read(asks, 1) == b"."
    with (draft._staging.folder / "edits.jsonl").open("ab") as log:
        log.write(b'["set", "half')

    draft.pipe("second", b"2")
    version = draft.commit()
    os.write(writes, b".")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert {"first", "second"} <= set(version)
    assert "late" not in version
    with pytest.raises(cas.NotFoundError, match="closed"):
        pickle.loads(copy)
    for descriptor in (reads, writes, asks, answers):
        os.close(descriptor)
