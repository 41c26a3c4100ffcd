"""Repacking a store. Spec: specs/protocol/repack.md."""

from __future__ import annotations

import pytest
from moved_blobs import collect, needed_by
from repacked import (
    FEWER,
    FULL,
    assert_whole,
    fill,
    plan,
    purge,
    run,
    used,
)

import cas
from cas.format import keys
from cas.format.blob import decode_tail, decode_trailer
from cas.model.ids import BlobId
from cas.testing.corpora import random_content, text_content


@pytest.fixture
def scene(make_scene):
    """A store with a blob that is mostly dead."""
    return fill(make_scene())


@pytest.fixture
def empty(make_scene):
    """A store without any version."""
    return make_scene()


def table_of(scene, key):
    content = scene.truth.get(key)
    offset, _, _ = decode_trailer(content, what=key)
    blob_id = keys.parse_blob_key(key)
    return decode_tail(content[offset:], blob_id, blob_size=len(content), table_offset=offset)


def test_a_blob_that_is_mostly_dead_is_emptied(scene):
    """Every version that named it reads the same from new places, the trash included."""
    planned = plan(scene)
    collect(scene)
    before = used(scene)
    old = needed_by(scene)

    outcome = run(scene)
    collect(scene)

    assert (len(planned.data), planned.versions) == (1, 2)
    assert (outcome.plan, outcome.revised, outcome.is_complete) == (planned, 2, True)
    emptied = {one.blob_id for one in planned.data}
    assert emptied <= old
    assert not emptied & needed_by(scene)
    assert_whole(scene)
    assert abs(before - used(scene) - planned.freed_bytes) < 20_000
    assert scene.listed("sessions") == {}


def test_what_was_repacked_is_not_repacked_again(scene):
    """Otherwise a nightly repack would copy for ever."""
    run(scene)
    collect(scene)
    before = scene.listed("")

    outcome = run(scene)

    assert outcome.plan.is_empty
    assert (outcome.new_bytes, outcome.sent_bytes, outcome.revisions) == (0, 0, ())
    assert scene.listed("") == before


def test_tiny_blobs_that_are_live_are_left_alone(empty):
    """Heads and tables take more than such chunks; that does not make the blob dead."""
    empty.put({b"a": b"x" * 300})
    empty.put({b"a": b"x" * 300, b"b": b"y" * 300})

    assert plan(empty, live_share=1.0).data == ()
    assert plan(empty).is_empty


def test_a_plan_writes_nothing(scene):
    """It only says what a repack would do."""
    before = scene.listed("")

    assert not plan(scene).is_empty
    assert scene.listed("") == before


def test_live_chunks_are_laid_out_in_the_order_of_paths(scene):
    """Each once, though two versions name them: what is read together lies together."""
    (old,) = plan(scene).data
    before = set(scene.listed("blobs"))

    run(scene)

    (key,) = set(scene.listed("blobs")) - before
    moved = [row.tobytes() for row in table_of(scene, key).chunk_ids]
    whole = table_of(scene, keys.blob_key(BlobId(old.blob_id)))
    assert len(set(moved)) == len(moved)
    assert set(moved) < {row.tobytes() for row in whole.chunk_ids}
    # The newest version first, then what only older ones have.
    scene.store().restore("data:v2")
    ends = [chunks_in(scene, "data:v2", path, key) for path in ("03.bin", "99.txt")]
    ends.append(chunks_in(scene, "data:v1", "07.bin", key))
    assert [row for rows in ends for row in rows] == list(range(len(moved)))


def chunks_in(scene, ref, path, key):
    """Return which chunks of a blob a file consists of."""
    page, row = scene.store().version(ref)._pages.find(path.encode())
    found = []
    for at in range(*page.extent_starts[row : row + 2].tolist()):
        assert page.blob_ids[page.extent_blobs[at]].tobytes() == keys.parse_blob_key(key).raw
        first = int(page.extent_first[at])
        found += range(first, first + int(page.extent_chunks[at]))
    return found


def test_whole_frames_go_as_they_are(empty):
    """A frame of which all chunks live is copied with its payload, not compressed again."""
    tree = {b"a.txt": text_content(3, 300_000), b"b.bin": random_content(5, 2_000_000)}
    empty.put(tree)
    empty.put({b"a.txt": tree[b"a.txt"]})
    purge(empty, 0)
    (old,) = empty.listed("blobs")

    run(empty)

    (new,) = set(empty.listed("blobs")) - {old}
    first, second = table_of(empty, old), table_of(empty, new)
    assert first.frame_stored[0] == second.frame_stored[0]
    start, length = int(first.frame_offsets[0]), int(first.frame_stored[0])
    assert empty.truth.get(old, start, start + length) == empty.truth.get(
        new, start, start + length
    )
    assert empty.held("data:v1") == {b"a.txt": tree[b"a.txt"]}


def test_a_damaged_blob_is_left_where_it_is(empty):
    """The others are emptied; what cannot be verified is never copied, and it is said."""
    empty.put(FULL)
    other = {b"x%02d" % number: random_content(60 + number, 90_000) for number in range(6)}
    empty.put(FULL | other)
    kept = FEWER | {b"x03": other[b"x03"]}
    empty.put(kept)
    purge(empty, 0)
    purge(empty, 1)
    chosen = plan(empty).data
    (bad,) = [one for one in chosen if one.blob_id not in blobs_of(empty, b"03.bin")]
    key = keys.blob_key(BlobId(bad.blob_id))
    content = bytearray(empty.truth.get(key))
    at = content.index(other[b"x03"][:64])
    content[at] ^= 1
    empty.truth.put(key, [bytes(content)])

    outcome = run(empty)

    assert len(chosen) == 2
    assert [one.blob_id for one in outcome.plan.data] == [
        one.blob_id for one in chosen if one is not bad
    ]
    assert key in outcome.problems[0]
    assert not outcome.is_complete
    collect(empty)
    version = empty.store().version("data:v2")
    assert version.read("03.bin") == FULL[b"03.bin"]
    with pytest.raises(cas.CorruptionError):
        version.read("x03")


def blobs_of(scene, path):
    version = scene.store().version("data")
    page, row = version._pages.find(path)
    start, stop = page.extent_starts[row : row + 2].tolist()
    return {page.blob_ids[blob].tobytes() for blob in page.extent_blobs[start:stop]}
