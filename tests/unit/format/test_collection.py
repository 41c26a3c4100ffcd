"""Records of collections, large ones too."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cas.errors import CorruptionError, InvalidInputError
from cas.format.collection import (
    BLOCK_IDS,
    FIRST_READ_BYTES,
    MAX_SET_IDS,
    CondemnRecord,
    VerdictRecord,
    block_ranges,
    condemn_head,
    condemned_rows,
    decode_block,
    decode_condemn,
    decode_done,
    decode_floor,
    decode_verdict,
    encode_condemn,
    encode_done,
    encode_floor,
    encode_verdict,
    listed_rows,
    verdict_head,
)
from cas.format.encoding import pack_record
from cas.model.ids import SessionId

MARK = SessionId(bytes(16))


def numbered(*numbers):
    """Return ids that sort as their numbers."""
    ids = np.zeros((len(numbers), 32), np.uint8)
    ids[:, :4] = np.array(numbers, ">u4").reshape(-1, 1).view(np.uint8)
    return ids


LARGE = encode_condemn(CondemnRecord(7, MARK, numbered(*range(0, 4 * BLOCK_IDS, 2))))


def resealed(magic, content, **changed):
    """Return a record with fields of its head replaced."""
    from cas.format.encoding import unpack_record

    length = struct.unpack_from("<I", content, 4)[0]
    fields = unpack_record(magic, content[8 : 8 + length], what="it", limit=1 << 16)
    head = pack_record(magic, {**fields, **changed})
    return struct.pack("<4sI", magic, len(head)) + head + content[8 + length :]


def test_few_ids_are_checked_by_reading_few_blocks():
    """A writer that relies on three blobs reads the head and at most three blocks."""
    head = condemn_head(LARGE[:FIRST_READ_BYTES], what="it")
    wanted = numbered(10, 11, 12_000)
    blocks = block_ranges(head, wanted)
    listed = np.concatenate(
        [decode_block(head, one, LARGE[one.start : one.stop], what="it") for one in blocks]
    )

    assert [one.row for one in blocks] == [0, 1]
    assert listed_rows(listed, wanted).tolist() == [True, False, True]


def test_id_before_the_first_block_needs_no_read():
    """The head alone tells that it is not listed."""
    record = encode_condemn(CondemnRecord(7, MARK, numbered(5, 6)))
    head = condemn_head(record, what="it")

    assert block_ranges(head, numbered(4)) == []
    assert block_ranges(head, numbered()) == []


def test_empty_record_lists_nothing():
    """A run may find nothing to collect."""
    content = encode_condemn(CondemnRecord(7, MARK, numbered()))

    assert len(decode_condemn(content, what="it").blob_ids) == 0
    assert block_ranges(condemn_head(content, what="it"), numbered(1)) == []


def test_condemned_ids_are_found_among_many():
    """The answer is a mask over the ids that were asked for."""
    record = decode_condemn(LARGE, what="it")
    asked = numbered(0, 1, 4 * BLOCK_IDS - 2, 4 * BLOCK_IDS, 2**32 - 1)

    assert condemned_rows(record, asked).tolist() == [True, False, True, False, False]


def test_verdict_clears_what_it_lists_or_all():
    """An abandoned run clears every candidate without naming it."""
    some = VerdictRecord(7, numbered(3), all=False)
    every = VerdictRecord(7, numbered(), all=True)
    asked = numbered(2, 3)

    assert condemned_rows(some, asked).tolist() == [False, True]
    assert condemned_rows(every, asked).tolist() == [True, True]
    assert verdict_head(encode_verdict(every), what="it").all


def test_marks_name_their_run():
    """Done and floor are not taken for each other."""
    assert (decode_done(encode_done(3), what="it"), decode_floor(encode_floor(4), what="it")) == (
        3,
        4,
    )
    with pytest.raises(CorruptionError):
        decode_floor(encode_done(3), what="it")


SMALL = encode_condemn(CondemnRecord(7, MARK, numbered(1, 2)))
UNSORTED = numbered(1, 2)[::-1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SMALL[:7],
        SMALL[:40],
        SMALL[:-1],
        SMALL + b"\0",
        b"XXXX" + SMALL[4:],
        SMALL[:-1] + b"\1",
        SMALL[:4] + b"\xff\xff\xff\xff" + SMALL[8:],
        encode_verdict(VerdictRecord(7, numbered(1, 2), all=False)),
        encode_condemn(CondemnRecord(7, MARK, UNSORTED)),
        encode_condemn(CondemnRecord(7, MARK, numbered(1, 1))),
        encode_condemn(CondemnRecord(7, MARK, numbered(*range(1, BLOCK_IDS + 1), 0))),
        encode_condemn(CondemnRecord(7, MARK, numbered(*range(BLOCK_IDS), BLOCK_IDS - 1))),
        resealed(b"CASC", SMALL, block_firsts=bytes(32)),
        resealed(b"CASC", SMALL, count=MAX_SET_IDS + 1),
        resealed(b"CASC", SMALL, count=BLOCK_IDS + 1),
        resealed(b"CASC", SMALL, collector=None),
    ],
)
def test_condemn_record_that_breaks_a_rule_is_refused(content):
    """A run with a damaged record is never acted on."""
    with pytest.raises(CorruptionError, match=r"^it: "):
        decode_condemn(content, what="it")


def test_verdict_that_clears_all_lists_nothing():
    """Two answers in one record are none."""
    content = encode_verdict(VerdictRecord(7, numbered(1), all=True))

    with pytest.raises(CorruptionError, match="clears all and lists"):
        decode_verdict(content, what="it")


def test_block_that_is_cut_off_is_refused():
    """A ranged read that came short is no block."""
    head = condemn_head(SMALL, what="it")
    block = block_ranges(head, numbered(1))[0]

    with pytest.raises(CorruptionError, match="block 0 has 63 bytes"):
        decode_block(head, block, SMALL[block.start : block.stop - 1], what="it")


def test_record_of_too_many_blobs_is_left_to_the_next_run():
    """A run takes what a record can hold."""
    with pytest.raises(InvalidInputError, match="1048577 blobs"):
        encode_condemn(CondemnRecord(7, MARK, np.zeros((MAX_SET_IDS + 1, 32), np.uint8)))
