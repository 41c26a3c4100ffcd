"""A store in a folder with two versions of one artifact and one of another, and `cas://` on it."""

from __future__ import annotations

import shutil

import fsspec
import pytest

import cas
from cas.filesystem import CasFileSystem
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

PLAIN = cas.PutOptions(provenance=False)
TREE = {
    b"train/a.txt": b"one 1\n",
    b"train/deep/b.bin": random_content(1, 3 << 20),
    b"train-2.txt": b"two 2\n",
    b"x@2.png": b"png",
}


@pytest.fixture(autouse=True)
def _registered(tmp_path, monkeypatch):
    """`cas://` is known however cas was installed, and nothing of the user's counts."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAS_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    fsspec.register_implementation("cas", CasFileSystem, clobber=True)
    yield
    CasFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def _made(tmp_path_factory):
    """A folder with `source` and `store`, made once and copied for each test."""
    made = tmp_path_factory.mktemp("made")
    source = write_tree(made / "source", TREE)
    (source / "empty").mkdir()
    (source / "link").symlink_to("train/a.txt")
    (source / "dangling").symlink_to("nowhere")
    cas.Store.create(made / "store").close()
    with cas.Store.open(made / "store", options=cas.StoreOptions(journal=False)) as store:
        store.put(source, "data", PLAIN)
        store.put(source / "train", "team/bert", PLAIN)
        (source / "new").write_bytes(b"new")
        store.put(source, "data", PLAIN)
    return made


@pytest.fixture
def source(tmp_path, _made):
    """The folder that was put: files, an empty folder, and links of two kinds; `new` only in v1."""
    return shutil.copytree(_made / "source", tmp_path / "source", symlinks=True)


@pytest.fixture
def store(tmp_path, _made):
    """The store, opened."""
    shutil.copytree(_made / "store", tmp_path / "store")
    with cas.Store.open(tmp_path / "store") as store:
        yield store


@pytest.fixture
def fs(store):
    """The filesystem on that store."""
    return fsspec.filesystem("cas", store=store.url)
