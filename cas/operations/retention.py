"""What a collection does first: versions whose time is over go to the trash, old trash for good.

Ages come from the times in records, so they depend on clocks of many machines. They decide what is
worth doing, never what is safe: a version is moved by the same steps as by hand, and a purge counts
only while the last move is a trash.
"""

from __future__ import annotations

from dataclasses import dataclass

from cas.model.durations import DAY_NS
from cas.model.names import ArtifactName
from cas.objects.parts import StoreParts
from cas.operations.census import Census, CountedVersion, VersionState, take_census
from cas.operations.guarantees import require_create_if_absent
from cas.operations.keep_rules import KeepRules, Reasons, choose_kept, spread_lineage
from cas.operations.purge import purge
from cas.operations.trash import Missed, Trashed, move_to_trash

TRASH_KEEP_NS = 30 * DAY_NS

TTL_REASON = "its time was over"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What goes by itself.

    Attributes:
        trash_keep_ns: what lies longer in the trash is purged; None keeps it for ever.
        expire: versions whose time is over (`put --ttl`) are moved to the trash.
    """

    trash_keep_ns: int | None = TRASH_KEEP_NS
    expire: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DueVersion:
    """A version that goes: `size` are the bytes of its files, `since_ns` when it became due."""

    artifact: str
    number: int
    size: int
    since_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueVersion:
    """A version whose time is over and that stays all the same, and why."""

    artifact: str
    number: int
    expires_ns: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What a policy would do: purge what lies in the trash for long, trash what is overdue."""

    purge: tuple[DueVersion, ...] = ()
    trash: tuple[DueVersion, ...] = ()
    kept: tuple[OverdueVersion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOutcome:
    """What a policy did. `missed` were moved by somebody else meanwhile, and left alone."""

    plan: RetentionPlan
    purged: tuple[DueVersion, ...] = ()
    trashed: tuple[Trashed, ...] = ()
    missed: tuple[Missed, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class DueVersions:
    """What a policy would do, and the census by which that was decided."""

    plan: RetentionPlan
    census: Census

    def trash_moves(self) -> dict[tuple[ArtifactName, int], int]:
        """Return for each version to be purged the number of the move that put it into the trash."""
        found = {}
        for one in self.plan.purge:
            artifact = self.census.versions[one.artifact, one.number].record.artifact
            found[artifact, one.number] = self.census.listings[artifact].moves[one.number]
        return found


def plan_retention(parts: StoreParts, policy: RetentionPolicy) -> RetentionPlan:
    """Return what `expire_by_policy` would do, changing nothing."""
    return find_due(parts, policy).plan


def find_due(parts: StoreParts, policy: RetentionPolicy | None) -> DueVersions:
    """Return what a policy would move, with what was seen of it; nothing by no policy.

    Raises:
        CorruptionError: a record without which nobody knows what the policy keeps is damaged.
    """
    # Where nothing can be put into the trash nothing is in it.
    if policy is None or not parts.config.create_if_absent:
        return DueVersions(RetentionPlan(), Census(parts.config.store_id, {}, {}))
    census = take_census(parts)
    census.require_whole()
    return DueVersions(choose_due(census, policy, parts.clock.now_ns()), census)


def expire_by_policy(parts: StoreParts, policy: RetentionPolicy) -> RetentionOutcome:
    """Move overdue versions to the trash and purge what lay there long enough.

    What is moved to the trash now is purged by a later run. May be killed at any point and run
    again, by anyone; run by two at once each version is moved once.

    Raises:
        UnsupportedError: the storage cannot keep two deciders apart.
        BackendError: the storage failed; what was moved stays moved.
    """
    require_create_if_absent(parts, "deleting versions")
    return expire(parts, find_due(parts, policy))


def expire(parts: StoreParts, due: DueVersions) -> RetentionOutcome:
    """Move what was found to be due; as `expire_by_policy`, which finds it first."""
    plan, census = due.plan, due.census
    overdue = [census.versions[one.artifact, one.number] for one in plan.trash]
    trashed, missed = move_to_trash(parts, census, overdue, TTL_REASON)
    purged = []
    for one in plan.purge:
        artifact = census.versions[one.artifact, one.number].record.artifact
        if purge(parts, census.listings[artifact], one.number, one.reason, once=True):
            purged.append(one)
        else:
            why = "it was restored meanwhile"
            missed.append(Missed(artifact=one.artifact, number=one.number, reason=why))
    return RetentionOutcome(
        plan=plan, purged=tuple(purged), trashed=tuple(trashed), missed=tuple(missed)
    )


def choose_due(census: Census, policy: RetentionPolicy, now_ns: int) -> RetentionPlan:
    """Return which versions of a whole store are due. Pure.

    A version whose time is over stays while an alias points at it, or while a visible version that
    stays was made from it.
    """
    purge_due = [
        one
        for one in census.versions.values()
        if _lay_long_enough(one, policy.trash_keep_ns, now_ns)
    ]
    overdue = [
        one for one in census.versions.values() if policy.expire and _is_overdue(one, now_ns)
    ]
    names = {one.name for one in overdue}
    kept: Reasons = {
        one.name: [] for one in census.versions.values() if one.is_live and one.name not in names
    }
    kept |= choose_kept(overdue, KeepRules(), now_ns)
    kept = spread_lineage(census, kept)
    return RetentionPlan(
        purge=tuple(map(_due_for_purge, purge_due)),
        trash=tuple(_due_for_trash(one) for one in overdue if one.name not in kept),
        kept=tuple(
            OverdueVersion(
                artifact=one.name[0],
                number=one.name[1],
                expires_ns=one.expires_ns or 0,
                reasons=tuple(kept[one.name]),
            )
            for one in overdue
            if one.name in kept
        ),
    )


def _lay_long_enough(one: CountedVersion, keep_ns: int | None, now_ns: int) -> bool:
    if keep_ns is None or one.move is None or one.state is not VersionState.TRASHED:
        return False
    return now_ns - one.move.created_ns >= keep_ns


def _is_overdue(one: CountedVersion, now_ns: int) -> bool:
    return one.is_live and one.expires_ns is not None and one.expires_ns <= now_ns


def _due_for_purge(one: CountedVersion) -> DueVersion:
    assert one.move is not None
    return _due(one, one.move.created_ns, "it lay in the trash for long enough")


def _due_for_trash(one: CountedVersion) -> DueVersion:
    assert one.expires_ns is not None
    return _due(one, one.expires_ns, TTL_REASON)


def _due(one: CountedVersion, since_ns: int, reason: str) -> DueVersion:
    artifact, number = one.name
    return DueVersion(
        artifact=artifact,
        number=number,
        size=one.record.totals.size,
        since_ns=since_ns,
        reason=reason,
    )
