"""What a verification and a repair are answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cas.cli.render import Console, to_json
from cas.cli.text import escape
from cas.model.units import format_count, format_duration, format_size

if TYPE_CHECKING:
    from cas import Hole, Problem, RepairOutcome, VerifyOutcome

DAMAGED_EXIT = 8
INCOMPLETE_EXIT = 9


def show_verify(console: Console, outcome: VerifyOutcome) -> int:
    """Print what a verification found, and return the exit code: 8 for damage, 9 if not all could
    be read.
    """
    code = DAMAGED_EXIT if not outcome.is_sound else INCOMPLETE_EXIT if outcome.unread else 0
    if outcome.not_kept is not None:
        console.warning(
            f"the store does not remember what was found, so neither cas repair nor the next run "
            f"knows of it: {escape(outcome.not_kept)}"
        )
    if console.as_json:
        console.document({"sound": outcome.is_sound, **to_json(outcome)})
        return code
    for problem in outcome.problems:
        tell = console.detail if problem.is_settled else console.answer
        tell(_problem_line(problem))
    for line in outcome.unread:
        console.warning(f"not read: {escape(line)}")
    console.detail(
        f"{format_count(outcome.versions, 'version')}, {format_count(outcome.pages, 'page')}, "
        f"{format_count(outcome.blobs, 'blob')} of {format_size(outcome.blob_bytes)}, "
        f"in {format_duration(outcome.seconds)}"
    )
    if outcome.read_tables:
        console.detail(f"read {format_count(outcome.read_tables, 'table')}")
    if outcome.level.value == "data":
        console.detail(
            f"read {format_count(outcome.read_blobs, 'blob')} "
            f"of {format_size(outcome.read_bytes)} whole; "
            f"{outcome.recent_blobs:,} read recently, {outcome.left_blobs:,} left for the next run"
        )
    count = sum(not problem.is_settled for problem in outcome.problems)
    if count:
        console.answer(f"{format_count(count, 'problem')} found")
        console.detail("see what can be brought back: cas repair")
    else:
        console.answer("no damage found" + (" that counts" if outcome.problems else ""))
    return code


def _problem_line(problem: Problem) -> str:
    touched = f"; touches {', '.join(problem.versions)}" if problem.versions else ""
    harmless = "; no version is touched" if problem.is_harmless else ""
    if problem.is_settled:
        is_blob = problem.kind == "blob"
        harmless = "; no version needs what is damaged" if is_blob else ", nothing is left to do"
    return f"{problem.kind:<7} {escape(problem.text)}{escape(touched)}{harmless}"


def show_repair(console: Console, outcome: RepairOutcome) -> int:
    """Print what a repair did or would do, and return the exit code: 8 if something stays lost, 9
    if not all could be read.
    """
    code = 0 if outcome.is_whole else DAMAGED_EXIT
    if code == 0 and outcome.unread:
        code = INCOMPLETE_EXIT
    if console.as_json:
        console.document({"whole": outcome.is_whole, **to_json(outcome)})
        return code
    for problem in outcome.problems:
        console.detail(_problem_line(problem))
    for line in outcome.unread:
        console.warning(f"not read: {escape(line)}")
    for ref in outcome.revised:
        console.answer(f"{'repaired' if outcome.applied else 'would repair'} {escape(ref)}")
    for hole in outcome.lost:
        console.answer(f"lost {hole_line(hole)}")
    for line in outcome.unrepaired:
        console.answer(f"not repaired: {escape(line)}")
    _show_counts(console, outcome)
    return code


def _show_counts(console: Console, outcome: RepairOutcome) -> None:
    is_settled = all(problem.is_settled for problem in outcome.problems)
    if is_settled and not outcome.rebuilt_blobs and not outcome.revised:
        console.answer("nothing to repair")
        return
    console.detail(
        f"found {format_count(outcome.found_chunks, 'chunk')} "
        f"of {format_size(outcome.found_bytes)}, lost {outcome.lost_chunks:,}; "
        f"{'stored' if outcome.applied else 'to store'} {format_size(outcome.moved_bytes)} anew"
    )
    if outcome.rebuilt_pages:
        console.detail(f"pages made again: {escape(', '.join(outcome.rebuilt_pages))}")
    if outcome.rebuilt_blobs:
        verb = "leads again" if outcome.applied else "would lead again"
        console.detail(f"the index {verb} to {format_count(outcome.rebuilt_blobs, 'blob')}")
    if not outcome.applied:
        console.answer("nothing was written; to do it add --apply")
    if outcome.lost:
        console.detail("the rest can be had: cas get REF --allow-holes")


def hole_line(hole: Hole) -> str:
    """Return where a hole is: version, path, bytes."""
    if hole.path:
        return f"{escape(hole.version)}/{escape(hole.path)} bytes {hole.start} to {hole.stop}"
    if not hole.first:
        return f"{escape(hole.version)}, all of it"
    until = f" up to {escape(hole.last)}" if hole.last else ""
    return f"{escape(hole.version)}, the files from {escape(hole.first)} on{until}"
