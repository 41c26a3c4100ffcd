"""Frames are found again behind damaged heads, in their places; hostile bytes cost little."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import zstandard
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.format.blob import FRAME_HEAD_BYTES, FRAME_TAG, HEADER_BYTES, KIND_DATA
from cas.model.ids import BlobId, SessionId
from cas.objects import scan_blob as scanning
from cas.objects.blobs import AssembledBlob, EncodedFrame, assemble_blob
from cas.objects.examine_blob import BlobTarget
from cas.objects.scan_blob import is_table_of, scan_blob
from cas.testing.corpora import random_content, text_content

SESSION = SessionId(bytes(range(16)))


def make_blob(frames: list[list[int]]) -> AssembledBlob:
    """A blob of frames of chunks of these lengths; every other one is compressed."""
    encoded = []
    for number, lengths in enumerate(frames):
        size = sum(lengths)
        raw = random_content(number, size) if number % 2 else text_content(number, size)
        stops = np.cumsum(lengths).tolist()
        ids = [blake3(raw[stop - length : stop]).digest() for stop, length in zip(stops, lengths)]  # noqa: B905
        payload = raw if number % 2 else zstandard.ZstdCompressor().compress(raw)
        codec = 0 if number % 2 else 1
        encoded.append(EncodedFrame(codec, 0, payload, size, b"".join(ids), lengths))
    return assemble_blob(KIND_DATA, SESSION, encoded)


def target_of(blob: AssembledBlob, *, knows_table: bool) -> BlobTarget:
    offset = blob.table_offset if knows_table else 0
    return BlobTarget(blob.blob_id.raw, False, blob.size, offset)


@st.composite
def draw_frames(draw: st.DrawFn) -> list[list[int]]:
    """Frames of chunks of which no two are equally long: else pages do not tell which is which."""
    lengths = draw(st.lists(st.integers(40, 2000), min_size=3, max_size=40, unique=True))
    frames: list[list[int]] = [[lengths[0]]]
    for length in lengths[1:]:
        if draw(st.booleans()):
            frames.append([])
        frames[-1].append(length)
    return frames


frames_of = draw_frames()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), frames=frames_of, knows_table=st.booleans())
def test_whatever_happens_to_heads_all_other_frames_are_found_in_their_places(
    data, frames, knows_table
):
    """With what pages say of the chunks that lie behind."""
    blob = make_blob(frames)
    content = bytearray(b"".join(map(bytes, blob.parts)))
    hit = data.draw(st.sets(st.integers(0, len(frames) - 1), min_size=1, max_size=3))
    for frame in hit:
        at = int(blob.table.frame_offsets[frame])
        width = FRAME_HEAD_BYTES + 36 * len(frames[frame])
        place = at + data.draw(st.integers(0, width - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    lengths = blob.table.chunk_lengths.tolist()
    extents = [(row, 1, length) for row, length in enumerate(lengths)]

    table = scan_blob(content, target_of(blob, knows_table=knows_table), extents)

    first = blob.table.first_chunks
    ids = [] if table is None else table.chunk_ids.tolist()
    for frame in range(len(frames)):
        rows = slice(int(first[frame]), int(first[frame + 1]))
        if frame in hit or ids[rows] != blob.table.chunk_ids[rows].tolist():
            # Right beside a damaged head one more may be lost: what is plausible is followed by another.
            assert {frame - 1, frame, frame + 1} & hit
            continue
        place = int(np.searchsorted(table.first_chunks, first[frame]))
        assert table.frame_offsets[place] == blob.table.frame_offsets[frame]


@settings(max_examples=50, deadline=None)
@given(frames=frames_of, data=st.data())
def test_a_wrong_length_in_a_head_is_put_right(frames, data):
    """Then the table is made again to the byte, and its id vouches for it."""
    blob = make_blob(frames)
    content = bytearray(b"".join(map(bytes, blob.parts)))
    frame = 2 * data.draw(st.integers(0, (len(frames) - 1) // 2))
    at = int(blob.table.frame_offsets[frame]) + 4
    stored = struct.unpack_from("<I", content, at)[0]
    wrong = data.draw(st.integers(1, 5000).filter(lambda value: value != stored))
    struct.pack_into("<I", content, at, wrong)
    target = target_of(blob, knows_table=True)

    table = scan_blob(content, target)

    assert table is not None
    assert is_table_of(table, target)


def test_what_no_page_speaks_of_has_no_place():
    """Without extents only what stands before the damage is there."""
    blob = make_blob([[500, 600], [700], [800, 50], [90]])
    content = bytearray(b"".join(map(bytes, blob.parts)))
    content[int(blob.table.frame_offsets[1])] ^= 1

    table = scan_blob(content, target_of(blob, knows_table=True))

    assert table is not None
    assert table.chunk_lengths.tolist() == [500, 600]


hostile = st.one_of(
    st.binary(max_size=3000),
    st.builds(
        lambda tag, n: bytes([FRAME_TAG, 1, 0, 0]) * n + tag,
        st.binary(max_size=40),
        st.integers(0, 900),
    ),
    st.builds(
        lambda n: struct.pack("<BBHIIH", FRAME_TAG, 1, 0, 1, 16000, 16000) * n, st.integers(0, 900)
    ),
)


@settings(max_examples=100, deadline=None)
@given(content=hostile, offset=st.integers(0, 4000))
def test_hostile_bytes_are_scanned_without_harm(content, offset):
    """There is an answer, and it vouches for nothing."""
    target = BlobTarget(BlobId(bytes(32)).raw, False, len(content), offset)

    table = scan_blob(bytes(HEADER_BYTES) + content, target, [(0, 1, 100), (16383, 1, 5)])

    assert table is None or not is_table_of(table, target)


def test_the_work_on_hostile_bytes_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """Heads that claim many chunks each are tried until so many were, and no more."""
    tried = []
    real = scanning.decode_frame_head
    monkeypatch.setattr(
        scanning, "decode_frame_head", lambda view, **k: (tried.append(1), real(view, **k))[1]
    )
    head = struct.pack("<BBHIIH", FRAME_TAG, 1, 0, 1, 16000, 16000)
    content = bytes(HEADER_BYTES + 1) + head * 200_000

    scan_blob(content, BlobTarget(bytes(32), False, len(content), 0))

    assert len(tried) < 2 * scanning.MAX_TRIED_CHUNKS // 16000 + scanning.MAX_GAPS
