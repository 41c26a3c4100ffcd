"""Real writers, collectors, readers and removals, in many orders of their storage operations."""

from __future__ import annotations

from itertools import islice

import pytest
from interleavings import taken_out
from interleavings.choosing import by_script
from interleavings.every_order import EachOrderOnce
from interleavings.scheduler import Stopped
from interleavings.stage import NEWER, OLD, OTHER, TINY, Stage

from cas.operations.commit import Commit
from cas.testing.fault_plan import Fault

MOST_ORDERS = 10_000  # with those that turn out to be others in disguise


@pytest.fixture(scope="module")
def make_stage(tmp_path_factory):
    """Make stores with versions in them, each once."""
    made = {}

    def make(*trees) -> Stage:
        key = len(trees)
        if key not in made:
            made[key] = Stage.with_versions(tmp_path_factory.mktemp("stage"), *trees)
        return made[key]

    return make


def every_order(stage: Stage, make, most: int = 1 << 30) -> EachOrderOnce:
    """Run each order of operations that depend on each other; return how that went.

    Stores that hold the same objects, by name and size, after everybody has ended well are looked at
    once.
    """
    search = EachOrderOnce()
    looked_at = set()
    for choose in islice(search.schedules(), most):
        try:
            ended = stage.run(make(), choose)
        except Stopped:
            continue
        errors = tuple(str(actor.error) for actor in ended.actors)
        stored = frozenset((one.key, one.size) for one in ended.truth.list_objects(""))
        if (stored, errors) not in looked_at:
            looked_at.add((stored, errors))
            assert ended.failure() is None
    return search


def test_every_order_of_two_writers_is_safe(make_stage):
    """Both publish, each once, whoever is first where."""
    stage = make_stage()

    def make():
        return [stage.writer("one", NEWER), stage.writer("two", OTHER)]

    assert every_order(stage, make).orders > 4


def test_every_order_of_a_purge_and_a_collection_is_safe(make_stage):
    """What is purged goes now or with the next collection."""
    stage = make_stage(OLD)

    def make():
        return [stage.purger(), stage.collector("collector")]

    assert every_order(stage, make).orders > 4


def test_every_order_of_a_writer_and_a_run_that_takes_it_for_dead_is_safe(make_stage):
    """The run voids the slot that the writer is about to take, at whatever moment."""
    stage = make_stage()

    def make():
        return [stage.writer("writer", TINY), stage.settler()]

    assert every_order(stage, make).orders > 250


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("collector", [Stage.settler, Stage.collector], ids=["run", "collection"])
@pytest.mark.parametrize("tree", [TINY, NEWER], ids=["inlined", "with data"])
def test_every_order_of_a_writer_and_a_collector_is_safe(make_stage, collector, tree):
    """Whole: writers of files that stand in the page or have chunks, runs and whole collections."""
    stage = make_stage()

    def make():
        return [stage.writer("writer", tree), collector(stage, "collector")]

    search = every_order(stage, make)

    assert search.orders > 250
    assert search.path == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_different_orders_of_a_writer_and_a_collector_are_safe(make_stage):
    """The collector condemns everything. There are too many orders for all of them."""
    stage = make_stage()

    def make():
        return [stage.writer("writer", NEWER), stage.reckless()]

    assert every_order(stage, make, MOST_ORDERS).orders > 100


@pytest.mark.parametrize("operations", range(1, 16))
def test_a_put_goes_on_when_its_base_is_purged_and_collected(make_stage, operations):
    """At whatever step of the put that happens: it builds on what is there then."""
    stage = make_stage(OLD)
    actors = [stage.writer("writer", NEWER), stage.purger(), stage.collector("collector")]
    script = by_script(("writer", operations), ("purger",), ("collector",))

    ended = stage.run(actors, script)

    assert actors[0].error is None
    assert ended.failure() is None


# With a rule taken out -------------------------------------------------------------------------

