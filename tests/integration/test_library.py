"""The library as programs use it: threads, forks, pickles, streams, cancellation, one-liners."""

from __future__ import annotations

import doctest
import io
import multiprocessing
import os
import pickle
import threading
from pathlib import Path

import pytest

import cas
import cas.drafts.draft
import cas.filesystem.versions
import cas.shortcuts
import cas.store
import cas.testing.faulty
import cas.testing.faulty_filesystem
import cas.version
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

PLAIN = cas.PutOptions(provenance=False)
TREE = {b"train/a.txt": b"one 1\n", b"test/b.txt": b"two 2\n", b"big": random_content(1, 3 << 20)}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store in a folder with one version of `data`."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    with cas.Store.create(tmp_path / "store") as store:
        store.put(write_tree(tmp_path / "source", TREE), "data", PLAIN)
        yield store


@pytest.mark.parametrize(
    "module",
    [
        cas.store,
        cas.version,
        cas.shortcuts,
        cas.filesystem.versions,
        cas.drafts.draft,
        cas.testing.faulty,
        cas.testing.faulty_filesystem,
    ],
    ids=lambda m: m.__name__,
)
def test_the_examples_in_the_documentation_run(module, tmp_path, monkeypatch):
    """Each docstring shows what really happens."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    small = {path: content for path, content in TREE.items() if path != b"big"}
    write_tree(tmp_path / "digits", small)
    url = str(tmp_path / "store")
    opened = cas.Store.create(url)
    if module is not cas.shortcuts:
        opened.put(tmp_path / "digits", "digits", PLAIN)
    names = {
        "cas": cas,
        "Store": cas.Store,
        "store": opened,
        "folder": str(tmp_path),
        "url": url,
    }
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    found = [test for test in finder.find(module, extraglobs=names) if test.examples]
    for name in ("put", "get", "open", "draft"):  # in the order of a user's day
        found.sort(key=lambda test, name=name: test.name.endswith(f".{name}"))
    for test in found:
        runner.run(test)

    assert found
    assert runner.summarize(verbose=False).failed == 0


def test_a_store_and_a_version_travel_to_other_processes(store):
    """Their pickles open anew and give the same bytes."""
    version = store.version("data")

    copy = pickle.loads(pickle.dumps(version))
    other = pickle.loads(pickle.dumps(store))

    assert copy == version
    assert copy.read("train/a.txt") == b"one 1\n"
    assert other.store_id == store.store_id


def _read_in_child(version, results) -> None:
    results.put(version.read("big") == TREE[b"big"])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_whether_forked_or_spawned(store, method):
    """A data loader's workers get a version that was used before."""
    version = store.version("data")
    version.read("train/a.txt")
    context = multiprocessing.get_context(method)
    results = context.Queue()

    worker = context.Process(target=_read_in_child, args=(version, results))
    worker.start()
    answer = results.get(timeout=60)
    worker.join()

    assert answer is True


