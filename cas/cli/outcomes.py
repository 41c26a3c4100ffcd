"""What a put, its plan and a get are answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.render import Console, to_json
from cas.cli.text import escape, format_totals
from cas.cli.verification import hole_line
from cas.model.units import format_count, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import GetOutcome, PutOutcome, PutPlan, SkippedFile

INCOMPLETE_EXIT = 9


def show_put(console: Console, outcome: PutOutcome) -> None:
    """Print what a put did; the first line is the version's reference."""
    _warn(console, outcome.skipped, outcome.warnings)
    if console.as_json:
        console.document({"ref": outcome.ref, **to_json(outcome)})
        return
    console.answer(outcome.ref)
    totals = format_totals(outcome.totals)
    if not outcome.created:
        console.detail(f"unchanged: it holds exactly these {totals}")
    else:
        console.detail(f"{totals}, digest {outcome.digest.short}")
    rate = format_rate(outcome.totals.size, outcome.seconds)
    console.detail(
        f"new {format_size(outcome.new_bytes)}, stored {format_size(outcome.stored_bytes)}, "
        f"sent {format_size(outcome.sent_bytes)}, in {format_duration(outcome.seconds)} ({rate})"
    )
    if outcome.healed:
        console.detail("healed: it was damaged, and what was is stored anew")
    if outcome.resumed_bytes:
        console.detail(f"resumed: {format_size(outcome.resumed_bytes)} already stored")
    if outcome.reused_files:
        console.detail(f"{format_count(outcome.reused_files, 'file')} unchanged and not read again")
    if outcome.aliases:
        console.detail(f"aliases {', '.join(outcome.aliases)}")
    console.detail(f"get it: cas get {outcome.ref}")


def show_plan(console: Console, plan: PutPlan) -> None:
    """Print what a put would do."""
    _warn(console, plan.skipped, ())
    if console.as_json:
        console.document(to_json(plan))
        return
    if not plan.changed:
        console.answer(f"unchanged: {plan.artifact}:v{plan.next_number - 1} holds exactly this")
        return
    console.answer(f"would publish {plan.artifact}:v{plan.next_number}")
    console.detail(format_totals(plan.totals))
    console.detail(
        f"new {format_size(plan.new_bytes)} in {format_count(len(plan.files), 'file')}, "
        f"stored {format_size(plan.stored_bytes)} in {format_count(plan.blobs, 'blob')}, "
        f"sent {format_size(plan.sent_bytes)} by {format_count(plan.requests, 'request')}"
    )
    for file in plan.files:
        console.detail(
            f"  {escape(file.path)}  {format_size(file.new_bytes)} of {format_size(file.size)}"
        )


def show_get(console: Console, outcome: GetOutcome) -> int:
    """Print what a get did, and return the exit code: 9 if a part was left out."""
    _warn(console, outcome.skipped, ())
    ref = f"{outcome.artifact}:v{outcome.number}"
    if console.as_json:
        console.document({"ref": ref, **to_json(outcome)})
    else:
        console.answer(escape(outcome.dest))
        rate = format_rate(outcome.size, outcome.seconds)
        console.detail(
            f"{ref}: {format_count(outcome.files, 'file')}, {format_size(outcome.size)}, "
            f"in {format_duration(outcome.seconds)} ({rate})"
        )
        console.detail(
            f"fetched {format_size(outcome.fetched_bytes)}, "
            f"wrote {format_size(outcome.written_bytes)}, "
            f"{format_count(outcome.unchanged_files, 'file')} already there"
        )
        if outcome.copied_bytes:
            console.detail(f"copied {format_size(outcome.copied_bytes)} from local files")
        if outcome.resumed_bytes:
            console.detail(f"resumed: {format_size(outcome.resumed_bytes)} fetched before")
    for hole in outcome.holes:
        console.warning(f"lost: {hole_line(hole)}")
    return INCOMPLETE_EXIT if outcome.skipped or outcome.holes else 0


def _warn(console: Console, skipped: Sequence[SkippedFile], warnings: Sequence[str]) -> None:
    for file in skipped:
        console.warning(f"skipped {escape(file.path)}: {escape(file.reason)}")
    for warning in warnings:
        console.warning(escape(warning))
