"""`cas rm`: put a version, or all versions of an artifact, into the trash, or out of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cas.cli.facts import show_deletions
from cas.cli.invocation import Invocation
from cas.cli.text import escape
from cas.cli.values import parse_ref
from cas.cli.verb import WITH_STORE, verb
from cas.errors import ErrorCode, InvalidInputError
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import DeletionPlan

EXAMPLES = """
cas rm imagenet:v3
cas rm scratch -y
cas restore imagenet:v3
cas rm --now imagenet:v3
"""


@verb("rm", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5, 10))
@click.argument("ref")
@click.option("--force", is_flag=True, help="Even if aliases point to it or others need it.")
@click.option("--now", is_flag=True, help="For good: out of the trash, too. No way back.")
def command(cli: Invocation, ref: str, *, force: bool, now: bool) -> None:
    """Put the version REF, or every version of the artifact NAME, into the trash.

    Nothing is erased: cas restore brings it back, until a collection empties the trash. With --now it
    is gone for good, and the next cas gc --apply frees its space. What an alias points to, or what
    another version was made from, is deleted only if you say so on a terminal, or with --force; what
    a protected alias points to only with --force.
    """
    parsed = parse_ref(ref)
    if parsed.path:
        raise InvalidInputError(
            "a file cannot be taken out of a version, which never changes",
            code=ErrorCode.INVALID_REF,
            hint=f"put a new version without it, or: cas rm {parsed.artifact}:{parsed.version_text}",
        )
    # By number from here on: `name:latest` must never read as `name`, which means every version.
    with cli.open_store() as store:
        target = store.version(ref).ref if _is_latest(ref) else ref
        plan = store.plan_delete(target, now=now)
        asked = cli.console.require_yes(_question(plan, now=now), assume_yes=cli.flags.yes)
        agreed = asked and not plan.protections
        deletions = store.delete(plan.target, force=force or agreed, now=now)
    if now:
        show_deletions(cli.console, deletions, key="purged", verb="deleted for good")
        cli.console.note("to free its space: cas gc --apply")
        return
    show_deletions(cli.console, deletions, key="deleted", verb="deleted")
    cli.console.note(f"to bring it back: cas restore {plan.target}")


def _is_latest(ref: str) -> bool:
    parsed = parse_ref(ref)
    says_version = ":" in ref or "@" in ref
    names_one = parsed.number is not None or parsed.alias is not None or parsed.digest_prefix
    return says_version and not names_one


def _question(plan: DeletionPlan, *, now: bool) -> str:
    size = format_size(sum(one.size for one in plan.versions))
    facts = [format_count(len(plan.versions), "version"), size] if plan.is_whole else [size]
    aliases = sorted({alias for one in plan.versions for alias in one.aliases})
    if aliases:
        facts.append(f"aliases {', '.join(aliases)}")
    act = "delete for good" if now else "delete"
    what = f"every version of {plan.target}" if plan.is_whole else plan.target
    return f"{act} {what} ({', '.join(map(escape, facts))}){_warnings(plan, now=now)}?"


def _warnings(plan: DeletionPlan, *, now: bool) -> str:
    text = "".join(f"; {escape(obstacle)}" for obstacle in plan.obstacles)
    return text + ("; nothing can bring it back" if now else "")
