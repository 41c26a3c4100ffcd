"""Deleting for good, by hand and by a policy, while others restore, delete and tag. Step D3."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from collected import Interrupted

import cas
from cas.format import keys
from cas.format.version import MoveKind
from cas.model.durations import DAY_NS
from cas.model.names import ArtifactName
from cas.objects.versions import list_slots, read_last_move, read_move
from cas.operations.purge import purge
from cas.operations.retention import RetentionPolicy, expire_by_policy, plan_retention
from cas.testing.faulty import LOSSES, Fault, FaultyBackend

NAME = ArtifactName("data")
MOVE = re.compile(r"\.m[0-9]{4}$")
LATER = 100 * DAY_NS


class LaterClock:
    """A clock that is ahead of the one that the records were written by."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns


def moves_of(scene, number=0):
    """Return the kinds of a version's moves, in their order."""
    found = []
    for key in sorted(key for key in scene.listed("artifacts") if MOVE.search(key)):
        parsed = keys.parse_version_key(key)
        if parsed.number == number:
            listing = replace(list_slots(scene.truth, NAME), moves={number: parsed.k})
            found.append(read_last_move(scene.truth, listing, number).value)
    return found


def parts_later(scene, backend=None):
    """Return the parts of the store as they are a hundred days later."""
    parts = scene.store(backend).parts
    return replace(parts, clock=LaterClock(parts.clock.now_ns() + LATER))


def test_now_means_for_good(scene, first):
    """The trash first, then the purge; readers and restorers are told."""
    scene.put(first)

    (gone,) = scene.store().delete("data:v0", now=True)

    assert gone == cas.Deletion("data", 0, ())
    assert moves_of(scene) == ["trash", "purge"]
    with pytest.raises(cas.NotFoundError, match="deleted for good") as read:
        scene.store().version("data:v0")
    with pytest.raises(cas.NotFoundError, match="deleted for good") as restored:
        scene.store().restore("data:v0")
    assert {read.value.code, restored.value.code} == {cas.ErrorCode.VERSION_DELETED}


def test_what_lies_in_the_trash_can_be_purged_by_its_number(scene, first):
    """Without a second move to the trash."""
    scene.put(first)
    scene.store().delete("data:v0")

    scene.store().delete("data:v0", now=True)

    assert moves_of(scene) == ["trash", "purge"]
    with pytest.raises(cas.NotFoundError, match="for good"):
        scene.store().delete("data:v0", now=True)


def test_a_whole_artifact_goes_for_good_with_its_trash(scene, first, second):
    """Every version that is not purged yet, wherever it lies."""
    scene.put(first)
    scene.put(second)
    scene.store().delete("data:v0")

    gone = scene.store().delete("data", now=True)

    assert [one.number for one in gone] == [0, 1]
    assert [one.state for one in scene.store().versions("data", include_hidden=True)] == [
        "purged",
        "purged",
    ]


def test_only_the_trash_is_purged(scene, first):
    """D3: a visible version, restored or never deleted, is left alone."""
    scene.put(first)
    parts = scene.store().parts

    assert not purge(parts, list_slots(scene.truth, NAME), 0, "test")
    scene.store().delete("data:v0")
    scene.store().restore("data:v0")
    assert not purge(parts, list_slots(scene.truth, NAME), 0, "test")

    assert scene.live() == [0]


@pytest.mark.parametrize("again", [False, True], ids=["restored", "restored and trashed again"])
def test_a_restoration_that_was_first_wins_over_a_purge(scene, first, again):
    """D3: the purge reads again what stands there; a new trash is purged, as that was asked for."""
    scene.put(first)
    scene.store().delete("data:v0")

    def act():
        scene.store().restore("data:v0")
        if again:
            scene.store().delete("data:v0")

    backend = scene.meddling("create", ".m", act)
    purged = purge(scene.store(backend).parts, list_slots(scene.truth, NAME), 0, "test")

    assert purged is again
    assert moves_of(scene) == ["trash", "restore", *["trash", "purge"][: 2 * again]]
    assert scene.live() == ([] if again else [0])


