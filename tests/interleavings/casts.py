"""Who acts beside whom, and on what store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from interleavings import movers
from interleavings.readers import reader
from interleavings.scheduler import Actor
from interleavings.stage import NEWER, OLD, OTHER, Stage


@dataclass(frozen=True, slots=True)
class Cast:
    """A store to begin with, and clients of it."""

    stage: Callable[[Path], Stage]
    actors: Callable[[Stage], Sequence[Actor]]


def cast_on(stage: Callable[[Path], Stage], *clients: Callable[[Stage], Actor]) -> Cast:
    """Return a cast of which each client is made for a stage."""
    return Cast(stage, lambda made: [client(made) for client in clients])


def empty(folder: Path) -> Stage:
    """Make a store without versions."""
    return Stage.with_versions(folder)


def one_version(folder: Path) -> Stage:
    """Make a store that holds one version."""
    return Stage.with_versions(folder, OLD)


# Clients ---------------------------------------------------------------------------------------


def _writer(stage: Stage) -> Actor:
    return stage.writer("writer", NEWER)


def _other_writer(stage: Stage) -> Actor:
    return stage.writer("other", OTHER)


def _collector(stage: Stage) -> Actor:
    return stage.collector("collector")


def _carrier(stage: Stage) -> Actor:
    return movers.carrier(stage, OTHER)


def _second_repacker(stage: Stage) -> Actor:
    return movers.repacker(stage, "second")


def _reader(how: str) -> Callable[[Stage], Actor]:
    return lambda stage: reader(stage, how)


_purger, _reckless, _blind = Stage.purger, Stage.reckless, Stage.blind
_settler = Stage.settler

CASTS = {
    "two writers, a collector that takes them for dead": cast_on(
        one_version, _writer, _other_writer, _collector
    ),
    "a writer, a run that takes it for dead": cast_on(empty, _writer, _settler),
    "a writer, a run that does not": cast_on(empty, _writer, _blind),
    "a writer shares what is purged and collected": cast_on(
        one_version, _writer, _purger, _reckless
    ),
    "two collectors": cast_on(one_version, _other_writer, _purger, _collector, _reckless),
    "a reader of what is purged": cast_on(
        one_version, _reader("read"), _purger, _writer, _collector
    ),
    "a get and a pin of what is purged": cast_on(
        one_version, _reader("get"), _reader("pin"), _purger, _collector
    ),
    "a copy comes in": cast_on(one_version, _carrier, _writer, _purger, _collector),
    "a copy goes out of what is moved": cast_on(
        Stage.mostly_dead, _reader("copy"), movers.repacker, _collector
    ),
    "two repacks, a writer": cast_on(
        Stage.mostly_dead, movers.repacker, _second_repacker, _writer, _collector
    ),
    "a repack, a reader, a purge": cast_on(
        Stage.mostly_dead, movers.repacker, _reader("open"), _purger, _collector
    ),
    "a repack, a pin": cast_on(
        Stage.mostly_dead, movers.repacker, _reader("pin"), _purger, _reckless
    ),
    "a repack and collection in one, a writer, a reader": cast_on(
        Stage.mostly_dead, movers.upkeeper, _writer, _reader("open")
    ),
    "a repack and collection in one, another collection": cast_on(
        Stage.mostly_dead, movers.upkeeper, movers.repacker, _purger, _collector
    ),
    "a restoration, a purge": cast_on(Stage.trashed, movers.restorer, _purger, _writer, _collector),
    "an alias of what goes to the trash": cast_on(
        one_version, movers.tagger, movers.trasher, movers.restorer, _collector
    ),
    "two heal the same": cast_on(Stage.damaged, movers.healer, movers.repairer, _collector),
    "a repair, a writer": cast_on(Stage.damaged, movers.repairer, _writer, _reckless),
    "a repair of what is purged": cast_on(Stage.damaged, movers.repairer, _purger, _collector),
    "a repair of what is moved": cast_on(
        Stage.damaged, movers.repairer, movers.repacker, _collector
    ),
}
