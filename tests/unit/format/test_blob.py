"""What readers of blobs refuse."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from cas.errors import CorruptionError, UnsupportedError
from cas.format.blob import (
    KIND_DATA,
    KIND_META,
    MAX_TABLE_BYTES,
    BlobTable,
    compress_table,
    decode_frame,
    decode_frame_head,
    decode_header,
    decode_tail,
    decode_trailer,
    encode_frame_head,
    encode_header,
    encode_table,
    encode_trailer,
    frame_length,
    table_blob_id,
)
from cas.format.encoding import MAX_BLOB_CHUNKS, MAX_FRAME_BYTES, MAX_PAGE_BYTES
from cas.model.ids import BlobId, SessionId

SESSION = SessionId(bytes(16))
IDS = bytes(range(64))


def u32(*values):
    return np.array(values, np.uint32)


def make_table(stored=(50, 6), raw=(100, 6), codecs=(1, 0)):
    """A compressed frame of two chunks, and a raw one of one."""
    first = frame_length(2, stored[0])
    return BlobTable(
        nonce=bytes(16),
        session=SESSION,
        frame_offsets=u32(40, 40 + first),
        frame_stored=u32(*stored),
        frame_raw=u32(*raw),
        frame_codecs=np.array(codecs, np.uint8),
        frame_params=np.zeros(2, np.uint16),
        frame_chunks=np.array([2, 1], np.uint16),
        chunk_ids=np.zeros((3, 32), np.uint8),
        chunk_lengths=u32(raw[0] - 1, 1, raw[1]),
    )


def end_of(table):
    """Return where the frames of a table end."""
    counts = table.frame_chunks.astype(np.int64)
    return int(40 + (14 + 36 * counts + table.frame_stored).sum())


def read_back(table, kind=KIND_DATA, offset=None):
    raw = encode_table(table)
    packed = compress_table(raw)
    offset = end_of(table) if offset is None else offset
    content = packed + encode_trailer(offset, len(packed), len(raw))
    return decode_tail(
        content,
        table_blob_id(raw),
        blob_size=offset + len(content),
        table_offset=offset,
        kind=kind,
    )


def test_sizes_are_those_of_the_specification():
    """Readers compute offsets from these."""
    table = encode_table(make_table())

    assert len(encode_header(KIND_DATA, bytes(16), SESSION)) == 40
    assert len(encode_frame_head(0, 0, 1, 1, IDS, [1, 1])) == 14 + 2 * 36
    assert len(table) == 48 + 2 * 17 + 3 * 36
    assert len(encode_trailer(1, 2, 3)) == 20
    assert MAX_TABLE_BYTES == 48 + MAX_BLOB_CHUNKS * (17 + 36)


def test_whole_table_is_taken():
    """The table that the other tests break is right."""
    assert encode_table(read_back(make_table())) == encode_table(make_table())


def test_table_that_its_id_does_not_vouch_for_is_refused():
    """A blob under another's key is damage."""
    raw = encode_table(make_table())
    packed = compress_table(raw)
    content = packed + encode_trailer(40, len(packed), len(raw))

    with pytest.raises(CorruptionError, match="its digest is"):
        decode_tail(content, BlobId(bytes(32)), blob_size=40 + len(content), table_offset=40)


def test_derived_columns_say_where_each_chunk_is():
    """Frame of each chunk, its place in it, and the first chunk of each frame."""
    table = make_table()

    assert table.first_chunks.tolist() == [0, 2, 3]
    assert table.chunk_frames.tolist() == [0, 0, 1]
    assert table.chunk_starts.tolist() == [0, 99, 0]


def broken_tables():
    table = make_table()
    return {
        "frame without chunks": replace(table, frame_chunks=np.array([3, 0], np.uint16)),
        "chunk without a frame": replace(table, frame_chunks=np.array([1, 1], np.uint16)),
        "empty chunk": replace(table, chunk_lengths=u32(100, 0, 6)),
        "chunks over the frame": replace(table, chunk_lengths=u32(99, 2, 6)),
        "empty frame": replace(table, frame_raw=u32(0, 6)),
        "nothing stored": replace(table, frame_stored=u32(0, 6)),
        "raw frame of other length": make_table(stored=(50, 5)),
        "overlap": replace(table, frame_offsets=u32(40, 41)),
        "late first frame": replace(table, frame_offsets=table.frame_offsets + np.uint32(1)),
        "huge frame": make_table(raw=(MAX_FRAME_BYTES + 1, 6)),
        "huge payload": make_table(stored=(MAX_FRAME_BYTES + 1, 6)),
        "no frames": replace(
            table,
            frame_offsets=u32(),
            frame_stored=u32(),
            frame_raw=u32(),
            frame_codecs=np.zeros(0, np.uint8),
            frame_params=np.zeros(0, np.uint16),
            frame_chunks=np.zeros(0, np.uint16),
            chunk_ids=np.zeros((0, 32), np.uint8),
            chunk_lengths=u32(),
        ),
    }


@pytest.mark.parametrize("table", broken_tables().values(), ids=broken_tables())
def test_table_that_breaks_a_rule_is_refused(table):
    """A table is believed only when it agrees with itself."""
    with pytest.raises(CorruptionError, match=r"^table of blob"):
        read_back(table)


def test_table_that_does_not_end_where_frames_do_is_refused():
    """Nothing may hide between frames and table."""
    with pytest.raises(CorruptionError, match="one after another"):
        read_back(make_table(), offset=end_of(make_table()) + 1)


