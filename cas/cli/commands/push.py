"""`cas push`: send versions to the remote of the store in force."""

from __future__ import annotations

from typing import Any

import click

from cas.cli.copies import EXIT_CODES, chosen_refs, copy_options, newest_versions, run_copy
from cas.cli.invocation import Invocation
from cas.cli.verb import verb

EXAMPLES = """
cas push
cas push team/bert:v3
cas push team/bert --all-versions --to s3://bucket/prod
"""


@verb("push", examples=EXAMPLES, exit_codes=EXIT_CODES)
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option("--to", metavar="STORE", help="Another store than the remote: a URL, folder or name.")
@copy_options
def command(cli: Invocation, refs: tuple[str, ...], to: str | None, **given: Any) -> None:
    """Send versions to the remote: what cas copy does, with the remote as the target.

    Without a REF, the newest version of every artifact. The remote is what `remote` says in
    cas.toml or in the user's settings, or in the table of the store in force.
    """
    choice = cli.choose_remote(to, option="--to")
    with (
        cli.open_store(jobs=given["jobs"]) as source,
        cli.open_other_store(choice, jobs=given["jobs"]) as target,
    ):
        wanted = chosen_refs(refs, given, lambda: newest_versions(source))
        run_copy(cli, (source, target), wanted, given)
