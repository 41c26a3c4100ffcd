"""Aliases, deletions and restorations by several people at once. Steps A1, D1, D2."""

from __future__ import annotations

import pytest

import cas
from cas.format import keys
from cas.format.version import MoveKind
from cas.model.names import AliasName, ArtifactName
from cas.objects.versions import add_move
from cas.testing.faulty import LOSSES, Fault, FaultyBackend

NAME = ArtifactName("data")


def test_an_alias_moved_to_a_version_that_goes_meanwhile_is_told(scene, first):
    """A1: the version is looked at again after the move, so one of the two sides learns of it."""
    scene.put(first)
    backend = scene.meddling(
        "create", "/aliases/", lambda: scene.store().delete("data:v0", force=True)
    )

    with pytest.raises(cas.ConflictError):
        scene.store(backend).tag("data:v0", ["best"])


def test_a_deletion_tells_of_an_alias_that_came_meanwhile(scene, first):
    """D1: aliases are read again after the move to the trash."""
    scene.put(first)
    backend = scene.meddling("create", ".m", lambda: scene.store().tag("data:v0", ["best"]))

    (deletion,) = scene.store(backend).delete("data:v0")

    assert deletion.aliases == ("best",)


def test_two_moves_of_an_alias_at_once_are_both_in_its_history(scene, first, second):
    """The loser of a generation takes the next; the later one counts."""
    scene.put(first)
    scene.put(second)
    backend = scene.meddling("create", "/aliases/", lambda: scene.store().tag("data:v0", ["best"]))

    (move,) = scene.store(backend).tag("data:v1", ["best"])

    assert (move.number, move.previous) == (1, 0)
    assert scene.store().aliases("data") == {"best": 1}
    assert len(scene.listed(keys.alias_prefix(NAME, AliasName("best")))) == 2


def test_two_deletions_at_once_both_succeed(scene, first, second):
    """Both wanted it in the trash, and there it is, moved once."""
    scene.put(first)
    scene.put(second)
    backend = scene.meddling("create", ".m", lambda: scene.store().delete("data:v0"))

    scene.store(backend).delete("data:v0")

    assert scene.live() == [1]
    assert [key for key in scene.listed("artifacts") if ".m" in key] == [keys.move_key(NAME, 0, 1)]


def test_a_restoration_that_a_purge_overtook_is_a_conflict(scene, first):
    """D2: moves are numbered, so a restoration cannot come after a purge that it did not see."""
    scene.put(first)
    scene.store().delete("data:v0")
    backend = scene.meddling(
        "create", ".m", lambda: add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)
    )

    with pytest.raises(cas.ConflictError):
        scene.store(backend).restore("data:v0")

    with pytest.raises(cas.NotFoundError, match="for good"):
        scene.store().version("data:v0")


def test_only_what_lies_in_the_trash_is_restored(scene, first):
    """D2: neither a live nor a purged version can be brought back."""
    scene.put(first)
    with pytest.raises(cas.NotFoundError):
        scene.store().restore("data:v0")
    add_move(scene.truth, NAME, 0, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)

    with pytest.raises(cas.NotFoundError):
        scene.store().restore("data:v0")


def test_the_number_of_a_deleted_version_is_never_given_again(scene, first, second):
    """A slot stays taken, in the trash and after."""
    scene.put(first)
    scene.store().delete("data:v0")

    assert scene.put(second).number == 1


@pytest.mark.parametrize("fault", [*LOSSES, Fault.LATE])
@pytest.mark.parametrize("act", ["tag", "delete", "restore"])
def test_any_lost_reply_of_a_move_leaves_one_clear_state(make_scene, first, act, fault):
    """It succeeds and has happened, or fails with an error of cas and can be run again."""
    runs = {
        "tag": lambda store: store.tag("data:v0", ["best"]),
        "delete": lambda store: store.delete("data:v0"),
        "restore": lambda store: store.restore("data:v0"),
    }

    def prepare():
        scene = make_scene()
        scene.put(first)
        if act == "restore":
            scene.store().delete("data:v0")
        return scene

    scene = prepare()
    counting = FaultyBackend(scene.truth)
    runs[act](scene.store(counting))
    for number in range(1, counting.operations + 1):
        scene = prepare()
        backend = FaultyBackend(scene.truth).fail_at(number, fault)
        try:
            runs[act](scene.store(backend))
        except cas.CasError:
            backend.deliver_late()
            try:
                runs[act](scene.store())
            except cas.NotFoundError:
                assert act != "tag"  # it had happened after all
        backend.deliver_late()

        assert scene.live() == ([] if act == "delete" else [0])
        assert scene.store().aliases("data") == ({"best": 0} if act == "tag" else {})
