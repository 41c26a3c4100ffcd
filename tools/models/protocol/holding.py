"""Scenarios of the whole protocol; in each one everything must hold."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.cast import (
    ABANDON,
    ALIAS,
    BOTH,
    EXPIRE,
    FIRST,
    INDEXED,
    LATE_OLD,
    MERGE,
    NAMES_ROOT,
    ONE,
    ORPHAN,
    OTHER_REPACK,
    PAGED,
    PINNED,
    READER,
    RENEWED,
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
    writer_on_newest,
    writer_resuming,
    writer_with_index,
)
from protocol.explorer import Scenario
from protocol.store import OLD, PAGE, fresh

GONE = "told after the old blob went"
EXPIRED = "told after records expired"
VOID = "told after a void"
SHARED = "told of a blob that a run had condemned"


def core() -> Iterator[Scenario]:
    """Return writers beside collectors."""
    yield scenario(
        "two writers, a collector that settles anyone",
        ORPHAN, writer(0), writer(1), collector(0, BOTH, condemns=OLD),
        reaches=(GONE, VOID, SHARED),
    )  # fmt: skip
    yield scenario(
        "writer, two collectors, settling, expiry",
        ORPHAN, writer(0), collector(0, FIRST, condemns=OLD), collector(1, condemns=OLD), EXPIRE,
        reaches=(GONE, EXPIRED, SHARED, "drop_intents"),
    )  # fmt: skip
    yield scenario(
        "writer, collector, expiry; v0 needs the old blob",
        ONE, writer(0), collector(0, FIRST), EXPIRE,
        reaches=(EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "intent before the blobs",
        ORPHAN, writer(0), collector(0, FIRST),
        setting={"variants": variants("intent first")},
        reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "blobs beside intent and log check",
        ORPHAN, writer(0), collector(0, FIRST),
        setting={"variants": variants("blobs last")},
        reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "settled writer renews itself",
        ORPHAN, writer(0), collector(0, RENEWED, condemns=OLD | fresh(0)), EXPIRE,
        setting={"variants": variants("renews")},
        reaches=("told after it was settled", GONE, EXPIRED),
    )  # fmt: skip
    yield scenario(
        "long upload, settled, second collector",
        SPARE, writer(0), collector(0, SURELY, condemns=PAGE), collector(1, condemns=OLD),
        setting={"variants": variants("announces")},
        reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "second writer builds on the version of a session that is being settled",
        ORPHAN, writer(0), writer_afresh(1), collector(0, FIRST, condemns=OLD | fresh(0)), EXPIRE,
        reaches=(EXPIRED, SHARED),
    )  # fmt: skip


def runs() -> Iterator[Scenario]:
    """Return runs that are abandoned, finished by others, and expire."""
    yield scenario(
        "slow collector, abandoned, expiry",
        ORPHAN, writer(0), collector(0), ABANDON, EXPIRE,
        reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "another collector finishes the run",
        ORPHAN, writer(0), collector(0, FIRST), finisher(1, FIRST),
        reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "abandoned run, second writer on the newest version, expiry",
        ORPHAN, writer(0), writer_on_newest(1), collector(0, condemns=OLD), ABANDON, EXPIRE,
        reaches=(EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "expiry, log listed and then read",
        ORPHAN, writer(0), collector(0), EXPIRE,
        setting={"variants": variants("list, then get")},
        reaches=(GONE, EXPIRED),
    )  # fmt: skip
    yield scenario(
        "expiry, listing that is no snapshot",
        ORPHAN, writer(0), collector(0), EXPIRE,
        setting={"variants": variants("two listings")},
        reaches=(GONE, EXPIRED),
    )  # fmt: skip
    yield scenario(
        "resumes from a journal, settling, expiry",
        ORPHAN, writer(0), writer_resuming(1, 0), collector(0, FIRST, condemns=fresh(0)), EXPIRE,
        reaches=(EXPIRED, VOID),
    )  # fmt: skip
    yield scenario(
        "segment, merged, expiry",
        INDEXED, writer_with_index(0), collector(0), MERGE, EXPIRE,
        reaches=(GONE, EXPIRED),
    )  # fmt: skip
    yield scenario(
        "segment, merged, abandoned run, expiry",
        INDEXED, writer_with_index(0), collector(0, condemns=OLD), MERGE, ABANDON, EXPIRE,
        reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip


def losses() -> Iterator[Scenario]:
    """Return lost replies, late requests and duplicates."""
    yield scenario(
        "two faults anywhere, settling",
        ORPHAN, writer(0), collector(0, FIRST, condemns=OLD),
        faults=2,
        reaches=(GONE, "read_taken", "read_verdict", "look_for", "look_deleted"),
    )  # fmt: skip
    yield scenario(
        "a fault anywhere, settling, abandoned run, expiry",
        ORPHAN, writer(0), collector(0, FIRST, condemns=OLD), ABANDON, EXPIRE,
        faults=1,
        reaches=(GONE, EXPIRED, "read_taken"),
    )  # fmt: skip
    yield scenario(
        "gives up after a lost reply",
        ORPHAN, writer(0), collector(0, condemns=OLD),
        setting={"variants": variants("gives up")}, faults=2,
        reaches=("void_own", "read_own", "give_up"),
    )  # fmt: skip
    yield scenario(
        "late put of a dead blob, a fault, expiry",
        ORPHAN, writer(0), collector(0), EXPIRE,
        late=(LATE_OLD,), faults=1,
        reaches=(GONE, EXPIRED),
    )  # fmt: skip
    yield scenario(
        "two writers, two faults", ORPHAN, writer(0), writer(1), faults=2, reaches=("read_slot",)
    )
    yield scenario(
        "two writers, settling, a fault while publishing",
        ORPHAN, writer(0), writer(1), collector(0, FIRST, condemns=fresh(0)),
        faults=1, faulty=frozenset({"create_slot"}),
        reaches=(VOID,),
    )  # fmt: skip


def removals() -> Iterator[Scenario]:
    """Return trash, purge, restoring, pins and aliases."""
    yield scenario(
        "trash, purge, restore, shared blob",
        ONE, writer(0), collector(0), RM, RESTORE,
        reaches=(GONE, SHARED),
    )  # fmt: skip
    yield scenario(
        "purge, writer on the newest version, expiry",
        ONE, writer_on_newest(0), collector(0), RM, EXPIRE,
        reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "purge, writer that reads afresh, expiry",
        ONE, writer_afresh(0), collector(0), RM, EXPIRE,
        reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "two writers, purge, settling",
        ONE, writer(0), writer_on_newest(1), collector(0, FIRST, condemns=OLD), RM,
        reaches=(GONE, VOID),
    )  # fmt: skip
    yield scenario(
        "reader without a pin", PAGED, READER, collector(0), RM, EXPIRE, reaches=("has_read",)
    )
    yield scenario(
        "reader with a pin", PAGED, PINNED, collector(0), RM, EXPIRE, reaches=("has_read",)
    )
    yield scenario(
        "shared page that the intent names alone",
        PAGED, writer(0, PAGE), collector(0), RM, EXPIRE,
        setting={"variants": variants("names pages")},
        reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "intent names the root alone, which is stored first",
        ORPHAN, writer(0), collector(0, FIRST),
        setting={"variants": variants("names root"), "pages": {PAGE: OLD, **NAMES_ROOT}},
        reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "alias moves while its version is removed",
        ONE, ALIAS, RM_ALIASED,
        setting={"variants": variants("no clean-up")},
        reaches=("told_of_alias",),
    )  # fmt: skip


def repacks() -> Iterator[Scenario]:
    """Return repacks beside writers, readers and removals."""
    yield scenario(
        "repack, shared old blob, settling",
        ONE, repacker(), writer(1), collector(0, SETTLE_REPACK, condemns=OLD),
        reaches=("repacked", GONE, SHARED),
    )  # fmt: skip
    yield scenario(
        "two repacks",
        PAGED, repacker(), repacker(OTHER_REPACK, keeps=PAGE), collector(0, condemns=OLD | PAGE),
        reaches=("repacked", "drop"),
    )  # fmt: skip
    yield scenario(
        "repack, trash, purge, restore, writer",
        ONE, repacker(), writer(1), RM, RESTORE, collector(0, condemns=OLD),
        reaches=("repacked", GONE),
    )  # fmt: skip
    yield scenario(
        "repack, pinned reader, purge, expiry",
        PAGED, repacker(), PINNED, RM, collector(0, condemns=OLD), EXPIRE,
        reaches=("repacked", "has_read"),
    )  # fmt: skip
    yield scenario(
        "repack, reader",
        PAGED, repacker(), READER, collector(0),
        reaches=("repacked", "has_read", "read_again"),
    )  # fmt: skip
    yield scenario(
        "repack, a fault anywhere, settling",
        ONE, repacker(), collector(0, SETTLE_REPACK),
        faults=1,
        reaches=("repacked", "look_published"),
    )  # fmt: skip


def deep() -> Iterator[Scenario]:
    """Return scenarios of too many states to be searched for every change."""
    yield scenario(
        "two writers, a collector that condemns anything",
        ORPHAN, writer(0), writer(1), collector(0, BOTH),
        deep=True, reaches=(GONE, VOID, SHARED),
    )  # fmt: skip
    yield scenario(
        "writer, two collectors that condemn anything, settling, expiry",
        ORPHAN, writer(0), collector(0, FIRST), collector(1), EXPIRE,
        deep=True, reaches=(GONE, EXPIRED, SHARED),
    )  # fmt: skip
    yield scenario(
        "long upload, settled, two collectors that condemn much",
        SPARE, writer(0), collector(0, FIRST, condemns=OLD | PAGE),
        collector(1, FIRST, condemns=OLD | PAGE),
        setting={"variants": variants("announces")},
        deep=True, reaches=(GONE,),
    )  # fmt: skip
    yield scenario(
        "two writers, purge, settling, expiry",
        ONE, writer(0), writer_on_newest(1), collector(0, FIRST, condemns=OLD), RM, EXPIRE,
        deep=True, reaches=(GONE, EXPIRED, VOID),
    )  # fmt: skip
    yield scenario(
        "settled writer renews itself, a fault anywhere, abandoned run",
        ORPHAN, writer(0), collector(0, RENEWED, condemns=OLD), ABANDON, EXPIRE,
        setting={"variants": variants("renews")}, faults=1,
        deep=True, reaches=(GONE, EXPIRED, "told after it was settled"),
    )  # fmt: skip
    yield scenario(
        "two writers, settling, two faults while publishing",
        ORPHAN, writer(0), writer(1), collector(0, FIRST, condemns=fresh(0)),
        faults=2, faulty=frozenset({"create_slot"}),
        deep=True, reaches=(VOID,),
    )  # fmt: skip
    yield scenario(
        "repack, two readers, one pinned, collector, purge, restore",
        PAGED, repacker(), READER, PINNED, collector(0, condemns=OLD), RM, RESTORE,
        deep=True, reaches=("repacked", "read_again", "has_read"),
    )  # fmt: skip


def holding() -> Iterator[Scenario]:
    """Return every scenario in which all must hold."""
    for group in (core, runs, losses, removals, repacks, deep):
        yield from group()
