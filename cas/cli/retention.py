"""What is kept and what goes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.render import Console, to_json
from cas.cli.text import escape, format_table, format_time
from cas.model.durations import SECOND_NS, format_span
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import JudgedVersion, Missed, PruneOutcome, PrunePlan

INCOMPLETE_EXIT = 9


def show_prune_plan(console: Console, plan: PrunePlan) -> None:
    """Print which versions rules keep and which would go."""
    if console.as_json:
        console.document({**to_json(plan), "applied": False, "trashed": [], "missed": []})
        return
    _show_versions(console, plan.versions)
    going = plan.going
    size = format_size(sum(one.size for one in going))
    count = f"{len(going):,} of {format_count(len(plan.versions), 'version')}"
    console.detail(f"would move {count} to the trash ({size} of files)")
    if going:
        console.note("to do so, add --apply")


def show_prune_outcome(console: Console, outcome: PruneOutcome) -> int:
    """Print what was pruned, and return the exit code: 9 if something was left."""
    if console.as_json:
        plan = to_json(outcome.plan)
        moved = {"trashed": outcome.trashed, "missed": outcome.missed}
        console.document({**plan, "applied": True, **moved})
    else:
        _show_versions(console, outcome.plan.versions)
        count = format_count(len(outcome.trashed), "version")
        console.detail(f"moved {count} to the trash; cas restore brings them back")
    for one in outcome.trashed:
        for alias in one.aliases:
            console.warning(f"{escape(alias)} points to {one.artifact}:v{one.number}")
    _warn_missed(console, outcome.missed)
    return INCOMPLETE_EXIT if outcome.missed else 0


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
    lines = format_table(headings, rows, right=frozenset({2, 3}))
    console.heading(lines[0])
    for line in lines[1:]:
        console.answer(line)


def _warn_missed(console: Console, missed: Sequence[Missed]) -> None:
    for one in missed:
        console.warning(f"left {one.artifact}:v{one.number}: {escape(one.reason)}")
