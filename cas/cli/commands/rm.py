"""`cas rm`: put a version, or all versions of an artifact, into the trash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cas.cli.facts import show_deletions
from cas.cli.invocation import Invocation
from cas.cli.text import escape, format_totals
from cas.cli.values import names_version, parse_ref
from cas.cli.verb import WITH_STORE, verb
from cas.errors import ErrorCode, InvalidInputError
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import Store

EXAMPLES = """
cas rm imagenet:v3
cas rm scratch -y
cas restore imagenet:v3
"""


@verb("rm", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5, 10))
@click.argument("ref")
@click.option("--force", is_flag=True, help="Even if aliases point to it.")
def command(cli: Invocation, ref: str, *, force: bool) -> None:
    """Put the version REF, or every version of the artifact NAME, into the trash.

    Nothing is erased: cas restore brings it back.
    """
    parsed = parse_ref(ref)
    if parsed.path:
        raise InvalidInputError(
            "a file cannot be taken out of a version, which never changes",
            code=ErrorCode.INVALID_REF,
            hint=f"put a new version without it, or: cas rm {parsed.artifact}:{parsed.version_text}",
        )
    with cli.open_store() as store:
        target, question = _describe(store, ref)
        cli.console.require_yes(f"{question}?", assume_yes=cli.flags.yes)
        deletions = store.delete(target, force=force)
    show_deletions(cli.console, deletions, key="deleted", verb="deleted")
    cli.console.note(f"to bring it back: cas restore {target}")


def _describe(store: Store, ref: str) -> tuple[str, str]:
    """Return what exactly to delete, and the question to ask."""
    if names_version(ref):
        version = store.version(ref)
        facts = f"{format_totals(version.totals)}{_alias_text(version.aliases)}"
        # By number: `name:latest` must never read as `name`, which means every version.
        return version.ref, f"delete {version.ref} ({facts})"
    versions = store.versions(ref)
    size = sum(version.totals.size for version in versions if version.totals)
    count = format_count(len(versions), "version")
    aliases = _alias_text(sorted({alias for version in versions for alias in version.aliases}))
    return ref, f"delete every version of {ref} ({count}, {format_size(size)}{aliases})"


def _alias_text(aliases: Sequence[str]) -> str:
    return f", aliases {', '.join(map(escape, aliases))}" if aliases else ""
