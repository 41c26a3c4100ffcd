"""Revising a version: steps P1 to P3 of specs/protocol/repack.md, and whatever may come between."""

from __future__ import annotations

import numpy as np
import pytest
from moved_blobs import collect, ids_in, move_blobs, needed_by

import cas
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_floor,
    encode_verdict,
)
from cas.format.session import decode_intent
from cas.format.version import MoveKind, RevisionRecord, VoidRecord, encode_slot
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.versions import add_move, publish_revision, read_revision
from cas.operations.revise import Reviser, RevisionOutcome
from cas.testing.fault_plan import CRASHES, CrashError, Fault, FaultPlan
from cas.testing.faulty import FaultyBackend

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)


def revise(scene, backend=None, number=0):
    """Move all data blobs and publish the next revision of a version."""
    parts = scene.store(backend).parts
    return Reviser(parts, move_blobs(parts)).revise(NAME, number)


def condemn(truth, ids, run=1):
    rows = np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)
    record = CondemnRecord(run, SessionId(b"c" * 16), rows)
    truth.create(keys.condemn_key(run), encode_condemn(record))


def test_a_revised_version_reads_the_same_from_new_places_alone(scene, first):
    """Digest and content stay; when the old blobs are gone nothing is missing."""
    before = scene.put(first)
    old = needed_by(scene, 0)

    revision = revise(scene)
    collect(scene)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    assert revision.k == 1
    assert not old & ids_in(scene, "blobs", "meta")
    assert scene.held("data:v0") == first
    assert scene.got("data:v0") == first
    assert scene.store().version("data").digest == before.digest
    assert scene.listed("sessions") == {}


def test_a_version_of_which_nothing_moved_is_left_alone(scene, first):
    """No page is written, no intent put, no revision taken."""
    scene.put(first)
    parts = scene.store().parts
    places = move_blobs(parts, keep=lambda row: True)
    before = scene.listed("")

    revision = Reviser(parts, places).revise(NAME, 0)

    assert revision.outcome is RevisionOutcome.UNCHANGED
    assert scene.listed("") == before


def test_versions_that_share_pages_share_the_new_ones(scene, first):
    """The second version's root names the pages that were made for the first; once is enough."""
    scene.put(first)
    scene.store().put(scene.source(first), "data", cas.PutOptions(provenance=False, force=True))
    parts = scene.store().parts
    reviser = Reviser(parts, move_blobs(parts))

    made = [reviser.revise(NAME, number) for number in (0, 1)]
    collect(scene)

    assert [one.outcome for one in made] == [RevisionOutcome.PUBLISHED] * 2
    pages = [
        {row.tobytes() for row in scene.store().version(f"data:v{number}")._pages.root.page_ids}
        for number in (0, 1)
    ]
    assert pages[0] == pages[1]
    assert len(ids_in(scene, "meta") & needed_by(scene, 0) & needed_by(scene, 1)) == 1
    assert scene.held("data:v0") == scene.held("data:v1") == first


def test_part_of_a_blob_may_move(scene, first):
    """As in a repair: chunks that stay and chunks that moved make one file."""
    scene.put(first)
    old = ids_in(scene, "blobs")
    parts = scene.store().parts

    revision = Reviser(parts, move_blobs(parts, keep=lambda row: row % 2 == 0)).revise(NAME, 0)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    needed = needed_by(scene, 0)
    assert needed & old
    assert needed & ids_in(scene, "blobs") - old
    assert scene.held("data:v0") == first


def test_a_version_in_the_trash_is_revised_too(scene, first):
    """It may be restored, when its old blobs are gone."""
    scene.put(first)
    scene.store().delete("data:v0")

    revision = revise(scene)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    scene.store().restore("data:v0")
    collect(scene)
    assert scene.held("data:v0") == first


