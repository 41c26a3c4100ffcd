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


def test_a_protected_alias_is_moved_and_removed_only_by_force(scene, first, second):
    """And stays protected wherever it is moved to."""
    scene.put(first)
    scene.put(second)
    store = scene.store()
    store.tag("data:v0", ["best"], protect=True)

    for act in (
        lambda: store.tag("data:v1", ["best"]),
        lambda: store.untag("data", ["best"]),
        lambda: store.put(scene.source(first), "data", cas.PutOptions(aliases=("best",))),
        lambda: store.delete("data:v0"),
        lambda: store.delete("data"),
    ):
        with pytest.raises(cas.RefusedError, match="best"):
            act()

    assert (store.aliases("data"), scene.live()) == ({"best": 0}, [0, 1])
    assert store.tag("data:v0", ["best"])[0].number == 0
    store.tag("data:v1", ["best"], force=True)
    assert (store.aliases("data"), store.protected_aliases("data")) == ({"best": 1}, ["best"])
    store.untag("data", ["best"], force=True)
    store.tag("data:v0", ["best"])
    assert store.protected_aliases("data") == []


def test_protection_comes_and_goes_without_moving_the_alias(scene, first):
    """The mark is a move to where the alias is."""
    scene.put(first)
    store = scene.store()
    store.tag("data:v0", ["best"])

    assert [move.number for move in store.protect("data", ["best"])] == [0]
    assert store.protected_aliases("data") == ["best"]
    store.protect("data", ["best"], protected=False)
    assert (store.aliases("data"), store.protected_aliases("data")) == ({"best": 0}, [])
    with pytest.raises(cas.NotFoundError):
        store.protect("data", ["worst"])


def test_an_alias_protected_while_it_is_moved_stays(scene, first, second):
    """The loser of a generation asks again whether it may be moved."""
    scene.put(first)
    scene.put(second)
    scene.store().tag("data:v0", ["best"])
    backend = scene.meddling("create", "/aliases/", lambda: scene.store().protect("data", ["best"]))

    with pytest.raises(cas.RefusedError):
        scene.store(backend).tag("data:v1", ["best"])

    assert scene.store().aliases("data") == {"best": 0}


def test_an_alias_moved_while_it_is_protected_is_protected_where_it_is(scene, first, second):
    """Protecting moves no alias back."""
    scene.put(first)
    scene.put(second)
    scene.store().tag("data:v0", ["best"])
    backend = scene.meddling("create", "/aliases/", lambda: scene.store().tag("data:v1", ["best"]))

    scene.store(backend).protect("data", ["best"])

    assert scene.store().aliases("data") == {"best": 1}
    assert scene.store().protected_aliases("data") == ["best"]


def test_a_put_that_cannot_move_an_alias_says_that_the_version_is_published(scene, first, second):
    """An alias that is protected only after the put began."""
    scene.put(first)
    scene.store().tag("data:v0", ["best"], protect=True)

    with pytest.raises(cas.RefusedError, match="data:v1 is published"):
        scene.store().put(
            scene.source(second), "data", cas.PutOptions(provenance=False, aliases=("best",))
        )

    assert scene.live() == [0, 1]


def test_a_version_that_others_were_made_from_is_deleted_only_by_force(scene, first, second):
    """Lineage from any artifact counts, as long as the user of it is neither trashed nor purged."""
    scene.put(first)
    store = scene.store()
    model = cas.PutOptions(provenance=False, inputs=("data:v0",))
    store.put(scene.source(second), "model", model)

    with pytest.raises(cas.RefusedError, match="model:v0 was made from data:v0"):
        store.delete("data:v0")
    with pytest.raises(cas.RefusedError, match="model:v0"):
        store.delete("data", now=True)

    assert store.plan_delete("data:v0").versions[0].users == ("model:v0",)
    store.delete("model")
    store.delete("data:v0")
    assert scene.live() == []


def test_versions_of_one_artifact_made_from_each_other_go_together(scene, first, second):
    """What goes as well does not speak for what it was made from."""
    scene.put(first)
    options = cas.PutOptions(provenance=False, inputs=("data:v0",))
    scene.store().put(scene.source(second), "data", options)

    assert [one.number for one in scene.store().delete("data")] == [0, 1]
