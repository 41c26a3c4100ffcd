"""What copies between stores take, and what they are answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

import cas
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.progress import ProgressDisplay
from cas.cli.render import to_json
from cas.cli.text import escape, format_totals
from cas.cli.values import JOBS
from cas.cli.verb import WITH_STORE
from cas.model.units import format_count, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import CopiedVersion, CopyOutcome, CopyPlan, PlannedCopy, Store
    from cas.cli.invocation import Invocation
    from cas.cli.render import Console

EXIT_CODES = (*WITH_STORE, 5)
_KEPT = "interrupted: what was sent is kept, and the same command goes on from there"

_Function = Callable[..., Any]


def copy_options(function: _Function) -> _Function:
    """Add the options that every kind of copy takes."""
    for names, attributes in reversed(
        (
            (
                ("--all-versions",),
                {"is_flag": True, "help": "Every version of the artifacts, not only the newest."},
            ),
            (("--all",), {"is_flag": True, "help": "Every version of every artifact."}),
            (("--as", "name"), {"metavar": "NAME", "help": "Call the artifact so in the target."}),
            (
                ("--aliases",),
                {
                    "type": click.Choice([mode.value for mode in cas.AliasMode]),
                    "default": cas.AliasMode.NEW.value,
                    "show_default": True,
                    "help": "Set aliases that point nowhere in the target yet, move all, or none.",
                },
            ),
            (("--force",), {"is_flag": True, "help": "Copy even what the target has already."}),
            (("--dry-run",), {"is_flag": True, "help": "Tell what is missing, and copy nothing."}),
            (("-j", "--jobs"), {"type": JOBS, "help": "Threads; as many as CPUs unless given."}),
        )
    ):
        function = click.option(*names, **attributes)(function)
    return function


def run_copy(
    cli: Invocation,
    stores: tuple[Store, Store],
    refs: Sequence[str] | None,
    given: dict[str, Any],
) -> None:
    """Copy from one store to another, or plan it, and print what became of it."""
    source, target = stores
    options = _options(given)
    if given["dry_run"]:
        show_copy_plan(cli.console, source.plan_copy(refs, target, options))
        return
    with stopped_by_ctrl_c(_KEPT) as cancel, ProgressDisplay(cli.console) as display:
        options = _options(given, progress=display.sink, cancel=cancel)
        outcome = source.copy(refs, target, options)
    show_copy(cli.console, outcome)


def _options(given: dict[str, Any], **running: Any) -> cas.CopyOptions:
    return cas.CopyOptions(
        all_versions=given["all_versions"],
        name=given["name"],
        aliases=cas.AliasMode(given["aliases"]),
        force=given["force"],
        jobs=given["jobs"],
        **running,
    )


def chosen_refs(
    refs: tuple[str, ...], given: dict[str, Any], otherwise: Callable[[], list[str]]
) -> Sequence[str] | None:
    """Return the versions that were asked for, `otherwise()` if none was; None with --all."""
    if refs and given["all"]:
        raise click.UsageError("--all leaves nothing to name", click.get_current_context())
    if given["all"]:
        return None
    return refs or otherwise()


def newest_versions(store: Store) -> list[str]:
    """Return a reference to the newest version of every artifact that has one."""
    return [one.name for one in store.artifacts() if one.latest is not None]


def show_copy(console: Console, outcome: CopyOutcome) -> None:
    """Print what a copy did; one line for each version."""
    for warning in outcome.warnings:
        console.warning(escape(warning))
    if console.as_json:
        document = to_json(outcome)
        console.document(document | {"versions": _documents(outcome.versions)})
        return
    for one in outcome.versions:
        _show_version(console, one, there="healed there" if one.healed else "already there")
        if one.created or one.healed:
            console.detail(
                f"  {format_totals(one.totals)}, new {format_size(one.new_bytes)}, "
                f"sent {format_size(one.sent_bytes)}"
            )
        if one.resumed_bytes:
            console.detail(f"  resumed: {format_size(one.resumed_bytes)} already stored")
        if one.aliases:
            console.detail(f"  aliases {escape(', '.join(one.aliases))}")
    created = sum(one.created for one in outcome.versions)
    rate = format_rate(outcome.sent_bytes, outcome.seconds)
    console.detail(
        f"copied {format_count(created, 'version')} to {escape(outcome.target)}: "
        f"new {format_size(outcome.new_bytes)}, sent {format_size(outcome.sent_bytes)}, "
        f"in {format_duration(outcome.seconds)} ({rate})"
    )


def show_copy_plan(console: Console, plan: CopyPlan) -> None:
    """Print what a copy would do; one line for each version."""
    if console.as_json:
        console.document(to_json(plan) | {"versions": _documents(plan.versions)})
        return
    for one in plan.versions:
        _show_version(console, one, there="already there")
        if one.created:
            console.detail(f"  {format_totals(one.totals)}, new {format_size(one.new_bytes)}")
    created = sum(one.created for one in plan.versions)
    console.detail(
        f"would copy {format_count(created, 'version')} to {escape(plan.target)}: "
        f"new {format_size(plan.new_bytes)}, about {format_size(plan.stored_bytes)} to send"
    )


def _show_version(console: Console, one: CopiedVersion | PlannedCopy, *, there: str) -> None:
    if console.quiet:
        console.answer(one.ref)
        return
    console.answer(f"{one.source} → {one.ref}" + ("" if one.created else f"  ({there})"))


def _documents(versions: Sequence[CopiedVersion | PlannedCopy]) -> list[dict[str, Any]]:
    return [{"ref": one.ref, **to_json(one)} for one in versions]
