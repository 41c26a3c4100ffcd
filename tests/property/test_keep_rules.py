"""What rules keep, for any artifacts, ages, aliases, metadata and lineage."""

from __future__ import annotations

from datetime import timedelta

import pytest
from census_of import census_of, counted
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import InvalidInputError
from cas.format.version import MoveKind
from cas.model.durations import DAY_NS, SECOND_NS
from cas.operations.keep_rules import KeepRules, TopRule, choose_kept, spread_lineage
from cas.operations.retention import RetentionPolicy, choose_due

NOW = 1000 * DAY_NS

ages = st.integers(0, 400)
values = st.none() | st.integers(-5, 5) | st.floats(-5, 5) | st.just("best") | st.booleans()
counts = st.integers(0, 4)


@st.composite
def stores(draw):
    """Versions of two artifacts, some of them made from earlier ones, in trash, aliased, overdue."""
    versions = []
    names = []
    for artifact in ("a", "b"):
        for number in range(draw(st.integers(0, 4))):
            aliases = tuple(sorted(draw(st.sets(st.sampled_from(["prod", "best"]), max_size=1))))
            moved = draw(
                st.none()
                | st.tuples(st.sampled_from(MoveKind), ages.map(lambda age: NOW - age * DAY_NS))
            )
            value = draw(values)
            versions.append(
                counted(
                    artifact,
                    number,
                    created_ns=NOW - draw(ages) * DAY_NS,
                    moved=moved,
                    inputs=draw(st.lists(st.sampled_from(names), max_size=2)) if names else (),
                    metadata={} if value is None else {"loss": value},
                    aliases=aliases,
                    protected=aliases if draw(st.booleans()) else (),
                    expires_ns=draw(
                        st.none() | st.integers(-100, 100).map(lambda days: NOW + days * DAY_NS)
                    ),
                )
            )
            names.append((artifact, number))
    return census_of(versions)


rules = st.builds(
    KeepRules,
    last=st.none() | counts,
    within=st.none() | ages.map(lambda days: timedelta(days=days)),
    aliases=st.just(()) | st.just(("pro*",)),
    every_alias=st.booleans(),
    top=st.lists(st.sampled_from(["1:loss", "2:loss:max"]), max_size=2).map(tuple),
    daily=counts,
    weekly=counts,
    monthly=counts,
)


def live_of(census, artifact="a"):
    return [one for one in census.versions.values() if one.name[0] == artifact and one.is_live]


