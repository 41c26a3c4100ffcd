"""Which versions a copy makes: their order, what is said of them, aliases, and what is not done twice."""

from __future__ import annotations

import pytest
from memory_stores import SOME

import cas

ALL = cas.CopyOptions(all_versions=True)


def test_copying_again_copies_nothing(source, target, put):
    """Neither the newest version, nor an older one, nor a whole history."""
    for number in range(3):
        put(source, SOME | {b"n": b"%d" % number})
    first = source.copy("data", target, ALL)
    before = target.requests

    again = [
        source.copy("data", target),
        source.copy("data:v0", target),
        source.copy(None, target),
        source.copy("data", target, ALL),
    ]

    assert [one.created for one in first.versions] == [True] * 3
    refs = [[(one.ref, one.created) for one in outcome.versions] for outcome in again]
    every = [(f"data:v{n}", False) for n in range(3)]
    assert refs == [[("data:v2", False)], [("data:v0", False)], every, every]
    assert (target.requests - before).sent_bytes == 0


def test_numbers_are_the_targets_and_the_order_is_kept(source, target, put):
    """What comes after a version that was missing is copied again, so that it still comes after."""
    put(target, {b"other": b"other"})
    put(target, {b"other": b"another"})
    for number in range(3):
        put(source, {b"n": b"%d" % number})
    source.copy(["data:v1"], target)

    outcome = source.copy(["data:v2", "data:v0", "data:v1"], target)

    pairs = [(one.source, one.ref, one.created) for one in outcome.versions]
    assert pairs == [
        ("data:v0", "data:v3", True),
        ("data:v1", "data:v4", True),
        ("data:v2", "data:v5", True),
    ]
    assert outcome.versions[1].new_bytes == 0


def test_going_back_to_old_data_is_a_version_of_its_own(source, target, put):
    """After v0, v1 and v0's data again, the newest version of both stores is that data."""
    for content in (b"one", b"two"):
        put(source, {b"n": content})
    source.copy("data", target, ALL)
    put(source, {b"n": b"one"})

    (copied,) = source.copy("data", target).versions

    assert (copied.ref, copied.created) == ("data:v2", True)
    assert target.version("data").read("n") == b"one"


def test_force_copies_what_is_there(source, target, put):
    """A new version, though its data is there."""
    put(source, SOME)
    source.copy("data", target)

    (copied,) = source.copy("data", target, cas.CopyOptions(force=True)).versions

    assert (copied.ref, copied.created, copied.new_bytes) == ("data:v1", True, 0)


def test_what_is_said_of_a_version_is_carried_over(source, target, put):
    """Type, description, message, metadata, inputs and producer."""
    put(source, {b"raw": b"raw"}, "raw")
    options = cas.PutOptions(
        type="model",
        description="what it is",
        message="why",
        metadata={"loss": 0.5, "tags": ["a", None]},
        inputs=("raw:v0",),
        command=("train", "--lr", "1"),
    )
    put(source, SOME, options=options)

    source.copy("data", target)

    here, there = source.version("data").record, target.version("data").record
    for name in ("type", "description", "message", "metadata", "inputs", "producer", "extra"):
        assert getattr(there, name) == getattr(here, name)
    assert there.inputs[0].store_id == source.store_id
    assert there.session != here.session


def test_a_description_that_is_not_carried_over_is_told(source, target, put):
    """The target has the same data under another description, and makes no version for it."""
    put(source, SOME, options=cas.PutOptions(provenance=False, description="one"))
    put(target, SOME, options=cas.PutOptions(provenance=False, description="other"))

    outcome = source.copy("data", target)

    assert [one.created for one in outcome.versions] == [False]
    (warning,) = outcome.warnings
    assert "another description" in warning


