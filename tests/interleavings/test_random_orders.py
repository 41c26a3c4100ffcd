"""Real clients of every kind, in orders by seed and with each of them interrupted everywhere."""

from __future__ import annotations

from itertools import permutations

import pytest
from interleavings import taken_out
from interleavings.casts import CASTS, Cast, cast_on, empty, one_version
from interleavings.choosing import by_script, replay
from interleavings.movers import repairer
from interleavings.random_orders import Places, by_seed
from interleavings.readers import READINGS, reader
from interleavings.stage import NEWER, Stage, disturb

QUICK_SEEDS = 12
SLOW_SEEDS = 400


@pytest.fixture(scope="module")
def stage_of(tmp_path_factory):
    """Make the store of a cast, each once."""
    made = {}

    def make(cast: Cast) -> Stage:
        if cast.stage not in made:
            made[cast.stage] = cast.stage(tmp_path_factory.mktemp("stage"))
        return made[cast.stage]

    return make


def places_of(stage: Stage, actors) -> Places:
    """Let each actor run alone to learn where it can be interrupted."""
    return Places.of([one for alone in actors(stage) for one in stage.run([alone], min).actors])


def failures(stage: Stage, actors, seeds: range) -> dict[int, str]:
    """Run a schedule for each seed, every other one with faults; return what went wrong."""
    found = {}
    places = places_of(stage, actors)
    for seed in seeds:
        acting = actors(stage)
        if seed % 2:
            disturb(acting, seed)
        failure = stage.run(acting, by_seed(seed, places)).failure()
        if failure is not None:
            found[seed] = failure
    return found


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_nothing_is_lost_in_any_order(stage_of, cast):
    """Every acknowledged version reads back whole, and garbage goes, whatever is lost or dies."""
    assert failures(stage_of(cast), cast.actors, range(QUICK_SEEDS)) == {}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_nothing_is_lost_in_thousands_of_orders(stage_of, cast):
    """The same with other seeds."""
    assert failures(stage_of(cast), cast.actors, range(QUICK_SEEDS, SLOW_SEEDS)) == {}


def test_a_schedule_runs_again_as_it_ran(stage_of):
    """A failure is a list of names: it can be looked at until it is understood."""
    cast = CASTS["two collectors"]
    stage = stage_of(cast)
    first = stage.run(cast.actors(stage), by_seed(3, places_of(stage, cast.actors)))

    again = stage.run(cast.actors(stage), replay(first.schedule))

    assert again.schedule == first.schedule
    assert sorted(again.truth._objects) == sorted(first.truth._objects)


# One interruption, everywhere ------------------------------------------------------------------


def failures_if_interrupted(stage: Stage, actors, name: str) -> dict[tuple, str]:
    """Stop an actor before each of its operations; let the others run, one after the other."""
    found = {}
    alone = next(one for one in actors(stage) if one.name == name)
    others = [one.name for one in actors(stage) if one.name != name]
    count = len(stage.run([alone], min).actors[0].made)
    for place in range(1, count + 1):
        for order in permutations(others):
            script = by_script((name, place), *((one,) for one in order))
            failure = stage.run(actors(stage), script).failure()
            if failure is not None:
                found[place, order] = failure
    return found


@pytest.mark.parametrize("how", READINGS)
def test_a_reader_is_told_if_the_version_is_deleted_while_it_is_read(stage_of, how):
    """Wherever it stands when the version is purged and collected: that is no damage."""
    cast = cast_on(
        one_version, lambda stage: reader(stage, how, "reader"), Stage.purger, _collector
    )

    assert failures_if_interrupted(stage_of(cast), cast.actors, "reader") == {}


def test_a_collection_goes_on_when_another_one_takes_a_purged_version(stage_of):
    """Wherever it stands: what it found to be there and is missing now was purged meanwhile."""
    cast = cast_on(one_version, Stage.reckless, Stage.purger, _collector)

    assert failures_if_interrupted(stage_of(cast), cast.actors, "reckless") == {}


def test_a_put_shares_nothing_damaged_though_it_is_repaired_meanwhile(stage_of):
    """The record that names it goes with the repair, after the put has listed it."""
    cast = cast_on(Stage.damaged, _writer, repairer)

    assert failures_if_interrupted(stage_of(cast), cast.actors, "writer") == {}


def _writer(stage: Stage):
    return stage.writer("writer", NEWER)


def _collector(stage: Stage):
    return stage.collector("collector")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_nothing_is_lost_wherever_one_is_interrupted(stage_of, cast):
    """Each actor in turn, at each operation, with the others in each order."""
    stage = stage_of(cast)

    for actor in cast.actors(stage):
        assert failures_if_interrupted(stage, cast.actors, actor.name) == {}


# With a rule taken out -------------------------------------------------------------------------

PURGED = cast_on(one_version, _writer, Stage.purger, Stage.blind)
BLIND = cast_on(empty, _writer, Stage.blind)
SETTLED = cast_on(empty, _writer, Stage.settler)
# In which cast a loss is met, and by what seed at the latest.
FOUND = [
    (taken_out.no_log_check, BLIND, 100),
    (taken_out.check_before_intent, BLIND, 100),
    (taken_out.versions_before_intents, BLIND, 200),
    (taken_out.slots_not_taken, SETTLED, 100),
    (taken_out.intents_dropped_early, BLIND, 200),
    (taken_out.no_log_check, PURGED, 200),
    (taken_out.check_before_intent, PURGED, 200),
]


@pytest.mark.parametrize(
    ("rule", "cast", "most"), FOUND, ids=[rule.__name__ for rule, _, _ in FOUND]
)
def test_a_loss_is_met_by_chance_once_a_rule_is_taken_out(stage_of, monkeypatch, rule, cast, most):
    """Nobody says where to look: a few hundred seeds show what is lost."""
    stage = stage_of(cast)
    places = places_of(stage, cast.actors)
    rule(monkeypatch)

    runs = (stage.run(cast.actors(stage), by_seed(seed, places)) for seed in range(most))

    assert any(run.failure() is not None for run in runs)
