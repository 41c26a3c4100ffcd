"""`cas show`: everything that is recorded about a version."""

from __future__ import annotations

import click

from cas.cli.facts import show_version
from cas.cli.invocation import Invocation
from cas.cli.verb import verb

EXAMPLES = """
cas show imagenet
cas show team/bert:production --json
"""


@verb("show", examples=EXAMPLES)
@click.argument("ref")
def command(cli: Invocation, ref: str) -> None:
    """Show what is recorded about REF: digest, sizes, description, metadata, where it came from."""
    with cli.open_store() as store:
        show_version(cli.console, store.version(ref))