@given(stores(), rules)
def test_each_rule_keeps_what_it_says(census, rules):
    """Compared with a plain reading of every rule; only visible versions count."""
    live = sorted(live_of(census), key=lambda one: -one.record.number)
    kept = choose_kept([one for one in census.versions.values() if one.name[0] == "a"], rules, NOW)

    assert set(kept) <= {one.name for one in live}
    assert all(kept.values())
    for place, one in enumerate(live):
        by_last = rules.last is not None and place < rules.last
        age = timedelta(seconds=(NOW - one.record.created_ns) // SECOND_NS)
        by_age = rules.within is not None and age <= rules.within
        by_alias = any(
            alias in one.protected or rules.every_alias or (rules.aliases and alias == "prod")
            for alias in one.aliases
        )
        if by_last or by_age or by_alias:
            assert one.name in kept
        elif not rules.top and not (rules.daily or rules.weekly or rules.monthly):
            assert one.name not in kept


@given(stores(), counts, st.sampled_from(["min", "max"]))
def test_the_best_are_kept_and_none_that_is_worse_than_one_that_goes(census, count, way):
    """So many as asked for, of those that have a number, ranked the right way round."""
    live = live_of(census)
    kept = choose_kept(live, KeepRules(top=(f"{count}:loss:{way}",)), NOW)
    rule = TopRule(count, "loss", lowest=way == "min")
    numbers = {one.name: rule.number_of(one.record.metadata) for one in live}
    ranked = {name: number for name, number in numbers.items() if number is not None}
    best = [name for name in ranked if any("among" in why for why in kept.get(name, []))]

    assert len(best) == min(rule.count, len(ranked))
    for name in best:
        for other in ranked.keys() - set(best):
            if rule.lowest:
                assert ranked[name] <= ranked[other]
            else:
                assert ranked[name] >= ranked[other]


@given(stores(), counts)
def test_the_newest_of_each_day_is_kept(census, count):
    """So many days as asked for, the last ones that have a version."""
    live = live_of(census)
    kept = choose_kept(live, KeepRules(daily=count), NOW)
    days = sorted({one.record.created_ns // DAY_NS for one in live}, reverse=True)[:count]

    by_day = {
        one.record.created_ns // DAY_NS
        for one in live
        if any(why.startswith("daily") for why in kept.get(one.name, []))
    }
    assert by_day == set(days)


@given(stores(), rules)
def test_what_a_kept_version_was_made_from_is_kept_and_nothing_is_lost_by_lineage(census, rules):
    """To any depth, across artifacts, and only what is visible."""
    kept = choose_kept(live_of(census), rules, NOW)
    spread = spread_lineage(census, kept)

    assert set(kept) <= set(spread)
    for name in spread:
        for lineage in census.versions[name].record.inputs:
            source = census.versions[lineage.artifact, lineage.number]
            if source.is_live and source.name != name:
                assert source.name in spread
    assert all(census.versions[name].is_live for name in set(spread) - set(kept))


@given(stores(), st.none() | ages)
def test_only_what_is_due_goes_and_nothing_that_something_speaks_for(census, trash_days):
    """Purged: long in the trash. Trashed: overdue, without alias, no kept version made from it."""
    keep_ns = None if trash_days is None else trash_days * DAY_NS
    plan = choose_due(census, RetentionPolicy(trash_keep_ns=keep_ns), NOW)
    going = {(one.artifact, one.number) for one in plan.trash}

    purged = {(one.artifact, one.number) for one in plan.purge}
    assert purged == {
        one.name
        for one in census.versions.values()
        if one.move is not None
        and one.move.kind is MoveKind.TRASH
        and keep_ns is not None
        and NOW - one.move.created_ns >= keep_ns
    }
    staying = [one for one in census.versions.values() if one.is_live and one.name not in going]
    inputs = {(used.artifact, used.number) for one in staying for used in one.record.inputs}
    for name in going:
        one = census.versions[name]
        assert one.is_live
        assert one.expires_ns <= NOW
        assert not one.aliases
        assert name not in inputs
    overdue = {
        one.name
        for one in census.versions.values()
        if one.is_live and one.expires_ns is not None and one.expires_ns <= NOW
    }
    assert overdue == going | {(one.artifact, one.number) for one in plan.kept}
    assert all(one.reasons for one in plan.kept)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("3:val_loss", TopRule(3, "val_loss", lowest=True)),
        ("1:eval.accuracy", TopRule(1, "eval.accuracy", lowest=False)),
        ("2:metadata.score:min", TopRule(2, "score", lowest=True)),
        ("2:wer:max", TopRule(2, "wer", lowest=False)),
    ],
)
def test_a_ranking_is_read_as_it_is_meant(text, rule):
    """The way is known for well known metrics and can always be said."""
    assert TopRule.parse(text) == rule


@pytest.mark.parametrize(
    "text", ["", "3", "loss", "x:loss", "3:", "-1:loss", "3:speed", "3:loss_score"]
)
def test_a_ranking_that_could_keep_the_worst_is_refused(text):
    """Where nobody says which way is better, nothing is guessed."""
    with pytest.raises(InvalidInputError):
        TopRule.parse(text)


def test_numbers_are_found_inside_of_maps():
    """By dots, unless a key of that very name is there."""
    rule = TopRule(1, "eval.loss", lowest=True)

    assert rule.number_of({"eval": {"loss": 0.5}}) == 0.5
    assert rule.number_of({"eval.loss": 0.25, "eval": {"loss": 0.5}}) == 0.25
    assert rule.number_of({"eval": 3}) is None
    assert rule.number_of({"eval": {"loss": True}}) is None


def test_lineage_of_a_copied_version_is_followed_by_digest():
    """Its numbers are those of the store it came from; the data may have another here."""
    source = counted("data", 7)
    model = counted("model", 0, inputs=[("data", 7)], of_store="ff" * 16)
    census = census_of([source, model])

    spread = spread_lineage(census, {("model", 0): ["alias prod"]})

    assert spread["data", 7] == ["model:v0 was made from it"]