def test_many_threads_read_one_version(store):
    """Eight threads, one `Version`, every byte right."""
    version = store.version("data")
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(version.read("big") == TREE[b"big"]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 8


def test_an_open_file_seeks_and_reads_only_what_is_asked(store):
    """A few bytes in the middle of a big file fetch a fraction of it."""
    before = store.requests
    with store.version("data").open("big") as file:
        file.seek(1_500_000)
        assert file.read(100) == TREE[b"big"][1_500_000:1_500_100]
        assert file.seek(-10, os.SEEK_END) == len(TREE[b"big"]) - 10
        assert file.read() == TREE[b"big"][-10:]
        assert file.read(5) == b""
    with cas.open("data:v0/train/a.txt", store=store.url.removeprefix("file://")) as file:
        assert list(file) == [b"one 1\n"]

    assert (store.requests - before).received_bytes < len(TREE[b"big"]) // 2


def test_a_version_is_a_mapping_with_folders_and_patterns(store):
    """Paths to entries, in path order; walk and glob as one knows them."""
    version = store.version("data:latest")

    assert list(version) == ["big", "test/b.txt", "train/a.txt"]
    assert (len(version), "big" in version, "train" in version) == (3, True, False)
    assert [entry.path for entry in version.glob("*/*.txt")] == ["test/b.txt", "train/a.txt"]
    assert [entry.path for entry in version.glob("**/a.*")] == ["train/a.txt"]
    assert [entry.path for entry in version.glob("*.txt")] == []
    walked = [(folder, sub, [e.path for e in files]) for folder, sub, files in version.walk()]
    assert walked == [
        ("", ["test", "train"], ["big"]),
        ("test", [], ["test/b.txt"]),
        ("train", [], ["train/a.txt"]),
    ]
    with pytest.raises(KeyError):
        version["nothing"]
    with pytest.raises(cas.NotFoundError):
        version.read("nothing")


def test_a_stream_becomes_a_file(store):
    """Of any size, read once and in order."""
    content = random_content(7, 20 << 20)

    outcome = store.put(
        io.BytesIO(content), "dump", cas.PutOptions(path="logs/run.bin", provenance=False)
    )

    assert outcome.totals.size == len(content)
    assert store.version("dump").read("logs/run.bin") == content
    with pytest.raises(cas.InvalidInputError):
        store.put(io.BytesIO(b"x"), "dump", cas.PutOptions(path="../x"))


@pytest.mark.parametrize(
    "url", ["memory://library-test", "file://{tmp_path}/by-url", "{tmp_path}/p"]
)
def test_any_backend_does(url, tmp_path):
    """A folder, a file URL and fsspec's memory filesystem behave alike."""
    store = cas.Store.create(url.format(tmp_path=tmp_path))
    source = write_tree(tmp_path / "source", TREE)

    first = store.put(source, "data", PLAIN)
    second = store.put(source, "data", cas.PutOptions(provenance=False, force=True))
    store.get("data:v1", tmp_path / "copy")

    assert (first.number, second.number, second.new_bytes) == (0, 1, 0)
    assert read_tree(tmp_path / "copy") == TREE


def test_a_cancelled_put_publishes_nothing_and_the_next_one_resumes(store, tmp_path):
    """The switch stops it; what was stored is found again."""
    cancel = cas.Cancel()
    source = write_tree(
        tmp_path / "more", {b"f%d" % n: random_content(n, 3 << 20) for n in range(9)}
    )

    def stop_soon(progress: cas.Progress) -> None:
        if progress.new_bytes > 12 << 20:
            cancel.set()

    with pytest.raises(cas.Cancelled):
        store.put(source, "more", cas.PutOptions(cancel=cancel, progress=stop_soon))
    with pytest.raises(cas.NotFoundError):
        store.version("more")

    outcome = store.put(source, "more", PLAIN)
    assert outcome.totals.files == 9


def test_a_cancelled_get_leaves_no_temporary_files(store, tmp_path):
    """Files that were finished stay, those that were begun are removed."""
    cancel = cas.Cancel()
    cancel.set()

    with pytest.raises(cas.Cancelled):
        store.get("data", tmp_path / "copy", cas.GetOptions(cancel=cancel))

    left = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert all(
        path.read_bytes() == TREE[os.fsencode(path.relative_to(tmp_path / "copy"))] for path in left
    )


def test_a_file_that_changes_while_it_is_read_is_read_again(store, tmp_path, monkeypatch):
    """The bytes of a version are those of one moment."""
    from cas.transfer import cutting

    source = write_tree(tmp_path / "moving", {b"f": b"old" * 100})
    read = cutting._pread
    changes = iter([b"new" * 100])

    def read_and_change(descriptor: int, length: int, offset: int) -> bytes:
        content = read(descriptor, length, offset)
        for change in changes:
            (source / "f").write_bytes(change)
            break
        return content

    monkeypatch.setattr(cutting, "_pread", read_and_change)
    store.put(source, "moving", PLAIN)

    assert store.version("moving").read("f") == b"new" * 100


def test_a_file_that_never_rests_is_reported_and_nothing_is_published(store, tmp_path, monkeypatch):
    """Three tries, then an error that names it."""
    from cas.transfer import cutting

    source = write_tree(tmp_path / "moving", {b"f": b"x" * 300, b"g": b"calm" * 100})
    read = cutting._pread

    def read_and_grow(descriptor: int, length: int, offset: int) -> bytes:
        content = read(descriptor, length, offset)
        with (source / "f").open("ab") as file:
            file.write(b"more")
        return content

    monkeypatch.setattr(cutting, "_pread", read_and_grow)
    with pytest.raises(cas.IncompleteError, match="kept changing") as caught:
        store.put(source, "moving", PLAIN)

    assert caught.value.problems == ("f: kept changing while it was read",)
    with pytest.raises(cas.NotFoundError):
        store.version("moving")


def test_secrets_of_a_command_line_are_not_recorded(store, tmp_path):
    """Values that look like secrets, and the user part and query of URLs, are left out."""
    command = (
        "cas", "put", "--token", "s3cr3t", "--api-key=s3cr3t", "PASSWORD=s3cr3t",
        "s3://me:s3cr3t@host/b?sig=s3cr3t", "--url=https://u:s3cr3t@host/x", "plain",
    )  # fmt: skip
    options = cas.PutOptions(command=command, force=True)

    outcome = store.put(tmp_path / "source", "data", options)

    recorded = store.version(outcome.ref).producer
    assert "s3cr3t" not in repr(recorded)
    assert recorded["command"][-1] == "plain"
    assert store.version("data:v0").producer == {}


def test_get_fetches_only_what_is_missing_and_never_replaces_unasked(store, tmp_path):
    """A file that matches stays, one that differs is an error, unless it may be replaced."""
    copy = tmp_path / "copy"
    store.get("data", copy)
    (copy / "train" / "a.txt").unlink()
    again = store.get("data", copy)
    (copy / "test" / "b.txt").write_bytes(b"mine!!")

    assert (again.unchanged_files, again.files) == (2, 3)
    with pytest.raises(cas.AlreadyExistsError, match=r"test/b\.txt"):
        store.get("data", copy)
    assert (copy / "test" / "b.txt").read_bytes() == b"mine!!"
    store.get("data", copy, cas.GetOptions(overwrite=True))
    assert read_tree(copy) == TREE
    part = store.get("data:v0/train", tmp_path / "part", cas.GetOptions(include=("*.txt",)))
    assert (part.files, read_tree(tmp_path / "part")) == (1, {b"a.txt": b"one 1\n"})
    assert Path(tmp_path / "part").is_dir()
