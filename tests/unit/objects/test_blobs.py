"""Blobs assembled, written, read back and damaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.backend.caching import LARGEST_ENTRY_BYTES, CachingBackend
from cas.backend.counting import RequestCounter
from cas.backend.memory import MemoryBackend
from cas.compression.codec import Codec, encode
from cas.errors import CorruptionError, ErrorCode
from cas.format import keys
from cas.format.blob import decode_tail
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import (
    BLOB_KIND_DATA,
    BLOB_KIND_META,
    EncodedFrame,
    TableReader,
    assemble_blob,
    decode_data_frame,
    decode_meta_frame,
    read_meta_range,
    read_range,
    write_blob,
)
from cas.testing.corpora import random_content, text_content
from cas.testing.faulty import FaultyBackend

SESSION = SessionId(b"s" * 16)
CHUNKS = [
    [text_content(1, 900), text_content(2, 300)],
    [random_content(3, 500)],
    [b"x", text_content(4, 100), b"yy"],
]


def frame(chunks, codec):
    raw = b"".join(chunks)
    return EncodedFrame(
        codec,
        0,
        encode(raw, codec, 0),
        len(raw),
        b"".join(blake3(chunk).digest() for chunk in chunks),
        [len(chunk) for chunk in chunks],
    )


def make(frames=CHUNKS, codec=Codec.ZSTD, kind=BLOB_KIND_DATA):
    return assemble_blob(kind, SESSION, [frame(chunks, codec) for chunks in frames])


def reference(blob):
    return BlobRef(
        blob_id=blob.blob_id.raw, size=blob.size, table_offset=blob.table_offset, stamp=0
    )


def frame_range(table, number):
    start = int(table.frame_offsets[number])
    chunks = int(table.frame_chunks[number])
    return start, start + 14 + 36 * chunks + int(table.frame_stored[number])


def read_all(backend, blob):
    """Read every chunk of a blob through its table."""
    table = TableReader(backend).read(reference(blob))
    found = []
    for number in range(len(table.frame_offsets)):
        first, last = table.first_chunks[number : number + 2].tolist()
        wanted = np.arange(first, last)
        content = read_range(backend, blob.blob_id, *frame_range(table, number))
        raw = bytes(decode_data_frame(blob.blob_id.raw, table, number, content, wanted))
        starts, lengths = table.chunk_starts[wanted], table.chunk_lengths[wanted]
        found.append(
            [
                raw[start : start + length]
                for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
            ]
        )
    return found


@pytest.fixture
def backend():
    return MemoryBackend()


@pytest.mark.parametrize("codec", [Codec.RAW, Codec.ZSTD])
def test_what_is_assembled_is_read_back(backend, codec):
    """Table, frames and chunks are where the parts say, and the size is right."""
    blob = make(codec=codec)
    write_blob(backend, BLOB_KIND_DATA, blob)

    assert read_all(backend, blob) == CHUNKS
    assert len(backend.get(keys.blob_key(blob.blob_id))) == blob.size


@pytest.mark.parametrize("joined", [False, True])
def test_the_table_of_a_large_blob_that_was_put_need_not_be_fetched(backend, tmp_path, joined):
    """The next put of the same files asks for it, from whatever reader."""
    counter = RequestCounter(backend)
    cached = CachingBackend(counter, tmp_path, ("blobs",))
    blob = make([[random_content(9, LARGEST_ENTRY_BYTES)]], Codec.RAW)
    if joined:
        blob = replace(blob, parts=[b"".join(blob.parts)])
    write_blob(cached, BLOB_KIND_DATA, blob)

    table = TableReader(cached).read(reference(blob))

    assert (table.chunk_ids == blob.table.chunk_ids).all()
    assert counter.counts.get == 0


def test_the_same_chunks_make_another_blob_each_time():
    """A nonce: a key is never written twice, so a late deletion hits nothing that is new."""
    assert make().blob_id != make().blob_id


def test_data_and_pages_lie_in_different_folders(backend):
    """What a reader of pages asks for is never found among data."""
    data, meta = make(), make(kind=BLOB_KIND_META)
    write_blob(backend, BLOB_KIND_DATA, data)
    write_blob(backend, BLOB_KIND_META, meta)

    assert {one.key for one in backend.list_objects("")} == {
        keys.blob_key(data.blob_id),
        keys.meta_key(meta.blob_id),
    }


def test_a_frame_of_a_meta_blob_is_read_by_its_place(backend):
    """One page, one frame, one request."""
    blob = make([[b"page one"], [b"page two" * 90]], kind=BLOB_KIND_META)
    write_blob(backend, BLOB_KIND_META, blob)
    start, stop = frame_range(blob.table, 1)

    content = read_meta_range(backend, blob.blob_id, start, stop)
    assert bytes(decode_meta_frame(blob.blob_id, start, content)) == b"page two" * 90


@settings(max_examples=150)
@given(st.data())
def test_no_flipped_bit_ever_gives_other_bytes(data):
    """Anywhere in the blob: an error that says corruption, or the right bytes."""
    backend = MemoryBackend()
    blob = make(codec=data.draw(st.sampled_from([Codec.RAW, Codec.ZSTD])))
    write_blob(backend, BLOB_KIND_DATA, blob)
    key = keys.blob_key(blob.blob_id)
    content = bytearray(backend.get(key))
    content[data.draw(st.integers(0, 1 << 20)) % len(content)] ^= 1 << data.draw(st.integers(0, 7))
    backend.put(key, [content])

    try:
        found = read_all(backend, blob)
    except CorruptionError:
        return
    assert found == CHUNKS


@given(st.integers(0, 400))
def test_a_blob_that_ends_early_is_damage(cut):
    """A short answer is never taken for the whole."""
    backend = MemoryBackend()
    blob = make()
    write_blob(backend, BLOB_KIND_DATA, blob)
    key = keys.blob_key(blob.blob_id)
    backend.put(key, [backend.get(key)[: blob.size - 1 - cut]])

    with pytest.raises(CorruptionError):
        read_all(backend, blob)


def test_a_missing_blob_is_damage_with_its_key(backend):
    """The message names the object, so that it can be restored."""
    blob = make()

    with pytest.raises(CorruptionError, match=keys.blob_key(blob.blob_id)) as caught:
        TableReader(backend).read(reference(blob))

    assert caught.value.code is ErrorCode.MISSING_OBJECT


def test_a_blob_under_the_name_of_another_is_damage(backend):
    """The table decides who a blob is, not the key that it lies under."""
    blob = make()
    other = make()
    write_blob(backend, BLOB_KIND_DATA, other)
    backend.put(keys.blob_key(blob.blob_id), [backend.get(keys.blob_key(other.blob_id))])

    with pytest.raises(CorruptionError):
        TableReader(backend).read(reference(blob))


def test_a_frame_that_belongs_to_another_place_is_damage(backend):
    """Its head must say what the table says."""
    blob = make()
    write_blob(backend, BLOB_KIND_DATA, blob)
    content = read_range(backend, blob.blob_id, *frame_range(blob.table, 1))

    with pytest.raises(CorruptionError):
        decode_data_frame(blob.blob_id.raw, blob.table, 0, content, np.arange(2))


def test_only_the_wanted_chunks_of_a_frame_are_verified(backend):
    """A reader pays for what it asks for, and is told which chunk is wrong."""
    blob = make(codec=Codec.RAW)
    write_blob(backend, BLOB_KIND_DATA, blob)
    content = bytearray(read_range(backend, blob.blob_id, *frame_range(blob.table, 0)))
    content[-1] ^= 1

    decode_data_frame(blob.blob_id.raw, blob.table, 0, bytes(content), np.array([0]))
    with pytest.raises(CorruptionError, match="chunk 1") as caught:
        decode_data_frame(blob.blob_id.raw, blob.table, 0, bytes(content), np.array([0, 1]))

    assert caught.value.code is ErrorCode.DIGEST_MISMATCH


def test_a_table_is_read_once_and_forgotten_when_others_need_the_room(backend):
    """The cache holds a number of chunks, the latest used first."""
    blobs = [make() for _ in range(3)]
    for blob in blobs:
        write_blob(backend, BLOB_KIND_DATA, blob)
    counting = FaultyBackend(backend)
    reader = TableReader(counting, cached_chunks=12)
    for blob in (blobs[0], blobs[1], blobs[0], blobs[2], blobs[0]):
        reader.read(reference(blob))
    assert counting.operations == 3

    reader.read(reference(blobs[1]))

    assert counting.operations == 4


@pytest.mark.parametrize("wrong", [{"size": 1}, {"table_offset": 1}], ids=["size", "offset"])
def test_a_table_in_memory_does_not_vouch_for_another_place(backend, wrong):
    """A page made of such a reference could not be read by anybody else."""
    blob = make()
    write_blob(backend, BLOB_KIND_DATA, blob)
    ref = reference(blob)
    reader = TableReader(backend)
    reader.read(ref)
    (name, less) = next(iter(wrong.items()))

    with pytest.raises(CorruptionError):
        reader.read(replace(ref, **{name: getattr(ref, name) - less}))

    assert reader.known(ref) is not None


def test_the_table_in_hand_is_the_table_that_is_read(backend):
    """What the writer keeps of a blob is what a reader gets of it."""
    blob = make()
    write_blob(backend, BLOB_KIND_DATA, blob)
    content = read_range(backend, blob.blob_id, blob.table_offset, blob.size)

    table = decode_tail(content, blob.blob_id, blob_size=blob.size, table_offset=blob.table_offset)

    for name in ("frame_offsets", "frame_stored", "frame_raw", "chunk_ids", "chunk_lengths"):
        assert getattr(table, name).tolist() == getattr(blob.table, name).tolist()
