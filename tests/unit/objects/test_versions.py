"""Slots, revisions and moves on a backend."""

from __future__ import annotations

import pytest

from cas.backend.memory import MemoryBackend
from cas.errors import BackendError, CorruptionError
from cas.format import keys
from cas.format.version import (
    MoveKind,
    RevisionRecord,
    VersionRecord,
    VoidRecord,
    encode_revision,
)
from cas.model.entry import PageLocation, Totals
from cas.model.ids import BlobId, PageId, SessionId, VersionDigest
from cas.model.names import ArtifactName
from cas.objects.aliases import read_aliases
from cas.objects.versions import (
    add_move,
    is_hidden,
    iter_visible,
    list_artifacts,
    list_slots,
    near_names,
    publish,
    read_last_move,
    read_root_location,
    read_slot,
    unknown_artifact,
)
from cas.testing.faulty import Fault, FaultyBackend

NAME = ArtifactName("data")


def location(letter):
    return PageLocation(
        page_id=PageId(letter * 32), blob_id=BlobId(letter * 32), blob_size=90, offset=40, length=30
    )


def record(number, *, session=b"s", letter=b"r"):
    return VersionRecord(
        artifact=NAME,
        number=number,
        digest=VersionDigest(b"d" * 32),
        totals=Totals(files=1, symlinks=0, directories=0, externals=0, size=5),
        root=location(letter),
        parent=None,
        type="dataset",
        description="",
        message="",
        metadata={},
        inputs=(),
        producer={},
        created_ns=1,
        session=SessionId(session * 16),
        stamp=0,
        new_bytes=0,
        stored_bytes=0,
    )


@pytest.fixture
def backend():
    backend = MemoryBackend()
    for number in range(3):
        publish(backend, record(number), NAME, number)
    return backend


def test_an_artifact_without_slots_is_empty(backend):
    """The first slot of all is 0."""
    listing = list_slots(backend, ArtifactName("other"))

    assert (listing.slots, listing.next_slot, listing.newest_first()) == (frozenset(), 0, [])


def test_litter_beside_the_slots_is_ignored(backend):
    """Files of other tools, half names and other artifacts change nothing."""
    prefix = keys.versions_prefix(NAME)
    for name in ("0000000009.tmp", "9", "readme", "0000000009.x0001", "sub/0000000009"):
        backend.put(f"{prefix}/{name}", [b"litter"])
    publish(backend, VoidRecord(SessionId(b"v" * 16)), ArtifactName("data2"), 0)
    backend.put(f"{keys.aliases_prefix(NAME)}/best/latest", [b"litter"])
    backend.put("artifacts/%zz/versions/0000000000", [b"litter"])

    assert list_slots(backend, NAME).slots == {0, 1, 2}
    assert read_aliases(backend, NAME) == {}
    assert list_artifacts(backend) == [NAME, ArtifactName("data2")]


def test_the_first_record_of_a_slot_stays_and_everybody_is_told_of_it(backend):
    """Whoever comes later gets what stands there, not what he sent."""
    stands = publish(backend, record(1, session=b"t"), NAME, 1)

    assert stands == record(1)
    assert read_slot(backend, NAME, 1) == record(1)
    assert read_slot(backend, NAME, 7) is None


@pytest.mark.parametrize("fault", [Fault.FAIL_AFTER, Fault.EXISTS_AFTER, Fault.FAIL_BEFORE])
def test_a_slot_whose_reply_was_lost_is_read_back(backend, fault):
    """Own success is recognised; what did not happen is tried again."""
    faulty = FaultyBackend(backend).fail_nth("create", 1, fault)

    assert publish(faulty, record(3), NAME, 3) == record(3)


def test_a_slot_of_which_nothing_can_be_known_is_an_error(backend):
    """No guess is made."""
    faulty = FaultyBackend(backend, rate=1.0, faults=[Fault.FAIL_BEFORE])

    with pytest.raises(BackendError):
        publish(faulty, record(3), NAME, 3)


def test_a_record_that_stands_in_the_wrong_slot_is_damage(backend):
    """A copied object must not pass for another version."""
    backend.put(keys.version_key(NAME, 5), [backend.get(keys.version_key(NAME, 0))])

    with pytest.raises(CorruptionError):
        read_slot(backend, NAME, 5)


def test_the_last_move_decides(backend):
    """Moves are numbered; void and hidden versions are not visible, the rest are newest first."""
    assert add_move(backend, NAME, 2, 1, MoveKind.TRASH, 1).kind is MoveKind.TRASH
    add_move(backend, NAME, 1, 1, MoveKind.TRASH, 1)
    add_move(backend, NAME, 1, 2, MoveKind.RESTORE, 1)
    publish(backend, VoidRecord(SessionId(b"v" * 16)), NAME, 3)
    listing = list_slots(backend, NAME)

    moves = [read_last_move(backend, listing, number) for number in range(3)]
    assert moves == [None, MoveKind.RESTORE, MoveKind.TRASH]
    assert [is_hidden(backend, listing, number) for number in range(3)] == [False, False, True]
    assert [one.number for one in iter_visible(backend, listing)] == [1, 0]
    assert listing.next_slot == 4


def test_a_move_whose_number_is_taken_is_answered_with_what_stands_there(backend):
    """The loser of a race learns what the winner did."""
    add_move(backend, NAME, 0, 1, MoveKind.TRASH, 1)

    assert add_move(backend, NAME, 0, 1, MoveKind.PURGE, 2).kind is MoveKind.TRASH


def test_the_newest_revision_that_is_not_void_says_where_the_root_is(backend):
    """A void revision is skipped, and without any the record itself says it."""
    assert read_root_location(backend, list_slots(backend, NAME), record(0)) == location(b"r")
    revisions = [
        RevisionRecord(
            session=SessionId(b"p" * 16),
            root=location(b"n"),
            stamp=0,
            digest=VersionDigest(b"d" * 32),
        ),
        VoidRecord(SessionId(b"v" * 16)),
    ]
    for k, revision in enumerate(revisions, 1):
        backend.create(keys.revision_key(NAME, 0, k), encode_revision(revision))

    assert read_root_location(backend, list_slots(backend, NAME), record(0)) == location(b"n")


def test_near_names_are_offered_and_far_ones_are_not(backend):
    """At most three, and none when nothing is close."""
    names = ["training", "trainings", "trainin", "traning", "zebra"]

    assert len(near_names("training", names).split(", ")) == 3
    assert near_names("qqq", names) == ""
    assert "data" in str(unknown_artifact(backend, ArtifactName("dataa")).hint)
    assert "cas ls" in str(unknown_artifact(backend, ArtifactName("xyz")).hint)
