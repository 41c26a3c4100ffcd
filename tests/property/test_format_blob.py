"""Blobs and their tables, for any chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import CorruptionError
from cas.format.blob import (
    HEADER_BYTES,
    KIND_META,
    BlobTable,
    compress_table,
    decode_frame,
    decode_header,
    decode_tail,
    encode_frame_head,
    encode_header,
    encode_table,
    encode_trailer,
    frame_length,
    table_blob_id,
)
from cas.model.ids import BlobId, SessionId

sessions = st.builds(SessionId, st.binary(min_size=16, max_size=16))
nonces = st.binary(min_size=16, max_size=16)
chunk = st.tuples(st.binary(min_size=32, max_size=32), st.integers(1, 5000))
frames = st.lists(
    st.tuples(st.lists(chunk, min_size=1, max_size=4), st.integers(1, 255), st.integers(0, 65535)),
    min_size=1,
    max_size=5,
)


def make_blob(made, nonce, session):
    """Lay frames out as a blob whose payloads are zeros; return its bytes, table, table offset."""
    body = encode_header(KIND_META, nonce, session)
    rows = []
    for chunks, codec, param in made:
        raw = sum(length for _, length in chunks)
        stored = raw // 2 + 1
        rows.append((len(body), stored, raw, codec, param, len(chunks)))
        ids = b"".join(chunk_id for chunk_id, _ in chunks)
        lengths = [length for _, length in chunks]
        body += encode_frame_head(codec, param, stored, raw, ids, lengths) + bytes(stored)
    columns = np.array(rows)
    every = [one for chunks, _, _ in made for one in chunks]
    table = BlobTable(
        nonce=nonce,
        session=session,
        frame_offsets=columns[:, 0].astype(np.uint32),
        frame_stored=columns[:, 1].astype(np.uint32),
        frame_raw=columns[:, 2].astype(np.uint32),
        frame_codecs=columns[:, 3].astype(np.uint8),
        frame_params=columns[:, 4].astype(np.uint16),
        frame_chunks=columns[:, 5].astype(np.uint16),
        chunk_ids=np.frombuffer(b"".join(i for i, _ in every), np.uint8).reshape(-1, 32),
        chunk_lengths=np.array([length for _, length in every], np.uint32),
    )
    raw_table = encode_table(table)
    packed = compress_table(raw_table)
    return body + packed + encode_trailer(len(body), len(packed), len(raw_table)), table, len(body)


@given(frames, nonces, sessions)
def test_blob_is_read_as_it_was_written(made, nonce, session):
    """Header, table and frames of a blob say the same, and the same as what was put in."""
    content, table, offset = make_blob(made, nonce, session)
    blob_id = table_blob_id(encode_table(table))

    again = decode_tail(content[offset:], blob_id, blob_size=len(content), table_offset=offset)
    header = decode_header(content, what="blob")

    assert (header.kind, header.nonce, header.session) == (KIND_META, nonce, session)
    assert encode_table(again) == encode_table(table)
    for row, (chunks, codec, param) in enumerate(made):
        start = int(again.frame_offsets[row])
        stop = start + frame_length(len(chunks), int(again.frame_stored[row]))
        frame = decode_frame(content[start:stop], what="frame")
        assert (frame.codec, frame.param) == (codec, param)
        assert frame.raw_length == int(again.frame_raw[row])
        assert len(frame.payload) == int(again.frame_stored[row])
        assert frame.chunk_lengths.tolist() == [length for _, length in chunks]
        assert [one.tobytes() for one in frame.chunk_ids] == [i for i, _ in chunks]


@given(frames, nonces, sessions)
def test_table_knows_frame_and_place_of_every_chunk(made, nonce, session):
    """The derived columns agree with counting chunk by chunk."""
    _, table, _ = make_blob(made, nonce, session)
    first, expected_frames, expected_starts = [0], [], []
    for row, (chunks, _, _) in enumerate(made):
        start = 0
        for _, length in chunks:
            expected_frames.append(row)
            expected_starts.append(start)
            start += length
        first.append(len(expected_frames))

    assert table.first_chunks.tolist() == first
    assert table.chunk_frames.tolist() == expected_frames
    assert table.chunk_starts.tolist() == expected_starts


@given(frames, nonces, sessions, st.data())
def test_no_changed_byte_of_a_tail_goes_unnoticed(made, nonce, session, data):
    """A tail with one changed byte is refused, wherever the byte is."""
    content, table, offset = make_blob(made, nonce, session)
    blob_id = table_blob_id(encode_table(table))
    tail = bytearray(content[offset:])
    tail[data.draw(st.integers(0, len(tail) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        again = decode_tail(bytes(tail), blob_id, blob_size=len(content), table_offset=offset)
    except CorruptionError:
        return
    # A few bits of zstd's own framing mean nothing; the table is the same or it is refused.
    assert encode_table(again) == encode_table(table)


@given(frames, nonces, sessions)
def test_table_of_another_blob_is_refused(made, nonce, session):
    """A table is taken only for the blob whose id it has."""
    content, _, offset = make_blob(made, nonce, session)

    with pytest.raises(CorruptionError, match="digest"):
        decode_tail(
            content[offset:], BlobId(bytes(32)), blob_size=len(content), table_offset=offset
        )


def test_header_has_the_length_that_offsets_begin_at():
    """The first frame of every blob begins at 40."""
    assert len(encode_header(KIND_META, bytes(16), SessionId(bytes(16)))) == HEADER_BYTES == 40