@pytest.mark.parametrize("state", ["void", "purged", "absent"])
def test_what_is_no_version_any_more_is_not_revised(scene, first, state):
    """There is nothing left to keep, and nothing is written."""
    number = scene.put(first).number
    if state == "void":
        number = 1
        void = VoidRecord(SessionId(b"v" * 16))
        scene.truth.create(keys.version_key(NAME, 1), encode_slot(void))
    elif state == "purged":
        add_move(scene.truth, NAME, 0, 1, MoveKind.TRASH, 0)
        add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)
    else:
        number = 7
    parts = scene.store().parts
    places = move_blobs(parts)
    before = scene.listed("")

    assert Reviser(parts, places).revise(NAME, number).outcome is RevisionOutcome.GONE
    assert scene.listed("") == before


def test_void_revisions_are_passed_over_and_their_numbers_never_used_again(scene, first):
    """A settled repack leaves a void; the next one takes the number after it."""
    scene.put(first)
    publish_revision(scene.truth, VoidRecord(SessionId(b"v" * 16)), NAME, 0, 1)

    revision = revise(scene)

    assert (revision.outcome, revision.k) == (RevisionOutcome.PUBLISHED, 2)
    assert scene.held("data:v0") == first


def test_the_final_intent_names_the_revision_and_all_that_it_needs(scene, first, second):
    """P2 before P3: whoever lists intents once the log was checked finds every blob by id or page."""
    scene.put(first)
    scene.put(second)
    seen = []

    def look():
        listed = sorted(scene.listed("sessions"))
        seen.extend(decode_intent(scene.truth.get(key), what=key) for key in listed)

    backend = scene.meddling("create", ".r0001", look)
    revision = revise(scene, backend, 1)

    (intent,) = seen
    assert (intent.final, intent.artifact, intent.slot, intent.revision) == (True, "data", 1, 1)
    named = intent.blob_ids + intent.meta_ids
    named = {named[at : at + 32] for at in range(0, len(named), 32)}
    assert needed_by(scene, 1) == named
    assert revision.outcome is RevisionOutcome.PUBLISHED


@pytest.mark.parametrize("what", ["blobs", "meta"])
@pytest.mark.parametrize("nth", [1, 2], ids=["at the start", "at the log check"])
def test_a_revision_is_given_up_when_a_run_condemns_what_it_needs(scene, first, what, nth):
    """P2: the new blobs are young ones like any other; the version stays as it was."""
    scene.put(first)
    parts = scene.store().parts
    places = move_blobs(parts)
    old = needed_by(scene, 0)
    backend = scene.meddling(
        "list_objects", "gc", lambda: condemn(scene.truth, ids_in(scene, what)), nth
    )
    # The pages are written between the two listings.
    expected = RevisionOutcome.CONDEMNED
    if (what, nth) == ("meta", 1):
        expected = RevisionOutcome.PUBLISHED

    revision = Reviser(scene.store(backend).parts, places).revise(NAME, 0)

    assert revision.outcome is expected
    assert bool(revision.condemned) is (expected is RevisionOutcome.CONDEMNED)
    assert (needed_by(scene, 0) == old) is (expected is RevisionOutcome.CONDEMNED)
    assert scene.listed("sessions") == {}
    assert scene.held("data:v0") == first


def test_a_revision_is_given_up_when_the_records_of_runs_are_gone(scene, first):
    """A floor over the stamp: what was killed meanwhile cannot be told any more."""
    scene.put(first)
    parts = scene.store().parts
    places = move_blobs(parts)
    scene.truth.put(keys.floor_key(5), [encode_floor(5)])

    revision = Reviser(parts, places).revise(NAME, 0)

    assert revision.outcome is RevisionOutcome.STALE
    assert revision.outcome.is_worth_another_try
    assert read_revision(scene.truth, NAME, 0, 1) is None
    assert scene.listed("sessions") == {}


