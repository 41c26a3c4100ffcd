"""A store in a folder with one version, `data:v0`, that has files, links and an empty folder."""

from __future__ import annotations

import pytest

import cas
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

PLAIN = cas.PutOptions(provenance=False)
TREE = {
    b"train/a.txt": b"one 1\n",
    b"train/deep/b.bin": random_content(1, 400_000),
    b"train-2.txt": b"two 2\n",
    b"run.sh": b"#!/bin/sh\n",
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store, opened; nothing of the user's counts."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAS_STORE", raising=False)
    source = write_tree(tmp_path / "source", TREE)
    (source / "run.sh").chmod(0o755)
    (source / "empty").mkdir()
    (source / "link").symlink_to("train/a.txt")
    with cas.Store.create(tmp_path / "store") as store:
        store.put(source, "data", PLAIN)
        yield store


@pytest.fixture
def draft(store):
    """A draft on `data:v0`."""
    draft = store.draft("data", base="data:v0")
    yield draft
    draft.discard()
