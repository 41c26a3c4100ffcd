"""A storage that overwrites although asked not to, and a client that does not even ask."""

from __future__ import annotations

import pytest

import cas
from cas.backend.base import Capabilities
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format.version import VersionRecord
from cas.model.names import ArtifactName
from cas.objects.versions import read_slot
from cas.operations.init import init_store
from cas.operations.retention import expire_by_policy
from cas.testing.trees import write_tree

NAME = ArtifactName("data")
OPTIONS = cas.StoreOptions(jobs=2, journal=False)
PLAIN = cas.PutOptions(provenance=False)


class Overwriting(MemoryBackend):
    """Answers success to every create and keeps the last."""

    def create(self, key: str, content: bytes) -> None:
        self.put(key, [content])


class InterruptedAfterwards(Overwriting):
    """Ctrl-C at the moment at which the slot of a version is taken."""

    def create(self, key: str, content: bytes) -> None:
        super().create(key, content)
        if "/versions/" in key:
            raise KeyboardInterrupt


class OldClient(MemoryBackend):
    """A remote store through a driver that drops the condition."""

    capabilities = Capabilities(create_if_absent=False, atomic_listing=True, local=False)


def make_store(backend: MemoryBackend) -> cas.Store:
    init_store(backend, SystemClock(), chunk_average=64 << 10)
    return cas.Store.on(backend, options=OPTIONS)


def test_what_needs_the_guarantee_is_refused_and_the_rest_works(tmp_path):
    """Puts and reads go on; a version cannot be hidden, and nothing is written for the attempt."""
    backend = Overwriting()
    store = make_store(backend)
    source = write_tree(tmp_path / "source", {b"file": b"one\n" * 100})
    store.put(source, "data", PLAIN)
    before = sorted(backend.list_objects(""))

    for refused in (store.delete, store.restore):
        with pytest.raises(cas.UnsupportedError) as caught:
            refused("data:v0")
        assert caught.value.code is cas.ErrorCode.MISSING_GUARANTEE

    assert store.config.create_if_absent is False
    assert sorted(backend.list_objects("")) == before
    assert store.version("data").read("file") == b"one\n" * 100


def test_an_interrupted_put_does_not_write_over_its_slot(tmp_path):
    """A void would replace the version that may stand there; the intents stay instead."""
    backend = InterruptedAfterwards()
    store = make_store(backend)

    with pytest.raises(KeyboardInterrupt):
        store.put(write_tree(tmp_path / "source", {b"file": b"one\n" * 100}), "data", PLAIN)

    assert isinstance(read_slot(backend, NAME, 0), VersionRecord)
    assert len(list(backend.list_objects("sessions"))) == 1


def test_a_client_that_cannot_ask_does_not_write_to_a_store_that_counts_on_it(tmp_path):
    """It would overwrite what others write; reading is as good as ever."""
    able = MemoryBackend()
    source = write_tree(tmp_path / "source", {b"file": b"one\n" * 100})
    make_store(able).put(source, "data", PLAIN)
    old = OldClient()
    for found in able.list_objects(""):
        old.put(found.key, [able.get(found.key)])
    store = cas.Store.on(old, options=OPTIONS)

    for refused in (
        lambda: store.put(source, "data", PLAIN),
        lambda: store.delete("data:v0"),
        lambda: store.delete("data:v0", now=True),
        lambda: store.prune("data", cas.KeepRules(last=1)),
        lambda: store.set_ttl("data:v0", "1d"),
        lambda: expire_by_policy(store.parts, cas.RetentionPolicy()),
    ):
        with pytest.raises(cas.UnsupportedError) as caught:
            refused()
        assert caught.value.code is cas.ErrorCode.MISSING_GUARANTEE
    assert store.version("data").read("file") == b"one\n" * 100
