"""Copies that stop halfway, and what they met: cancelled, resumed, damaged."""

from __future__ import annotations

import numpy as np
import pytest
from memory_stores import SOME, memory_store, open_on

import cas
from cas.backend.memory import MemoryBackend
from cas.testing.corpora import (
    random_content,
)

MIB = 1 << 20


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
    return open_on(backend)


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
    target = memory_store(jobs=2, memory_bytes=memory_bytes, cache_dir=str(tmp_path / "cache"))
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
