"""What is kept and what goes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.damage import warn_damaged
from cas.cli.render import Console, to_json
from cas.cli.text import escape, format_time
from cas.model.durations import SECOND_NS, format_span
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import (
        JudgedVersion,
        Missed,
        PruneOutcome,
        PrunePlan,
        RetentionOutcome,
        RetentionPlan,
    )

INCOMPLETE_EXIT = 9
_DOUBTED = "what it may speak for stays"
TTL_REASON = "its time was over"


def show_prune_plan(console: Console, plan: PrunePlan) -> int:
    """Print which versions rules keep and which would go, and return the exit code: 8 for damage."""
    if console.as_json:
        console.document({**to_json(plan), "applied": False, "trashed": [], "missed": []})
        return warn_damaged(console, plan.damaged, _DOUBTED)
    _show_versions(console, plan.versions)
    going = plan.going
    size = format_size(sum(one.size for one in going))
    count = f"{len(going):,} of {format_count(len(plan.versions), 'version')}"
    console.detail(f"would move {count} to the trash ({size} of files)")
    if going and plan.freed_bytes is not None:
        freed = format_size(plan.freed_bytes)
        console.detail(f"{freed} in the store would be free once these are purged and collected")
    _warn_unknown_keys(console, plan)
    if going:
        console.note("to do so, add --apply")
    return warn_damaged(console, plan.damaged, _DOUBTED)


def show_prune_outcome(console: Console, outcome: PruneOutcome) -> int:
    """Print what was pruned, and return the exit code: 8 for damage, 9 if something was left."""
    if console.as_json:
        plan = to_json(outcome.plan)
        moved = {"trashed": outcome.trashed, "missed": outcome.missed}
        console.document({**plan, "applied": True, **moved})
    else:
        _show_versions(console, outcome.plan.versions)
        if outcome.trashed:
            count = format_count(len(outcome.trashed), "version")
            them = "it" if len(outcome.trashed) == 1 else "them"
            console.detail(f"moved {count} to the trash; cas restore brings {them} back")
        elif not outcome.missed:
            console.detail("nothing to do: the rules keep every version")
        _warn_unknown_keys(console, outcome.plan)
    for one in outcome.trashed:
        for alias in one.aliases:
            console.warning(f"{escape(alias)} points to {one.artifact}:v{one.number}")
    _warn_missed(console, outcome.missed)
    code = warn_damaged(console, outcome.plan.damaged, _DOUBTED)
    return code or (INCOMPLETE_EXIT if outcome.missed else 0)


def show_due(console: Console, plan: RetentionPlan) -> None:
    """Print which versions a policy would let go, and which stay though their time is over."""
    for one in plan.trash:
        console.detail(f"would move {one.artifact}:v{one.number} to the trash: {one.reason}")
    for one in plan.purge:
        console.detail(f"would purge {one.artifact}:v{one.number}: {one.reason}")
    _show_overdue(console, plan)


def show_moved(console: Console, outcome: RetentionOutcome) -> None:
    """Print which versions a policy let go, and which stay though their time is over."""
    for one in outcome.trashed:
        console.detail(f"moved {one.artifact}:v{one.number} to the trash: {TTL_REASON}")
        for alias in one.aliases:
            console.warning(f"{escape(alias)} points to {one.artifact}:v{one.number}")
    for due in outcome.purged:
        console.detail(f"purged {due.artifact}:v{due.number}: {due.reason}")
    _show_overdue(console, outcome.plan)
    _warn_missed(console, outcome.missed)


def _show_overdue(console: Console, plan: RetentionPlan) -> None:
    for one in plan.kept:
        why = escape("; ".join(one.reasons))
        console.detail(f"keeps {one.artifact}:v{one.number}, though its time is over: {why}")


def _show_versions(console: Console, versions: Sequence[JudgedVersion]) -> None:
    if console.quiet:
        for one in versions:
            if not one.reasons:
                console.answer(one.ref)
        return
    rows = [
        (
            one.ref,
            format_time(one.created_ns),
            format_span(one.age_seconds * SECOND_NS),
            format_size(one.size),
            "keep" if one.reasons else "go",
            "; ".join(one.reasons) or "no rule keeps it",
        )
        for one in versions
    ]
    headings = ("VERSION", "CREATED", "AGE", "SIZE", "", "WHY")
    console.table(headings, rows, right=frozenset({2, 3}))


def _warn_unknown_keys(console: Console, plan: PrunePlan) -> None:
    for one in plan.unknown_keys:
        console.warning(
            f"no version of {one.artifact} has a number {escape(one.key)} in its metadata, "
            "so --keep-top keeps none by it"
        )


def _warn_missed(console: Console, missed: Sequence[Missed]) -> None:
    for one in missed:
        console.warning(f"left {one.artifact}:v{one.number}: {escape(one.reason)}")
