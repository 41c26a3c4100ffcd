"""What a repack and its plan are answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cas.cli.render import Console
from cas.cli.text import escape
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import BlobShare, RepackOutcome, RepackPlan


def show_repack_plan(console: Console, plan: RepackPlan) -> None:
    """Print what a repack would do."""
    blobs = _count(plan)
    console.answer(
        f"repacking {blobs} would free {format_size(plan.freed_bytes)} "
        f"and store {format_size(plan.copied_bytes)} anew"
    )
    if plan.versions:
        versions = format_count(plan.versions, "version")
        console.detail(f"  {versions} would get new places; digests stay")
    _show_postponed(console, plan)


def show_repack(console: Console, outcome: RepackOutcome) -> None:
    """Print what a repack did."""
    plan = outcome.plan
    console.answer(
        f"emptied {_count(plan)}: {format_size(plan.freed_bytes)} to be freed, "
        f"{format_size(outcome.sent_bytes)} sent"
    )
    if outcome.revised:
        console.detail(f"  {format_count(outcome.revised, 'version')} got new places")
    _show_postponed(console, plan)
    left = [one for one in outcome.revisions if one.outcome.is_worth_another_try]
    if left:
        count = format_count(len(left), "version")
        console.note(f"others were faster with {count}; the next cas gc --repack goes on")
    for problem in outcome.problems:
        console.warning(f"left as it is: {escape(problem)} (cas repair may help)")


def plan_document(plan: RepackPlan) -> dict[str, Any]:
    """Return a plan as JSON takes it."""
    return {
        "freed_bytes": plan.freed_bytes,
        "copied_bytes": plan.copied_bytes,
        "store_bytes": plan.store_bytes,
        "versions": plan.versions,
        "blobs": [_share(one) for one in (*plan.data, *plan.meta)],
        "postponed": [_share(one) for one in plan.postponed],
    }


def outcome_document(outcome: RepackOutcome) -> dict[str, Any]:
    """Return an outcome as JSON takes it."""
    return {
        "plan": plan_document(outcome.plan),
        "new_bytes": outcome.new_bytes,
        "sent_bytes": outcome.sent_bytes,
        "revisions": [
            {
                "artifact": str(one.artifact),
                "number": one.number,
                "outcome": one.outcome.value,
                "revision": one.k,
            }
            for one in outcome.revisions
        ],
        "problems": list(outcome.problems),
        "seconds": outcome.seconds,
    }


def _share(one: BlobShare) -> dict[str, Any]:
    return {"blob_id": one.blob_id.hex(), "size": one.size, "live_bytes": one.live_bytes}


def _count(plan: RepackPlan) -> str:
    return format_count(len(plan.data) + len(plan.meta), "blob")


def _show_postponed(console: Console, plan: RepackPlan) -> None:
    if plan.postponed:
        count = format_count(len(plan.postponed), "more blob")
        freed = format_size(sum(one.dead_bytes for one in plan.postponed))
        console.detail(f"  left to later runs: {count}, {freed} to free")