@pytest.mark.parametrize(
    ("mode", "expected", "kept"),
    [
        (cas.AliasMode.NEW, {"best": 1, "live": 0}, ("live",)),
        (cas.AliasMode.MOVE, {"best": 1, "live": 1}, ()),
        (cas.AliasMode.NONE, {"live": 0}, ()),
    ],
)
def test_aliases_are_set_but_not_taken_from_others(source, target, put, mode, expected, kept):
    """An alias that points elsewhere in the target moves only when that is asked for."""
    put(target, {b"old": b"old"}, options=cas.PutOptions(provenance=False, aliases=("live",)))
    put(source, SOME, options=cas.PutOptions(provenance=False, aliases=("best", "live")))

    outcome = source.copy("data", target, cas.CopyOptions(aliases=mode))

    assert target.aliases("data") == expected
    assert outcome.versions[0].kept_aliases == kept
    assert len(outcome.warnings) == len(kept)


def test_aliases_come_also_to_a_version_that_was_there(source, target, put):
    """Tagged after it was copied, and copied again."""
    put(source, SOME)
    source.copy("data", target)
    source.tag("data:v0", ["best"])

    (copied,) = source.copy("data", target).versions
    (again,) = source.copy("data", target).versions

    assert (copied.created, copied.aliases, again.aliases) == (False, ("best",), ())
    assert target.aliases("data") == {"best": 0}


def test_the_whole_store_is_copied(source, target, put):
    """Every artifact and version that is visible; the trash stays where it is."""
    put(source, SOME, "team/one")
    put(source, {b"n": b"1"}, "two")
    put(source, {b"n": b"2"}, "two")
    put(source, {b"n": b"3"}, "gone")
    source.delete("two:v0")
    source.delete("gone")

    outcome = source.copy(None, target)

    assert [one.ref for one in outcome.versions] == ["team/one:v0", "two:v0"]
    assert target.version("two").read("n") == b"2"
    assert [one.name for one in target.artifacts()] == ["team/one", "two"]


def test_an_artifact_is_copied_within_its_store_only_under_another_name(source, put):
    """Onto itself is refused; under another name it costs a manifest."""
    put(source, SOME)

    with pytest.raises(cas.InvalidInputError, match="onto itself") as refused:
        source.copy("data", source)
    (copied,) = source.copy("data", source, cas.CopyOptions(name="twin")).versions

    assert "--as" in (refused.value.hint or "")
    assert (copied.ref, copied.new_bytes) == ("twin:v0", 0)
    assert source.version("twin").read("a.bin") == SOME[b"a.bin"]


@pytest.mark.parametrize(
    ("refs", "options", "error"),
    [
        ("other", cas.CopyOptions(), cas.NotFoundError),
        ("data:v7", cas.CopyOptions(), cas.NotFoundError),
        ("other", ALL, cas.NotFoundError),
        ("data:v0/a.bin", cas.CopyOptions(), cas.InvalidInputError),
        ("data:v0", ALL, cas.InvalidInputError),
        (["data", "two"], cas.CopyOptions(name="new"), cas.InvalidInputError),
        ("data", cas.CopyOptions(name="no name"), cas.InvalidInputError),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    source, target, put, refs, options, error
):
    """Unknown names, paths, and options that contradict the references."""
    put(source, SOME)
    put(source, SOME, "two")
    before = target.requests

    with pytest.raises(error):
        source.copy(refs, target, options)

    assert (target.requests - before).put == 0
    assert target.artifacts() == []


def test_a_protected_alias_of_the_target_stays_where_it_is(source, target, put):
    """Even when aliases are to be moved; and the mark of the source's is not carried over."""
    put(source, SOME, options=cas.PutOptions(provenance=False, aliases=("live", "best")))
    source.protect("data", ["best"])
    put(target, {b"other": b"other"}, options=cas.PutOptions(provenance=False, aliases=("live",)))
    target.protect("data", ["live"])

    outcome = source.copy("data", target, cas.CopyOptions(aliases=cas.AliasMode.MOVE))

    assert [(one.aliases, one.kept_aliases) for one in outcome.versions] == [(("best",), ("live",))]
    assert target.aliases("data") == {"best": 1, "live": 0}
    assert target.protected_aliases("data") == ["live"]


def test_a_copy_does_not_expire(source, target, put):
    """How long a version is needed is a matter of each store: the copy may be the archive."""
    put(source, SOME, options=cas.PutOptions(provenance=False, ttl="30d"))

    source.copy("data", target)

    assert source.version("data").expires_ns is not None
    assert target.version("data").expires_ns is None
