"""Records of versions, moves and aliases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cas.errors import CorruptionError, InvalidInputError, UnsupportedError
from cas.format.encoding import pack_record, unpack_record
from cas.format.version import (
    AliasRecord,
    MoveKind,
    MoveRecord,
    RevisionRecord,
    VersionRecord,
    VoidRecord,
    decode_alias,
    decode_move,
    decode_revision,
    decode_slot,
    encode_alias,
    encode_move,
    encode_revision,
    encode_slot,
)
from cas.model.entry import PageLocation, Totals
from cas.model.ids import BlobId, PageId, SessionId, VersionDigest
from cas.model.names import ArtifactName

BERT = ArtifactName("team/bert")
SESSION = SessionId(bytes(16))
DIGEST = VersionDigest(bytes(32))
LOCATION = PageLocation(
    page_id=PageId(bytes(32)), blob_id=BlobId(bytes(32)), blob_size=900, offset=40, length=100
)
RECORD = VersionRecord(
    artifact=BERT,
    number=3,
    digest=DIGEST,
    totals=Totals(files=1, symlinks=0, directories=0, externals=0, size=5),
    root=LOCATION,
    parent=None,
    type="dataset",
    description="",
    message="",
    metadata={},
    inputs=(),
    producer={},
    created_ns=7,
    session=SESSION,
    stamp=0,
    new_bytes=5,
    stored_bytes=5,
)


def read(content, number=3, artifact=BERT):
    return decode_slot(content, what="slot", artifact=artifact, number=number)


def refielded(magic, content, **changed):
    fields = unpack_record(magic, content, what="it", limit=1 << 16)
    return pack_record(magic, {**fields, **changed})


@pytest.mark.parametrize(
    ("artifact", "number"), [(ArtifactName("team/gpt"), 3), (BERT, 4), (BERT, 0)]
)
def test_record_is_taken_only_in_the_slot_that_it_names(artifact, number):
    """An object moved to another key is damage."""
    with pytest.raises(CorruptionError, match="is the record of 'team/bert' v3"):
        read(encode_slot(RECORD), number, artifact)


def test_fields_of_a_later_release_are_written_again():
    """A tool that copies a record does not lose what it does not know."""
    later = refielded(b"CASV", encode_slot(RECORD), later={"a": b"\1"})
    record = read(later)

    assert record == replace(RECORD, extra={"later": {"a": b"\1"}})
    assert read(encode_slot(record)) == record


def test_known_field_wins_over_one_that_is_kept():
    """What stands in `extra` cannot replace the record's own fields."""
    assert read(encode_slot(replace(RECORD, extra={"number": 9}))) == RECORD


@pytest.mark.parametrize("field", ["kind", "artifact", "digest", "totals", "root", "session"])
def test_version_without_a_field_is_refused(field):
    """Nothing that matters has a default."""
    fields = unpack_record(b"CASV", encode_slot(RECORD), what="it", limit=1 << 16)
    del fields[field]

    with pytest.raises(CorruptionError):
        read(pack_record(b"CASV", fields))


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"image": b"\x89PNG"}},
        {"inputs": [{"artifact": "a"}]},
        {"inputs": {}},
        {"parent": -1},
        {"stamp": 1 << 63},
        {"root": {}},
        {"totals": {"files": 1}},
    ],
)
def test_version_with_a_wrong_field_is_refused(changed):
    """Types and ranges are checked before the record is believed."""
    with pytest.raises(CorruptionError, match=r"^slot"):
        read(refielded(b"CASV", encode_slot(RECORD), **changed))


@pytest.mark.parametrize(
    ("content", "decode"),
    [
        (pack_record(b"CASV", {"kind": "branch"}), read),
        (pack_record(b"CASR", {"kind": "delta"}), lambda c: decode_revision(c, what="it")),
        (pack_record(b"CASM", {"kind": "archive"}), lambda c: decode_move(c, what="it")),
        (
            refielded(b"CASV", encode_slot(RECORD), critical=["sealed"], sealed=1),
            read,
        ),
        (
            refielded(b"CASV", encode_slot(VoidRecord(SESSION)), critical=["sealed"]),
            read,
        ),
    ],
)
def test_kind_or_field_of_a_later_release_is_refused(content, decode):
    """Unknown is not damaged."""
    with pytest.raises(UnsupportedError, match="does not know"):
        decode(content)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"metadata": {"a": "x" * 70_000}}, "over the limit of 65536"),
        ({"metadata": {"a": b"bytes"}}, "metadata"),
        ({"producer": {"a": {1, 2}}}, "producer"),
        ({"message": "\ud800"}, "cannot be stored"),
    ],
)
def test_version_that_cannot_be_stored_is_the_callers_mistake(changed, match):
    """It is refused before anything is put."""
    with pytest.raises(InvalidInputError, match=match):
        encode_slot(replace(RECORD, **changed))


def test_void_and_version_stand_in_the_same_place():
    """Whoever reads a slot learns which of the two it is."""
    assert [type(read(encode_slot(one))) for one in (RECORD, VoidRecord(SESSION))] == [
        VersionRecord,
        VoidRecord,
    ]


def test_revision_and_its_void_come_back():
    """New locations, or the note that a session lost the right to write them."""
    revision = RevisionRecord(session=SESSION, root=LOCATION, stamp=4, digest=DIGEST)

    for record in (revision, VoidRecord(SESSION)):
        assert decode_revision(encode_revision(record), what="it") == record


@pytest.mark.parametrize("kind", list(MoveKind))
def test_every_move_comes_back(kind):
    """Trash, restore and purge."""
    move = MoveRecord(kind=kind, created_ns=-5, session=SESSION, reason="old")

    assert decode_move(encode_move(move), what="it") == move


def test_alias_and_its_removal_come_back():
    """A removed alias has neither number nor digest."""
    for number, digest in ((3, DIGEST), (None, None)):
        alias = AliasRecord(number=number, digest=digest, created_ns=1, session=SESSION)
        assert decode_alias(encode_alias(alias), what="it") == alias


def test_removed_alias_with_a_digest_is_refused():
    """Half a record leads nowhere."""
    alias = AliasRecord(number=3, digest=DIGEST, created_ns=1, session=SESSION)

    with pytest.raises(CorruptionError, match="a removed alias has a digest"):
        decode_alias(refielded(b"CASA", encode_alias(alias), number=None), what="it")
