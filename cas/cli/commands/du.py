"""`cas du`: what versions take in the store."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.listings import list_usage
from cas.cli.verb import verb

EXAMPLES = """
cas du
cas du imagenet
cas du imagenet:v3 --json
"""


@verb("du", examples=EXAMPLES)
@click.argument("ref", required=False)
def command(cli: Invocation, ref: str | None) -> None:
    """Show the bytes of versions: logical, unique, stored, and what each alone holds.

    LOGICAL counts every file; UNIQUE each chunk once; STORED what these take, compressed; ALONE
    what would become free if that version were erased.
    """
    with cli.open_store() as store:
        list_usage(cli.console, store.usage(ref))