def test_a_version_restored_while_it_is_deleted_for_good_is_a_conflict(scene, first):
    """Whoever asked for the purge learns that it did not happen."""
    scene.put(first)
    backend = scene.meddling("create", ".m0002", lambda: scene.store().restore("data:v0"))

    with pytest.raises(cas.ConflictError):
        scene.store(backend).delete("data:v0", now=True)

    assert scene.live() == [0]


def test_two_purges_at_once_both_succeed(scene, first):
    """Both wanted it gone, and it is, by one move."""
    scene.put(first)
    backend = scene.meddling("create", ".m0002", lambda: scene.store().delete("data:v0", now=True))

    scene.store(backend).delete("data:v0", now=True)

    assert moves_of(scene) == ["trash", "purge"]


def test_a_policy_purges_what_lay_in_the_trash_for_long(scene, first, second):
    """By the time of the move; what was deleted just now stays."""
    scene.put(first)
    scene.put(second)
    scene.store().delete("data:v0")

    assert expire_by_policy(scene.store().parts, RetentionPolicy()).purged == ()
    outcome = expire_by_policy(parts_later(scene), RetentionPolicy())

    assert [one.number for one in outcome.purged] == [0]
    assert outcome.plan.purge == outcome.purged
    assert moves_of(scene) == ["trash", "purge"]
    assert scene.live() == [1]


def test_a_plan_changes_nothing(scene, first):
    """And says what the policy would do."""
    scene.put(first)
    scene.store().delete("data:v0")

    plan = plan_retention(parts_later(scene), RetentionPolicy())

    assert [one.number for one in plan.purge] == [0]
    assert moves_of(scene) == ["trash"]


def test_a_policy_without_an_end_keeps_the_trash(scene, first):
    """None is for ever."""
    scene.put(first)
    scene.store().delete("data:v0")

    assert plan_retention(parts_later(scene), RetentionPolicy(trash_keep_ns=None)).purge == ()


def test_a_policy_means_the_trash_that_it_saw(scene, first):
    """Restored and deleted again meanwhile, a version has its full time in the trash once more."""
    scene.put(first)
    scene.store().delete("data:v0")

    def act():
        scene.store().restore("data:v0")
        scene.store().delete("data:v0")

    outcome = expire_by_policy(
        parts_later(scene, scene.meddling("create", ".m", act)), RetentionPolicy()
    )

    assert (outcome.purged, [one.number for one in outcome.missed]) == ((), [0])
    assert moves_of(scene) == ["trash", "restore", "trash"]


def test_a_version_whose_time_is_over_goes_to_the_trash_with_a_reason(scene, first, second):
    """By a move like any other, so it can be restored; and it is purged by a later run only."""
    scene.store().put(scene.source(first), "data", cas.PutOptions(provenance=False, ttl="30d"))
    scene.put(second)

    assert expire_by_policy(scene.store().parts, RetentionPolicy()).trashed == ()
    outcome = expire_by_policy(parts_later(scene), RetentionPolicy())

    assert [(one.artifact, one.number) for one in outcome.trashed] == [("data", 0)]
    assert outcome.purged == ()
    move = read_move(scene.truth, list_slots(scene.truth, NAME), 0)
    assert (move.kind, move.reason) == (MoveKind.TRASH, "its time was over")
    scene.store().restore("data:v0")
    assert scene.live() == [0, 1]


