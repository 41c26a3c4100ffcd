"""Identifiers of different kinds never mix."""

from __future__ import annotations

import pickle

import pytest

from cas.errors import InvalidInputError
from cas.model.ids import BlobId, ChunkId, Digest, FileHash, PageId, SessionId, VersionDigest

KINDS = [ChunkId, BlobId, PageId, FileHash, VersionDigest]
RAW = bytes(range(32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_ids_are_equal_only_within_their_kind(kind, other):
    """The same 32 bytes as a chunk id and as a blob id are two things."""
    assert (kind(RAW) == other(RAW)) is (kind is other)
    assert len({kind(RAW), other(RAW)}) == (1 if kind is other else 2)


def test_ids_of_two_kinds_have_no_order():
    """Sorting a mixed list is a programming error."""
    with pytest.raises(TypeError):
        sorted([ChunkId(RAW), BlobId(RAW)])


def test_ids_are_ordered_by_their_bytes():
    """The order is that of the raw bytes, which is what index segments rely on."""
    ids = [ChunkId(bytes([number]) * 32) for number in (9, 255, 0)]

    assert [found.raw[0] for found in sorted(ids)] == [0, 9, 255]


@pytest.mark.parametrize("length", [0, 16, 31, 33])
@pytest.mark.parametrize("kind", [Digest, *KINDS])
def test_a_digest_has_32_bytes(kind, length):
    """Any other length is refused."""
    with pytest.raises(InvalidInputError, match=kind.__name__):
        kind(bytes(length))


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_session_id_has_16_bytes(length):
    """Any other length is refused."""
    with pytest.raises(InvalidInputError):
        SessionId(bytes(length))


def test_hex_goes_there_and_back():
    """All digits name the id; the short form is the first twelve."""
    blob_id = BlobId(RAW)

    assert BlobId.from_hex(blob_id.hex) == blob_id
    assert (str(blob_id), blob_id.short) == (RAW.hex(), "000102030405")
    assert (str(SessionId(RAW[:16])), SessionId(RAW[:16]).hex) == (RAW[:16].hex(),) * 2


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 31, "00" * 33, "0" * 63])
def test_what_is_no_digest_is_refused(text):
    """Digits must be hexadecimal and 64."""
    with pytest.raises(InvalidInputError):
        BlobId.from_hex(text)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_can_be_pickled(kind):
    """Plans and errors carry ids between processes."""
    assert pickle.loads(pickle.dumps(kind(RAW))) == kind(RAW)
