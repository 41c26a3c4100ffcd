"""Scenarios with one rule taken out; in each one the loss must be found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from protocol.cast import (
    ABANDON,
    ALIAS,
    EXPIRE,
    FIRST,
    FREE,
    INDEXED,
    LATE_OLD,
    MERGE,
    NAMES_ROOT,
    ONE,
    ORPHAN,
    PAGED,
    PINNED,
    READER,
    RESTORE,
    RM,
    RM_ALIASED,
    SETTLE_REPACK,
    SPARE,
    SURELY,
    collector,
    finisher,
    repacker,
    scenario,
    variants,
    writer,
    writer_afresh,
    writer_with_index,
)
from protocol.explorer import Scenario
from protocol.rules import Rule
from protocol.steps import Local
from protocol.store import OLD, PAGE, Store, fresh

LACKS, TWICE, TOLD = "lacks blob", "published twice", "was told"


class Loss(NamedTuple):
    """A scenario without a rule, and what must go wrong in it."""

    rule: Rule
    expected: str  # what the reason that is found has in it
    scenario: Scenario


def without(rule: Rule, expected: str, store: Store, *actors: Local, **more: Any) -> Loss:
    """Return a scenario without a rule; `more` as for `scenario`."""
    made = scenario(f"without: {rule.value}", store, *actors, **more)
    setting = replace(made.setting, out=frozenset({rule}))
    return Loss(rule, expected, replace(made, setting=setting))


def of_writers() -> Iterator[Loss]:
    """Return losses by writers that leave out steps."""
    pair = (writer(0), collector(0))
    settling = (writer(0), collector(0, FIRST))
    yield without(Rule.W1_BEFORE_W2, LACKS, ORPHAN, *pair)
    yield without(
        Rule.W1_NAMES_ALL, LACKS, ORPHAN, *pair, setting={"pages": {PAGE: OLD, **NAMES_ROOT}}
    )
    yield without(
        Rule.W1_COMPLETE, LACKS, SPARE, writer(0),
        collector(0, SURELY, condemns=PAGE), collector(1, condemns=OLD),
        setting={"variants": variants("announces", "no clean-up")},
    )  # fmt: skip
    yield without(Rule.W1_NAMES_SLOT, LACKS, ORPHAN, *settling)
    yield without(
        Rule.W1_KEEPS_SLOT, LACKS, ORPHAN, writer(0),
        collector(0, FIRST, condemns=OLD), collector(1, SURELY, condemns=fresh(0, 1)),
    )  # fmt: skip
    yield without(Rule.W2, LACKS, ORPHAN, *pair)
    yield without(
        Rule.W2_BEHIND_PAGES, LACKS, PAGED, writer(0, PAGE), collector(0), RM,
        setting={"variants": variants("names pages")},
    )  # fmt: skip
    yield without(
        Rule.W2_GONE_STALE, LACKS, ORPHAN, *pair, EXPIRE,
        setting={"variants": variants("list, then get")},
    )  # fmt: skip
    yield without(Rule.NEW_KEYS, LACKS, ORPHAN, *pair)
    yield without(Rule.W5_LAST, LACKS, ORPHAN, *pair)
    yield without(Rule.W3_WALKS, LACKS, ORPHAN, writer(0), writer(1), collector(0, FIRST))
    yield without(Rule.W3_READS_UNKNOWN, TWICE, ORPHAN, writer(0), writer(1), faults=1)
    yield without(Rule.W3_READS_TAKEN, TWICE, ORPHAN, writer(0), faults=1)
    yield without(
        Rule.VOID_FIRST, LACKS, ORPHAN, *pair,
        setting={"variants": variants("gives up")}, faults=1,
    )  # fmt: skip
    yield without(Rule.FENCED_RENEWS, LACKS, ORPHAN, *settling)
    yield without(Rule.STAMPS, LACKS, ORPHAN, *pair, EXPIRE)
    yield without(Rule.LOG_FIRST, LACKS, ONE, writer_afresh(0), collector(0), RM, EXPIRE)
    yield without(Rule.NO_EXISTENCE, LACKS, ORPHAN, *pair, EXPIRE, late=(LATE_OLD,), faults=1)


def of_collectors() -> Iterator[Loss]:
    """Return losses by collectors that leave out steps."""
    pair = (writer(0), collector(0))
    settling = (writer(0), collector(0, FIRST))
    yield without(
        Rule.G2_CREATES, LACKS, ORPHAN, writer(0), collector(0, condemns=fresh(0)), collector(1, condemns=OLD),
        setting={"variants": variants("no clean-up")},
        faults=1, faulty=frozenset({"create_run"}),
    )  # fmt: skip
    yield without(
        Rule.G3_AFTER_G2, LACKS, ORPHAN, *settling, setting={"variants": variants("announces")}
    )
    yield without(Rule.G3_TAKES_SLOT, LACKS, ORPHAN, *settling)
    yield without(Rule.G3_CREATES, TOLD, ORPHAN, *settling)
    yield without(Rule.G3, "can never be collected", ORPHAN, *settling)
    yield without(Rule.G4_ORDER, LACKS, ORPHAN, *pair)
    yield without(
        Rule.G4_PAGES, LACKS, PAGED, writer(0, PAGE), collector(0), RM,
        setting={"variants": variants("names pages")},
    )  # fmt: skip
    yield without(Rule.G5_CREATES, LACKS, ORPHAN, *pair, ABANDON)
    yield without(Rule.G5_CREATES, LACKS, ORPHAN, *pair, finisher(1))
    yield without(Rule.G6, LACKS, ORPHAN, *pair, ABANDON, EXPIRE)
    yield without(
        Rule.G8_LISTED, LACKS, ORPHAN, writer(0),
        collector(0, SURELY, condemns=fresh(0)), collector(1, condemns=fresh(0, 1)),
        setting={"variants": variants("announces", "no clean-up")},
    )  # fmt: skip
    yield without(Rule.B1, "a run stays open", ORPHAN, *pair)
    yield without(
        Rule.X_FLOOR_FIRST, LACKS, ORPHAN, *pair, EXPIRE,
        setting={"variants": variants("no clean-up")},
    )  # fmt: skip
    yield without(
        Rule.X_SORTS_LAST, LACKS, ORPHAN, *pair, EXPIRE,
        setting={"variants": variants("two listings")},
    )  # fmt: skip
    merged = (writer_with_index(0), collector(0), MERGE)
    yield without(Rule.I_MERGE_PREFIX, LACKS, INDEXED, *merged)
    yield without(Rule.I_MERGE_DROPS, LACKS, INDEXED, *merged)


def of_others() -> Iterator[Loss]:
    """Return losses by removals, readers, repacks and aliases that leave out steps."""
    yield without(Rule.D_TRASH_LIVES, LACKS, ONE, collector(0), RM, RESTORE)
    yield without(Rule.D_NUMBERED, LACKS, ONE, collector(0), RM, RESTORE)
    yield without(
        Rule.D_SLOT_STAYS, TOLD, ONE, writer(0), writer(1), FREE,
        setting={"variants": variants("no clean-up")},
    )  # fmt: skip
    yield without(Rule.R3, "a reader misses a blob", PAGED, repacker(), READER, collector(0))
    yield without(Rule.R4, "a reader misses a blob", PAGED, PINNED, collector(0), RM)
    yield without(Rule.P2, LACKS, PAGED, repacker(keeps=PAGE), collector(0))
    settled = (repacker(), collector(0, SETTLE_REPACK))
    yield without(Rule.P3_CREATES, LACKS, ONE, *settled)
    yield without(Rule.P3_SETTLED, LACKS, ONE, *settled)
    yield without(
        Rule.A1_TWICE, "nobody was told", ONE, ALIAS, RM_ALIASED,
        setting={"variants": variants("no clean-up")},
    )  # fmt: skip


def taken_out() -> Iterator[Loss]:
    """Return every rule taken out, some more than once."""
    for group in (of_writers, of_collectors, of_others):
        yield from group()