SHARING = ("writer", "purger", "reckless", "abandoner")
ALONE = ("writer", "reckless")
DEAD = ("writer", "collector")
TO_INTENT = ("writer", "put", "sessions/")
TO_SLOT = ("writer", "create", "versions/")
TO_VERDICT = ("reckless", "", ".verdict")
# What is taken out, who acts, and in which order: the traces that the model finds.
LOSSES = {
    taken_out.no_log_check: (SHARING[:3], [TO_INTENT, ("purger",), TO_VERDICT, ("writer",)]),
    taken_out.check_before_intent: (SHARING[:3], [TO_INTENT, ("purger",), TO_VERDICT, ("writer",)]),
    taken_out.intents_dropped_early: (ALONE, [TO_SLOT, TO_VERDICT, ("writer",)]),
    taken_out.slots_not_taken: (DEAD, [TO_SLOT, ("collector", "create", ".verdict"), ("writer",)]),
    taken_out.versions_before_intents: (
        ALONE,
        [
            TO_INTENT,
            ("reckless", "create", ".condemn"),
            TO_SLOT,
            ("reckless", "list_objects", "sessions"),
            ("reckless", "list_folders", "artifacts"),
            ("reckless", 2),
            ("writer",),
        ],
    ),
    taken_out.verdict_replaced: (
        SHARING,
        [TO_INTENT, ("purger",), TO_VERDICT, ("abandoner", "put", ".floor"), ("writer",), ("reckless",)],
    ),
    taken_out.expired_run_goes_on: (
        SHARING,
        [
            TO_INTENT,
            ("purger",),
            TO_VERDICT,
            ("abandoner", "put", ".floor"),
            ("writer",),
            ("abandoner",),
        ],
    ),
}  # fmt: skip
FAULTS = {
    taken_out.no_read_back: [Fault.FAIL_AFTER],
    taken_out.no_void_when_giving_up: [Fault.LATE] * 4,
    taken_out.nobody_settled: [Fault.CRASH_BEFORE],
}


def cast_of(stage: Stage, names) -> list:
    return [
        stage.writer("writer", NEWER) if name == "writer" else getattr(stage, name)(name)
        for name in names
    ]


def rule_name(rule) -> str:
    return rule.__name__


@pytest.mark.parametrize("rule", LOSSES, ids=rule_name)
def test_an_order_loses_a_version_only_without_the_rule_against_it(make_stage, monkeypatch, rule):
    """The same order of operations is harmless as long as the code keeps the rule."""
    names, script = LOSSES[rule]
    stage = make_stage(OLD) if "purger" in names else make_stage()

    kept = stage.run(cast_of(stage, names), by_script(*script)).failure()
    rule(monkeypatch)
    lost = stage.run(cast_of(stage, names), by_script(*script)).failure()

    assert kept is None
    assert lost is not None


@pytest.mark.parametrize("rule", FAULTS, ids=rule_name)
def test_a_fault_does_harm_only_without_the_rule_against_it(make_stage, monkeypatch, rule):
    """A lost reply, a late request or a death at the slot, with the rule and without it."""
    stage = make_stage()

    def run() -> str | None:
        actors = cast_of(stage, ["reckless", "writer"])
        for number, fault in enumerate(FAULTS[rule], 1):
            actors[1].plan.fail_nth("create", number, fault, key="versions/")
        return stage.run(actors, by_script(("writer",))).failure()

    kept = run()
    rule(monkeypatch)
    lost = run()

    assert kept is None
    assert lost is not None


def test_a_long_put_is_lost_only_where_sessions_are_settled_before_the_condemn_record(
    make_stage, monkeypatch
):
    """G3 after G2: a session that announced blobs on its way, and has no final intent when it is
    settled, has nothing to be settled by. Its log check must come to see what is condemned.
    """
    publish = Commit.run

    def put_long(self, *args, **kwargs):
        self._stored.announce(self._found.stamp)
        return publish(self, *args, **kwargs)

    monkeypatch.setattr(Commit, "run", put_long)
    stage = make_stage()
    script = [
        TO_INTENT,
        ("writer", 1),
        ("collector", "create", ".condemn"),
        TO_SLOT,
        ("collector",),
        ("writer",),
    ]

    kept = stage.run(cast_of(stage, DEAD), by_script(*script)).failure()
    taken_out.settled_before_condemned(monkeypatch)
    lost = stage.run(cast_of(stage, DEAD), by_script(*script)).failure()

    assert kept is None
    assert lost is not None