def test_a_revision_carries_the_stamp_of_its_log_check(scene, first):
    """Runs that had a verdict by then spared all of it."""
    scene.put(first)
    condemn(scene.truth, [b"x" * 32])
    verdict = VerdictRecord(1, np.zeros((0, 32), np.uint8), all=False)
    scene.truth.create(keys.verdict_key(1), encode_verdict(verdict))

    revise(scene)

    assert read_revision(scene.truth, NAME, 0, 1).stamp == 1


def test_of_two_repacks_at_once_one_wins(scene, first):
    """The other one's revision is there: this one gives up, and its intents go."""
    scene.put(first)
    backend = scene.meddling("create", ".r0001", lambda: revise(scene))

    revision = revise(scene, backend)

    assert revision.outcome is RevisionOutcome.OVERTAKEN
    assert isinstance(read_revision(scene.truth, NAME, 0, 1), RevisionRecord)
    assert read_revision(scene.truth, NAME, 0, 2) is None
    assert scene.listed("sessions") == {}
    assert scene.held("data:v0") == first


def test_a_fenced_session_finds_the_void_in_its_revision(scene, first):
    """A collector took it for dead: it publishes nothing and leaves its intents to that collector."""
    scene.put(first)

    def settle():
        (key,) = scene.listed("sessions")
        session, _ = keys.parse_intent_key(key)
        publish_revision(scene.truth, VoidRecord(session), NAME, 0, 1)

    revision = revise(scene, scene.meddling("create", ".r0001", settle))

    assert revision.outcome is RevisionOutcome.FENCED
    assert len(scene.listed("sessions")) == 1
    assert scene.held("data:v0") == first


def test_a_purge_meanwhile_is_no_obstacle(scene, first):
    """The revision of a purged version keeps nothing alive, and nothing refers to it."""
    scene.put(first)

    def purge():
        add_move(scene.truth, NAME, 0, 1, MoveKind.TRASH, 0)
        add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)

    revision = revise(scene, scene.meddling("create", ".r0001", purge))

    assert revision.outcome is RevisionOutcome.PUBLISHED
    with pytest.raises(cas.NotFoundError, match="deleted for good"):
        scene.store().version("data:v0")


def undisturbed(make_scene, first):
    scene = make_scene()
    scene.put(first)
    plan = FaultPlan()
    revise(scene, scene.faulty(plan))
    return plan.operations


@pytest.mark.parametrize("fault", [*CRASHES, Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
def test_a_revision_that_fails_at_any_operation_loses_nothing_and_can_be_run_again(
    make_scene, first, fault
):
    """Killed or told of an error: the version is whole, and the next try publishes a revision."""
    count = undisturbed(make_scene, first)
    assert count > 10
    for number in range(1, count + 1):
        scene = make_scene()
        scene.put(first)

        failed = False
        try:
            revise(scene, scene.faulty(FaultPlan().fail_at(number, fault)))
        except (CrashError, cas.BackendError):
            failed = True

        assert scene.held("data:v0") == first
        assert failed or read_revision(scene.truth, NAME, 0, 1) is not None
        assert revise(scene).outcome is RevisionOutcome.PUBLISHED
        collect(scene)
        assert scene.held("data:v0") == first


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.LATE])
def test_a_revision_whose_reply_is_lost_is_settled_before_its_intents_go(make_scene, first, fault):
    """Published once, or not at all: what stands in its place is read, and a void ends it."""
    for lost in range(1, 6):
        scene = make_scene()
        scene.put(first)
        backend = FaultyBackend(scene.truth)
        for nth in range(1, lost + 1):
            backend.fail_nth("create", nth, fault)

        try:
            outcome = revise(scene, backend).outcome
        except cas.BackendError:
            outcome = None
        backend.deliver_late()

        stands = read_revision(scene.truth, NAME, 0, 1)
        assert (outcome is RevisionOutcome.PUBLISHED) == isinstance(stands, RevisionRecord)
        assert stands is not None
        assert scene.listed("sessions") == {}
        collect(scene)
        assert scene.held("data:v0") == first


