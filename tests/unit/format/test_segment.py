"""Index segments, whole and in part."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cas.errors import CorruptionError, InvalidInputError
from cas.format.encoding import pack_record
from cas.format.segment import (
    BLOB_ROW_BYTES,
    BLOCK_ENTRIES,
    ENTRY_BYTES,
    FIRST_READ_BYTES,
    Segment,
    chunk_keys,
    decode_segment,
    encode_segment,
    segment_prefix_bytes,
)
from cas.model.ids import SessionId


def make(count, **changed):
    return Segment(
        **{
            "stamp": 4,
            "session": SessionId(bytes(16)),
            "supersedes": ("index/0-x-0000",),
            "blob_ids": np.arange(64, dtype=np.uint8).reshape(2, 32),
            "blob_sizes": np.array([100, 200], np.uint32),
            "table_offsets": np.array([50, 60], np.uint32),
            "keys": np.arange(count, dtype=np.uint64) << np.uint64(40),
            "values": np.arange(count, dtype=np.uint32) % 2,
            **changed,
        }
    )


WHOLE = make(2 * BLOCK_ENTRIES + 5)
CONTENT = encode_segment(WHOLE)
ENTRIES_AT = len(CONTENT) - ENTRY_BYTES * len(WHOLE.keys)


def test_segment_of_several_blocks_comes_back():
    """Entries of full blocks and of the last one are put together in order."""
    again = decode_segment(CONTENT, what="it")

    assert np.array_equal(again.keys, WHOLE.keys)
    assert np.array_equal(again.values, WHOLE.values)
    assert again.supersedes == WHOLE.supersedes


@pytest.mark.parametrize(
    ("entry_bytes", "entries"),
    [
        (0, 0),
        (ENTRY_BYTES * BLOCK_ENTRIES - 1, 0),
        (ENTRY_BYTES * BLOCK_ENTRIES, BLOCK_ENTRIES),
        (ENTRY_BYTES * (BLOCK_ENTRIES + 9), BLOCK_ENTRIES),
        (ENTRY_BYTES * 2 * BLOCK_ENTRIES + 1, 2 * BLOCK_ENTRIES),
        (ENTRY_BYTES * len(WHOLE.keys), len(WHOLE.keys)),
    ],
)
def test_prefix_holds_its_whole_blocks(entry_bytes, entries):
    """A segment that is read in part is a sample of itself."""
    part = decode_segment(CONTENT[: ENTRIES_AT + entry_bytes], what="it", partial=True)

    assert np.array_equal(part.keys, WHOLE.keys[:entries])
    assert np.array_equal(part.values, WHOLE.values[:entries])
    assert len(part.blob_ids) == 2


def test_prefix_without_the_table_of_blobs_holds_nothing():
    """Entries without blobs lead nowhere."""
    part = decode_segment(CONTENT[: ENTRIES_AT - 1], what="it", partial=True)

    assert (len(part.blob_ids), len(part.keys), part.stamp) == (0, 0, 4)


@pytest.mark.parametrize(
    ("shift", "entries"),
    [(0, 2 * BLOCK_ENTRIES + 5), (1, 2 * BLOCK_ENTRIES), (4, BLOCK_ENTRIES), (70, BLOCK_ENTRIES)],
)
def test_size_of_a_sample_is_known_from_the_first_read(shift, entries):
    """Whole blocks, at least as many entries as asked for."""
    stop = segment_prefix_bytes(CONTENT[:FIRST_READ_BYTES], shift, what="it")

    assert len(decode_segment(CONTENT[:stop], what="it", partial=True).keys) == entries


def test_segment_without_entries_comes_back():
    """A writer may have stored nothing new."""
    again = decode_segment(encode_segment(make(0)), what="it")

    assert (len(again.keys), len(again.blob_ids)) == (0, 2)


BROKEN = {
    "empty": b"",
    "other magic": b"XXXX" + CONTENT[4:],
    "head cut off": CONTENT[:20],
    "head too long": CONTENT[:4] + b"\xff\xff\xff\xff" + CONTENT[8:],
    "head damaged": CONTENT[:20] + b"\xff" + CONTENT[21:],
    "cut off": CONTENT[:-1],
    "followed by something": CONTENT + b"\0",
    "keys out of order": encode_segment(make(3, keys=np.array([2, 1, 3], np.uint64))),
    "entry of no blob": encode_segment(make(3, values=np.array([0, 1, 2], np.uint32))),
    "table after the blob": encode_segment(make(3, table_offsets=np.array([100, 60], np.uint32))),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_segment_that_breaks_a_rule_is_refused(content):
    """A damaged hint is no hint."""
    with pytest.raises(CorruptionError, match=r"^it: "):
        decode_segment(content, what="it")


def test_counts_that_promise_more_than_there_is_allocate_nothing():
    """Lengths are compared with the input first."""
    head = pack_record(
        b"CASH",
        {
            "stamp": 0,
            "session": bytes(16),
            "supersedes": [],
            "n_blobs": (1 << 32) - 1,
            "n_entries": 1 << 40,
        },
    )
    content = struct.pack("<4sI", b"CASX", len(head)) + head

    with pytest.raises(CorruptionError, match="bytes, not"):
        decode_segment(content, what="it")
    assert len(decode_segment(content, what="it", partial=True).keys) == 0


def test_segment_that_supersedes_too_many_is_refused():
    """The head stays small enough for one read."""
    with pytest.raises(InvalidInputError, match="cannot supersede 9999"):
        encode_segment(make(0, supersedes=("index/0-x-0000",) * 9999))


def test_bytes_of_an_entry_and_a_blob_are_those_of_the_specification():
    """The size of a segment follows from its counts."""
    more = encode_segment(make(2 * BLOCK_ENTRIES + 6))

    assert (len(more) - len(CONTENT), ENTRY_BYTES, BLOB_ROW_BYTES) == (12, 12, 40)
    assert chunk_keys(np.arange(32, dtype=np.uint8).reshape(1, 32)).tolist() == [0x0001020304050607]
