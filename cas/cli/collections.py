"""What a collection and its plan are answered with."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from cas.cli.render import Console, to_json
from cas.cli.repacks import outcome_document, plan_document, show_repack, show_repack_plan
from cas.cli.retention import show_due, show_moved
from cas.cli.text import escape
from cas.model.units import format_count, format_duration, format_size

if TYPE_CHECKING:
    from cas import (
        CollectionOutcome,
        CollectionPlan,
        Share,
        Space,
    )

_WHY = {
    "due": "of versions to be purged",
    "purged": "of deleted versions",
    "interrupted": "of interrupted puts",
    "repacked": "emptied by a repack",
    "unreferenced": "left over",
}


def show_collection_plan(console: Console, plan: CollectionPlan) -> None:
    """Print what a collection would do, and the repack in it if there is one."""
    repack = plan.repack
    if console.as_json:
        beside = {} if repack is None else {"repack": plan_document(repack)}
        console.document(_plan_document(plan) | beside)
    else:
        if repack is not None:
            show_repack_plan(console, repack)
        _show_parts(console, plan, verb="would delete")
        repacks = repack is not None and not repack.is_empty
        if plan.garbage.blobs or plan.dead_sessions or repacks:
            command = "cas gc --repack --apply" if repacks else "cas gc --apply"
            console.note(f"nothing was changed; to do it: {command}")
        elif plan.due.purge or plan.due.trash or plan.open_runs:
            console.note("nothing was changed; to do it: cas gc --apply")
        elif plan.store.blobs and not plan.young.blobs and repack is None:
            # Whoever deleted something for good looks here for its space.
            console.note("a blob goes when nothing in it is needed; to empty some: cas gc --repack")
    for brake in plan.brakes:
        flag = f"--override {brake.kind.value}"
        console.warning(f"--apply would delete nothing: {escape(brake.message)} ({flag})")


def show_collection(console: Console, outcome: CollectionOutcome) -> None:
    """Print what a collection did, and the repack in it if there was one."""
    repack = outcome.repacked
    if console.as_json:
        beside = {} if repack is None else {"repack": outcome_document(repack)}
        console.document(_outcome_document(outcome) | beside)
        return
    if repack is not None:
        show_repack(console, repack)
    # What was left of earlier collections went before the store was looked at.
    of = "" if outcome.ended_runs else f", of {_space(outcome.plan.store)}"
    console.answer(f"deleted {_space(outcome.deleted)}{of}")
    _show_shares(console, outcome.plan)
    _show_kept(console, outcome.plan)
    show_moved(console, outcome.moved)
    if outcome.cleared:
        console.detail(f"  needed after all: {format_count(outcome.cleared, 'blob')}")
    if outcome.ended_runs:
        count = format_count(len(outcome.ended_runs), "earlier collection")
        console.detail(f"ended {count} that nobody had finished")
    if outcome.settled:
        count = format_count(len(outcome.settled), "interrupted put")
        slots = f" ({', '.join(outcome.voided)} abandoned)" if outcome.voided else ""
        console.detail(escape(f"ended {count} for good{slots}"))
    console.detail(f"in {format_duration(outcome.seconds)}")


def _show_parts(console: Console, plan: CollectionPlan, *, verb: str) -> None:
    console.answer(f"{verb} {_space(plan.garbage)}, of {_space(plan.store)}")
    _show_shares(console, plan)
    _show_kept(console, plan)
    if plan.dead_sessions:
        count = format_count(len(plan.dead_sessions), "interrupted put")
        console.detail(f"would end {count} for good")
    show_due(console, plan.due)
    if plan.open_runs:
        count = format_count(len(plan.open_runs), "earlier collection")
        console.detail(f"would end {count}, and delete what is left of it")


def _show_shares(console: Console, plan: CollectionPlan) -> None:
    for share in plan.shares:
        console.detail(f"  {_space(share.space)} {_whose(share)}")


def _show_kept(console: Console, plan: CollectionPlan) -> None:
    if plan.young.blobs:
        console.detail(f"kept for now, since it is young: {_space(plan.young)}")
    if plan.announced.blobs:
        sessions = format_count(plan.live_sessions, "session")
        console.detail(f"kept for {sessions} at work: {_space(plan.announced)}")
    for version in plan.kept:
        console.detail(escape(f"keeps {version.ref}: {', '.join(version.reasons)}"))


def _whose(share: Share) -> str:
    why = _WHY.get(share.why, share.why)
    return escape(why if share.artifact is None else f"{why} of {share.artifact}")


def _space(space: Space) -> str:
    return f"{format_size(space.bytes)} in {format_count(space.blobs, 'blob')}"


def _plan_document(plan: CollectionPlan) -> dict[str, Any]:
    """Everything but the repack, and the ids of the garbage, of which there may be a million."""
    members = {item.name: getattr(plan, item.name) for item in fields(plan)}
    del members["candidates"], members["repack"]
    return {name: to_json(value) for name, value in members.items()}


def _outcome_document(outcome: CollectionOutcome) -> dict[str, Any]:
    members = {item.name: getattr(outcome, item.name) for item in fields(outcome)}
    plan = members.pop("plan")
    del members["repacked"]
    document = {name: to_json(value) for name, value in members.items()}
    return {**document, "plan": _plan_document(plan)}
