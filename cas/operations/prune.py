"""Keeping of artifacts what rules say, and moving the rest to the trash.

The plan is a value: it is the dry run, and the act follows it. What becomes of a version between the
two is looked at again where it matters: aliases, and moves by others.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cas.errors import CorruptionError, ErrorCode, InvalidInputError, NotFoundError, RefusedError
from cas.model.names import ArtifactName
from cas.objects.parts import StoreParts
from cas.objects.versions import list_artifacts, unknown_artifact
from cas.operations.census import Census, CountedVersion, Name, VersionState, take_census
from cas.operations.damaged_records import DamagedRecord
from cas.operations.guarantees import require_create_if_absent
from cas.operations.keep_rules import (
    KeepRules,
    Reasons,
    choose_kept,
    rank_nothing,
    spread_lineage,
)
from cas.operations.measure_blobs import freed_without
from cas.operations.trash import Missed, Trashed, move_to_trash

REASON = "pruned: no rule kept it"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedVersion:
    """A visible version, and why it is kept; without any reason it goes.

    `size` are the bytes of its files, `age_seconds` by the clock of this machine.
    """

    artifact: str
    number: int
    created_ns: int
    age_seconds: int
    size: int
    aliases: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def ref(self) -> str:
        """The version as a reference: `name:v4`."""
        return f"{self.artifact}:v{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownKey:
    """A key of metadata by which a rule ranks, and under which no version of it has a number."""

    artifact: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """The visible versions of the artifacts asked for, by artifact, the newest first.

    Attributes:
        freed_bytes: whole blobs that only those that go need: what collections free once these are
            purged. None where it was not asked for, or a page of the store cannot be read.
        unknown_keys: of rules that keep nothing of an artifact, since they cannot rank it.
        damaged: records that cannot be read, and may speak for versions asked for or are of some:
            what they may speak for is kept.
    """

    versions: tuple[JudgedVersion, ...]
    freed_bytes: int | None = None
    unknown_keys: tuple[UnknownKey, ...] = ()
    damaged: tuple[DamagedRecord, ...] = ()

    @property
    def going(self) -> tuple[JudgedVersion, ...]:
        """Those that would be moved to the trash."""
        return tuple(one for one in self.versions if not one.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOutcome:
    """What a pruning did. `missed` were left, since somebody did something to them meanwhile."""

    plan: PrunePlan
    trashed: tuple[Trashed, ...]
    missed: tuple[Missed, ...]


def plan_prune(parts: StoreParts, patterns: Sequence[str], rules: KeepRules) -> PrunePlan:
    """Return which versions rules keep, which would go, and what that would free, changing nothing.

    Rules look at each artifact for itself; lineage counts across the whole store, whose records are
    all read. One that cannot be read counts for whatever it may have said.

    Args:
        parts: the store.
        patterns: names of artifacts, or patterns such as `team/*`.
        rules: what is kept.

    Raises:
        NotFoundError: a name or pattern fits no artifact.
        InvalidInputError: the rules say nothing, or one makes no sense.
    """
    _check_rules(rules)
    artifacts = _choose_artifacts(parts, patterns)
    census = take_census(parts)
    plan = _plan(census, artifacts, rules, parts.clock.now_ns())
    going = [(one.artifact, one.number) for one in plan.going]
    with suppress(CorruptionError):
        plan = replace(plan, freed_bytes=freed_without(parts, census, going) if going else 0)
    return plan


def prune(parts: StoreParts, patterns: Sequence[str], rules: KeepRules) -> PruneOutcome:
    """Move to the trash what rules do not keep.

    Raises:
        NotFoundError: a name or pattern fits no artifact.
        InvalidInputError: the rules say nothing, or one makes no sense.
        RefusedError: an artifact would lose every version, and `last` is not 0.
        UnsupportedError: the storage cannot keep two deciders apart.
    """
    require_create_if_absent(parts, "deleting versions")
    _check_rules(rules)
    artifacts = _choose_artifacts(parts, patterns)
    census = take_census(parts)
    plan = _plan(census, artifacts, rules, parts.clock.now_ns())
    refuse_emptying(plan, rules)
    going = [census.versions[one.artifact, one.number] for one in plan.going]
    trashed, missed = move_to_trash(parts, census, going, REASON)
    return PruneOutcome(plan=plan, trashed=tuple(trashed), missed=tuple(missed))


def refuse_emptying(plan: PrunePlan, rules: KeepRules) -> None:
    """Raise if an artifact would lose every version, and nobody said that this is meant.

    Raises:
        RefusedError: it would.
    """
    if rules.last == 0:
        return
    kept = {one.artifact for one in plan.versions if one.reasons}
    emptied = sorted({one.artifact for one in plan.versions} - kept)
    if emptied:
        shown = ", ".join(emptied[:3]) + (f" and {len(emptied) - 3} more" if emptied[3:] else "")
        unknown = {one.key for one in plan.unknown_keys if one.artifact in emptied}
        why = f": none has a number {' or '.join(sorted(unknown))} in its metadata"
        raise RefusedError(
            f"these rules keep no version of {shown}{why if unknown else ''}",
            code=ErrorCode.BRAKE,
            hint="keep some with --keep-last N; if that is meant, say --keep-last 0",
        )


def _plan(
    census: Census, artifacts: Sequence[ArtifactName], rules: KeepRules, now_ns: int
) -> PrunePlan:
    every = census.by_artifact()
    asked: dict[ArtifactName, list[CountedVersion]] = {
        artifact: [one for one in every.get(str(artifact), []) if one.is_live]
        for artifact in artifacts
    }
    names: set[Name] = {one.name for versions in asked.values() for one in versions}
    # What nobody asks about stays, and speaks for what it was made from.
    staying = (VersionState.LIVE, VersionState.UNKNOWN)
    kept: Reasons = {
        name: []
        for name, one in census.versions.items()
        if one.state in staying and name not in names
    }
    for versions in asked.values():
        kept |= choose_kept(versions, rules, now_ns)
    damaged = _relevant(census, artifacts)
    for name in names:
        if doubts := _doubts(damaged, name):
            kept[name] = kept.get(name, []) + doubts
    kept = spread_lineage(census, kept)
    return PrunePlan(
        versions=tuple(
            _judge(one, kept.get(one.name, []), now_ns)
            for versions in asked.values()
            for one in reversed(versions)
        ),
        unknown_keys=tuple(
            UnknownKey(artifact=str(artifact), key=key)
            for artifact, versions in asked.items()
            for key in rank_nothing(versions, rules)
        ),
        damaged=damaged,
    )


def _relevant(census: Census, artifacts: Sequence[ArtifactName]) -> tuple[DamagedRecord, ...]:
    asked = {str(artifact) for artifact in artifacts}
    return tuple(one for one in census.damaged if one.hides_inputs or one.artifact in asked)


def _doubts(damaged: Sequence[DamagedRecord], name: Name) -> list[str]:
    """Say why a version stays for which something may speak that cannot be read."""
    aliases = [one for one in damaged if one.alias is not None and one.artifact == name[0]]
    users = [one for one in damaged if one.hides_inputs]
    found = [f"{one.alias}, an alias that is damaged, may point to it" for one in aliases[:1]]
    found += [f"{one.ref}, which is damaged, may have been made from it" for one in users[:1]]
    return found


def _judge(one: CountedVersion, reasons: list[str], now_ns: int) -> JudgedVersion:
    artifact, number = one.name
    return JudgedVersion(
        artifact=artifact,
        number=number,
        created_ns=one.record.created_ns,
        age_seconds=max(0, now_ns - one.record.created_ns) // 10**9,
        size=one.record.totals.size,
        aliases=one.aliases,
        reasons=tuple(reasons),
    )


def _check_rules(rules: KeepRules) -> None:
    if rules.is_empty:
        raise InvalidInputError(
            "no rule says what to keep",
            code=ErrorCode.INVALID_OPTION,
            hint="say for example --keep-last 5 or --keep-within 30d",
        )
    choose_kept([], rules, 0)


def _choose_artifacts(parts: StoreParts, patterns: Sequence[str]) -> list[ArtifactName]:
    every = list_artifacts(parts.backend)
    chosen: set[ArtifactName] = set()
    for pattern in patterns:
        found = [name for name in every if fnmatch.fnmatchcase(str(name), pattern)]
        if found:
            chosen.update(found)
        elif any(mark in pattern for mark in "*?["):
            raise NotFoundError(
                f"no artifact fits {pattern!r}",
                code=ErrorCode.ARTIFACT_NOT_FOUND,
                hint="cas ls lists what there is",
            )
        else:
            raise unknown_artifact(parts.backend, ArtifactName(pattern))
    return sorted(chosen)
