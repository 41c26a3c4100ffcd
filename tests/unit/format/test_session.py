"""Intents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cas.errors import CorruptionError, InvalidInputError
from cas.format.encoding import MAX_INTENT_BYTES, pack_record, unpack_record
from cas.format.session import Intent, decode_intent, encode_intent
from cas.model.entry import PageLocation
from cas.model.ids import BlobId, PageId, SessionId

LOW, HIGH = bytes(32), b"\x80" * 32
INTENT = Intent(
    session=SessionId(bytes(16)),
    k=2,
    final=True,
    artifact="team/bert",
    slot=3,
    revision=None,
    blob_ids=LOW + HIGH,
    meta_ids=HIGH,
    pages=(
        PageLocation(
            page_id=PageId(LOW), blob_id=BlobId(HIGH), blob_size=900, offset=40, length=100
        ),
    ),
    stamp=5,
    created_ns=1,
)


def test_intent_comes_back():
    """A collector sees exactly what the writer named."""
    assert decode_intent(encode_intent(INTENT), what="it") == INTENT


@pytest.mark.parametrize(
    "changed",
    [
        {"slot": None},
        {"artifact": None},
        {"slot": None, "final": False, "revision": 1},
        {"blob_ids": HIGH + LOW},
        {"blob_ids": LOW + LOW},
        {"meta_ids": LOW[:31]},
        {"k": -1},
    ],
)
def test_intent_that_no_writer_makes_is_refused(changed):
    """A collector never acts on half an intent."""
    with pytest.raises(CorruptionError, match=r"^it: "):
        decode_intent(encode_intent(replace(INTENT, **changed)), what="it")


def test_plain_intent_needs_no_slot():
    """Only a final intent names what may be published."""
    plain = replace(INTENT, final=False, artifact=None, slot=None)

    assert decode_intent(encode_intent(plain), what="it") == plain


def test_pages_whose_columns_differ_in_length_are_refused():
    """Every page has an id, a blob, and a place in it."""
    fields = unpack_record(b"CASI", encode_intent(INTENT), what="it", limit=1 << 16)

    for name in ("page_ids", "page_blobs", "page_blob_sizes", "page_offsets", "page_lengths"):
        with pytest.raises(CorruptionError):
            decode_intent(pack_record(b"CASI", {**fields, name: b""}), what="it")


def test_intent_over_its_limit_is_refused():
    """A writer splits what it names over several intents."""
    with pytest.raises(InvalidInputError, match="over the limit"):
        encode_intent(replace(INTENT, blob_ids=bytes(MAX_INTENT_BYTES)))
