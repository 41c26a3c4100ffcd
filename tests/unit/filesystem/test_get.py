"""`get` of the filesystem: fsspec's rules of what goes where, and one plan for all of it."""

from __future__ import annotations

import pytest
from fsspec.callbacks import Callback
from memory_stores import DistantBackend, open_on, with_store

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

PLAIN = cas.PutOptions(provenance=False)


def test_a_folder_becomes_a_folder_as_with_cas_get(fs, store, tmp_path):
    """Links and empty folders, too; into a folder that is there it goes under its own name."""
    store.get("data:v0/train", tmp_path / "by-cas")

    fs.get("cas://data@v0/train", str(tmp_path / "out"), recursive=True)
    fs.get("data@v0/train/", str(tmp_path / "out2") + "/", recursive=True)
    fs.get("data@v0/train", str(tmp_path / "out2"), recursive=True)
    fs.get("data@v0", tmp_path / "all", recursive=True)

    expected = read_tree(tmp_path / "by-cas")
    assert read_tree(tmp_path / "out") == read_tree(tmp_path / "out2" / "train") == expected
    assert (tmp_path / "out2" / "a.txt").read_bytes() == b"one 1\n"
    assert (tmp_path / "all" / "empty").is_dir()
    assert (tmp_path / "all" / "link").is_symlink()


def test_local_files_that_differ_are_replaced(fs, tmp_path):
    """As fsspec does; a folder in the place of a file is an error."""
    write_tree(tmp_path / "out" / "train", {b"a.txt": b"mine", b"mine": b"mine"})

    fs.get("data@v0/train", str(tmp_path / "out"), recursive=True)

    assert (tmp_path / "out" / "train" / "a.txt").read_bytes() == b"one 1\n"
    assert (tmp_path / "out" / "train" / "mine").read_bytes() == b"mine"
    write_tree(tmp_path / "out2" / "train" / "a.txt", {b"in": b""})
    with pytest.raises(FileExistsError) as caught:
        fs.get("data@v0/train", str(tmp_path / "out2"), recursive=True)
    assert isinstance(caught.value, cas.AlreadyExistsError)


def test_patterns_and_lists_go_where_fsspec_says(fs, tmp_path):
    """Chosen files come as what they lead to, from several versions at once."""
    out = tmp_path / "out"

    fs.get("data@v0/*", f"{out}/")
    fs.get(["data@v0/link", "data@v1/new"], [str(out / "one"), str(tmp_path / "deep" / "two")])

    assert read_tree(out) == {
        b"link": b"one 1\n",
        b"train-2.txt": b"two 2\n",
        b"x@2.png": b"png",
        b"one": b"one 1\n",
    }
    assert (out / "dangling").is_symlink()  # leads nowhere, so it stays what it is
    assert (tmp_path / "deep" / "two").read_bytes() == b"new"
    with pytest.raises(FileNotFoundError):
        fs.get("data@v0/no", str(out))


def test_one_file_is_got_under_any_name_or_into_any_file(fs, tmp_path):
    """Also into a file object that is open."""
    fs.get("data@v0/link", str(tmp_path / "name"))
    fs.get_file("data@v0/train/deep/b.bin", tmp_path / "new" / "big")
    with (tmp_path / "object").open("wb") as file:
        fs.get_file("data@v0/link", outfile=file)

    assert (tmp_path / "name").read_bytes() == (tmp_path / "object").read_bytes() == b"one 1\n"
    assert (tmp_path / "new" / "big").stat().st_size == 3 << 20


@pytest.mark.parametrize("chosen", ["a folder", "a pattern"])
def test_many_files_cost_few_requests_and_are_not_fetched_again(tmp_path, chosen):
    """All of a version's files are one plan, and progress is told."""
    backend = with_store(DistantBackend())
    tree = {b"%03d" % n: random_content(n, 20_000) for n in range(200)}
    open_on(backend).put(write_tree(tmp_path / "many", tree), "many", PLAIN)
    store = open_on(backend)
    fs, callback = cas.CasFileSystem.on(store), Callback()
    source = {"a folder": "many@v0", "a pattern": "many@v0/*"}[chosen]

    fs.get(source, str(tmp_path / "out") + "/", recursive=chosen == "a folder", callback=callback)
    requests = store.requests.requests
    out = tmp_path / "out" / ("many@v0" if chosen == "a folder" else "")
    fs.get(source + ("/" if chosen == "a folder" else ""), str(out) + "/", recursive=True)

    assert read_tree(out) == tree
    assert requests < 12
    assert store.requests.requests - requests <= 3
    assert (callback.size, callback.value) == (200, 200)
