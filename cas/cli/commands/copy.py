"""`cas copy`: copy versions to another store."""

from __future__ import annotations

from typing import Any

import click

from cas.cli.copies import EXIT_CODES, copy_options, run_copy
from cas.cli.invocation import Invocation
from cas.cli.verb import verb

EXAMPLES = """
cas copy imagenet:v3 --to s3://bucket/prod
cas copy team/bert --all-versions --to prod --dry-run
cas copy --all --to /mnt/backup/store
cas copy imagenet:v3 --as imagenet-small --to .
"""


@verb("copy", examples=EXAMPLES, exit_codes=EXIT_CODES)
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option("--to", metavar="STORE", required=True, help="The target: a URL, folder or name.")
@copy_options
def command(cli: Invocation, refs: tuple[str, ...], to: str, **given: Any) -> None:
    """Copy versions from the store in force to STORE.

    Only chunks that STORE does not have are sent, and all of them are verified on the way. Digest,
    description, metadata, lineage and aliases are carried over; numbers are those of STORE, and
    each line is: version here → version there. What is there already, in the same order, is not
    copied again. Interrupted, a copy loses nothing: run it again.
    """
    if bool(refs) == given["all"]:
        raise click.UsageError("name versions to copy, or --all", click.get_current_context())
    choice = cli.choose_other(to, option="--to")
    with (
        cli.open_store(jobs=given["jobs"]) as source,
        cli.open_other_store(choice, jobs=given["jobs"]) as target,
    ):
        run_copy(cli, (source, target), refs or None, given)