def test_pages_may_be_larger_than_data_frames():
    """Only a meta blob holds frames of up to 16 MiB."""
    table = make_table(raw=(MAX_PAGE_BYTES, 6))

    read_back(table, KIND_META)
    with pytest.raises(CorruptionError, match="over 4194304 bytes"):
        read_back(table)


def test_data_blob_over_its_raw_limit_is_refused():
    """A reader can bound its memory by the blob."""
    count = 17
    table = replace(
        make_table(),
        frame_offsets=u32(*(40 + 60 * row for row in range(count))),
        frame_stored=u32(*[10] * count),
        frame_raw=u32(*[MAX_FRAME_BYTES] * count),
        frame_codecs=np.ones(count, np.uint8),
        frame_params=np.zeros(count, np.uint16),
        frame_chunks=np.ones(count, np.uint16),
        chunk_ids=np.zeros((count, 32), np.uint8),
        chunk_lengths=u32(*[MAX_FRAME_BYTES] * count),
    )

    read_back(table, KIND_META)
    with pytest.raises(CorruptionError, match="raw bytes"):
        read_back(table)


def test_tail_of_another_place_is_refused():
    """Content, trailer and the caller agree on where the table is."""
    raw = encode_table(make_table())
    packed = compress_table(raw)
    content = packed + encode_trailer(7, len(packed), len(raw))
    where = {"blob_size": 40 + len(content), "table_offset": 40}

    with pytest.raises(CorruptionError, match="stands at 7, not at 40"):
        decode_tail(content, table_blob_id(raw), **where)
    with pytest.raises(CorruptionError, match="bytes, not"):
        decode_tail(content[1:], table_blob_id(raw), **where)


@pytest.mark.parametrize("content", [b"", bytes(20), encode_trailer(1, 2, 3)[:-1] + b"X"])
def test_end_that_is_no_trailer_is_refused(content):
    """A blob ends with its own magic and checksum."""
    with pytest.raises(CorruptionError):
        decode_trailer(content, what="it")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"CASB", CorruptionError),
        (b"XXXX" + bytes(36), CorruptionError),
        (b"CASB\2" + bytes(35), UnsupportedError),
        (b"CASB\1\2" + bytes(34), UnsupportedError),
        (b"CASB\1\0\1" + bytes(33), UnsupportedError),
    ],
)
def test_beginning_that_is_no_header_is_refused(content, error):
    """A later kind of blob is unknown, not damaged."""
    with pytest.raises(error):
        decode_header(content, what="it")


@pytest.mark.parametrize(
    ("offset", "value", "error"),
    [(0, b"X", CorruptionError), (4, b"\2", UnsupportedError), (5, b"\1", UnsupportedError)],
)
def test_table_of_another_format_is_refused(offset, value, error):
    """A later table is unknown, not damaged."""
    raw = encode_table(make_table())
    raw = raw[:offset] + value + raw[offset + 1 :]
    packed = compress_table(raw)
    content = packed + encode_trailer(40, len(packed), len(raw))

    with pytest.raises(error):
        decode_tail(content, table_blob_id(raw), blob_size=40 + len(content), table_offset=40)


@pytest.mark.parametrize("length", [1, 47, 60])
def test_table_that_is_cut_off_is_refused(length):
    """Counts are compared with the bytes there are before anything is read."""
    raw = encode_table(make_table())[:length]
    packed = compress_table(raw)
    content = packed + encode_trailer(40, len(packed), len(raw))

    with pytest.raises(CorruptionError):
        decode_tail(content, table_blob_id(raw), blob_size=40 + len(content), table_offset=40)


FRAME = encode_frame_head(1, 0, 5, 9, IDS, [4, 5]) + b"abcde"


def frame_with(**changed):
    head = {"tag": 0xF5, "codec": 1, "param": 0, "stored": 5, "raw": 9, "count": 2, **changed}
    return struct.pack("<BBHIIH", *head.values()) + FRAME[14:]


@pytest.mark.parametrize(
    "content",
    [
        FRAME[:13],
        FRAME[:40],
        FRAME[:-1],
        FRAME + b"x",
        frame_with(tag=0),
        frame_with(count=0),
        frame_with(count=MAX_BLOB_CHUNKS + 1),
        frame_with(count=1),
        frame_with(raw=0),
        frame_with(raw=10),
        frame_with(raw=MAX_PAGE_BYTES + 1),
        frame_with(stored=0),
        frame_with(stored=MAX_PAGE_BYTES + 1),
        frame_with(codec=0),
        encode_frame_head(1, 0, 5, 9, IDS, [9, 0]) + b"abcde",
        encode_frame_head(1, 0, 5, 9, IDS, [2**32 - 1, 10]) + b"abcde",
    ],
)
def test_bytes_that_are_not_one_frame_are_refused(content):
    """Lengths are checked against the input and the limits before they are used."""
    with pytest.raises(CorruptionError, match=r"^it: "):
        decode_frame(content, what="it")


def test_payload_of_a_frame_is_not_copied():
    """A reader decodes from the bytes that it fetched."""
    content = bytearray(FRAME)
    frame = decode_frame(content, what="it")

    assert frame.payload.obj is content
    assert bytes(frame.payload) == b"abcde"


def test_scan_finds_the_next_frame_from_the_head():
    """A head tells the length of its frame, whatever follows."""
    head = decode_frame_head(FRAME + b"what follows", what="it")

    assert (head.length, head.stored) == (len(FRAME), 5)
