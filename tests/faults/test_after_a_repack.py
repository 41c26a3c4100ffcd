"""Readers and writers of versions that were repacked. Spec: specs/protocol/repack.md."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from moved_blobs import collect, needed_by
from repacked import (
    FEWER,
    FULL,
    NAME,
    collect_for_real,
    fill,
    plan,
    purge,
    run,
)

import cas
from cas.environment import SystemClock
from cas.operations.put import put
from cas.testing.trees import read_tree

PLAIN = cas.PutOptions(provenance=False)


@pytest.fixture
def scene(make_scene):
    """A store with a blob that is mostly dead."""
    return fill(make_scene())


@pytest.fixture
def empty(make_scene):
    """A store without any version."""
    return make_scene()


def test_an_open_version_reads_on_through_a_repack(scene):
    """Old places are gone; the reader finds the new ones by itself."""
    version = scene.store().version("data:v1")
    with version.open("03.bin") as file:
        head = file.read(10)
        run(scene)
        collect(scene)

        assert head + file.read() == FULL[b"03.bin"]
    assert version.read("07.bin") == FULL[b"07.bin"]


@pytest.mark.parametrize("seen", ["meta/", "blobs/"], ids=["pages", "blobs"])
def test_a_get_goes_on_through_a_repack(scene, seen):
    """It plans again with the newest revision."""

    def act():
        run(scene)
        collect(scene)

    scene.store(scene.meddling("get", seen, act)).get("data:v1", scene.folder / "out")

    assert read_tree(scene.folder / "out") == FEWER


class Later(SystemClock):
    """The files of a test are older than the two seconds in which a journal trusts no time."""

    def now_ns(self):
        return super().now_ns() + 10**10


def put_later(scene, source):
    parts = replace(scene.store(journal=True).parts, clock=Later())
    return put(parts, str(source), NAME, PLAIN)


@pytest.mark.parametrize("remembers", [True, False], ids=["journal", "no journal"])
def test_a_put_after_a_repack_builds_on_the_new_places(empty, remembers):
    """What the writer remembers of old places is not used: the old blobs stay dead."""
    source = empty.source(FULL)
    put_later(empty, source)
    empty.source(FEWER)
    put_later(empty, source)
    purge(empty, 0)
    emptied = {one.blob_id for one in plan(empty).data}
    run(empty)
    if not remembers:
        shutil.rmtree(empty.folder / "cache")

    empty.source(FEWER | {b"new": b"n" * 1000})
    outcome = put_later(empty, source)

    assert outcome.new_bytes == 1000
    assert outcome.read_files == (1 if remembers else 5)
    assert not emptied & needed_by(empty)
    collect(empty)
    assert empty.held(outcome.ref) == FEWER | {b"new": b"n" * 1000}
    assert empty.held("data:v1") == FEWER


def test_a_journal_whose_blobs_are_gone_is_led_to_what_another_machine_published(empty):
    """The log check finds them; the files that did not change are neither read nor sent again."""
    source = empty.source(FULL)
    put_later(empty, source)
    empty.source(FEWER)
    put_later(empty, source)
    purge(empty, 0)
    run(empty)
    other = FEWER | {b"other": b"o" * 1000}
    empty.store().put(empty.source(other, "other"), "data", PLAIN)
    collect_for_real(empty)

    empty.source(FEWER | {b"new": b"n" * 1000})
    outcome = put_later(empty, source)

    # The new file itself was stored by the try that the log check stopped.
    assert (outcome.number, outcome.new_bytes, outcome.read_files) == (3, 0, 1)
    collect_for_real(empty)
    assert empty.held("data:v3") == FEWER | {b"new": b"n" * 1000}
    assert empty.held("data:v2") == other