def test_an_interrupted_revision_that_cannot_be_settled_leaves_its_intents(scene, first):
    """Every create fails, the void too: a collector must know what the revision needs."""
    scene.put(first)
    backend = FaultyBackend(scene.truth)
    for nth in range(1, 20):
        backend.fail_nth("create", nth, Fault.FAIL_BEFORE)

    with pytest.raises(cas.BackendError):
        revise(scene, backend)

    assert read_revision(scene.truth, NAME, 0, 1) is None
    assert len(scene.listed("sessions")) == 1
    assert scene.held("data:v0") == first


def test_a_page_of_other_entries_is_never_put_in_the_place_of_one(scene, first, second):
    """Whatever claims to know the new places: the digest stays."""
    scene.put(first)
    scene.put(second)
    parts = scene.store().parts
    (other,) = scene.store().version("data:v1")._pages.iter_pages()
    places = move_blobs(parts)

    class Wrong:
        stamp = places.stamp
        root = places.root
        empties = places.empties

        def page(self, location):
            return other

    before = scene.listed("artifacts")
    with pytest.raises(cas.CorruptionError, match="other entries"):
        Reviser(parts, Wrong()).revise(NAME, 0)

    assert scene.listed("artifacts") == before
    assert scene.listed("sessions") == {}


def test_a_page_that_cannot_be_read_may_be_rebuilt(scene, first):
    """As in a repair: a page lost with its blob, root included, is written anew and vouched for by the
    digest of the version.
    """
    scene.put(first)
    version = scene.store().version("data:v0")
    root = version._pages.root
    (page,) = version._pages.iter_pages()
    (key,) = scene.listed("meta")
    scene.truth.delete(key)
    parts = scene.store().parts

    class Rebuilt:
        stamp = 0

        def page(self, location):
            return page

        def root(self, record, error):
            return root

        def empties(self, blob_id):
            return False

    revision = Reviser(parts, Rebuilt()).revise(NAME, 0)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    assert scene.held("data:v0") == first


def test_a_page_rebuilt_with_other_entries_is_refused(scene, first, second):
    """Nothing that can be read vouches for it, so the digest of the whole must."""
    scene.put(first)
    scene.put(first | {b"tiny": b"u"})
    store = scene.store()
    root = store.version("data:v0")._pages.root
    (page,) = store.version("data:v1")._pages.iter_pages()
    key = keys.meta_key(store.version("data:v0").record.root.blob_id)
    scene.truth.delete(key)

    class Rebuilt:
        stamp = 0

        def page(self, location):
            return page

        def root(self, record, error):
            return root

        def empties(self, blob_id):
            return False

    with pytest.raises(cas.CorruptionError) as caught:
        Reviser(scene.store().parts, Rebuilt()).revise(NAME, 0)

    assert caught.value.code is cas.ErrorCode.DIGEST_MISMATCH
    assert read_revision(scene.truth, NAME, 0, 1) is None


def test_pages_and_roots_leave_a_blob_that_is_to_be_emptied(scene, first):
    """Nothing of a page changes but where it lies."""
    scene.put(first)
    parts = scene.store().parts
    old = ids_in(scene, "meta")
    page_ids = scene.store().version("data:v0")._pages.root.page_ids.tobytes()
    places = move_blobs(parts, keep=lambda row: True)

    class Emptying:
        stamp = places.stamp
        page = staticmethod(places.page)
        root = staticmethod(places.root)

        def empties(self, blob_id):
            return blob_id in old

    revision = Reviser(parts, Emptying()).revise(NAME, 0)
    collect(scene)

    assert revision.outcome is RevisionOutcome.PUBLISHED
    assert not old & ids_in(scene, "meta")
    assert scene.store().version("data:v0")._pages.root.page_ids.tobytes() == page_ids
    assert scene.held("data:v0") == first