def test_an_alias_that_comes_meanwhile_keeps_an_overdue_version(scene, first):
    """Aliases are read again just before a version goes, and again after."""
    scene.store().put(scene.source(first), "data", cas.PutOptions(provenance=False, ttl="1d"))
    backend = scene.meddling(
        "list_objects", "/aliases", lambda: scene.store().tag("data:v0", ["best"]), nth=2
    )

    outcome = expire_by_policy(parts_later(scene, backend), RetentionPolicy())

    assert (outcome.trashed, [one.number for one in outcome.missed]) == ((), [0])
    assert scene.live() == [0]


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
def test_any_lost_reply_of_a_policy_is_made_good_by_the_next_run(make_scene, first, second, fault):
    """It ends in an error of cas or is done; run again all that is due has gone, once."""

    def prepare():
        scene = make_scene()
        scene.store().put(scene.source(first), "data", cas.PutOptions(provenance=False, ttl="1d"))
        scene.put(second)
        scene.store().delete("data:v1")
        return scene

    scene = prepare()
    counting = FaultyBackend(scene.truth)
    expire_by_policy(parts_later(scene, counting), RetentionPolicy())
    for number in range(1, counting.operations + 1):
        scene = prepare()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)
        try:
            expire_by_policy(parts_later(scene, backend), RetentionPolicy())
        except cas.CasError:
            backend.deliver_late()
            expire_by_policy(parts_later(scene), RetentionPolicy())
        backend.deliver_late()

        assert (moves_of(scene, 0), moves_of(scene, 1)) == (["trash"], ["trash", "purge"])


def test_a_blob_that_a_put_is_about_to_publish_is_said_to_be_announced(scene, first, second):
    """By its session, also when the intent leads to it only through a page."""
    scene.put(first)
    seen = []
    shared = set(scene.listed("blobs"))

    def look():
        store = scene.store()
        fresh = set(scene.listed("blobs")) - shared
        seen.extend(store.explain(key).blobs[0] for key in [*fresh, *shared])

    scene.put(second, scene.meddling("create", "versions/", look))

    assert len(seen) > len(shared)
    assert all(blob.sessions for blob in seen)
    assert [bool(blob.versions) for blob in seen].count(True) == len(shared)


ACTS = {
    "delete": lambda store: store.delete("data:v0"),
    "restore": lambda store: store.restore("data:v0"),
    "purge": lambda store: store.delete("data:v0", now=True),
    "policy": lambda store: expire_by_policy(
        replace(store.parts, clock=LaterClock(store.parts.clock.now_ns() + LATER)),
        RetentionPolicy(),
    ),
}
# What each wants, by the state in which the version ends if nobody else acts.
WANTED = {"delete": "trash", "restore": "restore", "purge": "purge"}
MAY_FOLLOW = {
    None: {"trash"},
    "trash": {"restore", "purge"},
    "restore": {"trash"},
    "purge": set(),
}


@pytest.mark.parametrize("in_trash", [False, True], ids=["live", "trashed"])
@pytest.mark.parametrize("theirs", ACTS)
@pytest.mark.parametrize("ours", ACTS)
def test_two_sides_that_move_a_version_at_once_leave_one_clear_history(
    make_scene, first, ours, theirs, in_trash
):
    """Before each operation of one side the whole of the other happens: every move follows one that
    it may follow, and who was told of success has a move, or met one like it.
    """
    number, acted = 0, True
    while acted:
        number += 1
        scene = make_scene()
        scene.put(first)
        if in_trash:
            scene.store().delete("data:v0")
        backend = Interrupted(scene.truth, number, lambda _, s=scene: _try(theirs, s.store()))
        succeeded = _try(ours, scene.store(backend))
        acted = backend._left <= 0

        moves = moves_of(scene)
        for before, after in zip([None, *moves], moves, strict=False):
            assert after in MAY_FOLLOW[before]
        if succeeded and ours in WANTED:
            assert WANTED[ours] in moves
        if ours == "purge" and succeeded:
            assert moves[-1] == "purge"


def _try(act, store):
    """Do it, and tell whether it succeeded; only errors of cas that say so are allowed."""
    try:
        ACTS[act](store)
    except (cas.NotFoundError, cas.ConflictError):
        return False
    return True
