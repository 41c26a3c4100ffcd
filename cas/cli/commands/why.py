"""`cas why`: what keeps a version, a file or a blob in the store."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.reasons import show_explanation
from cas.cli.verb import verb

EXAMPLES = """
cas why imagenet:v3
cas why imagenet:v3/train/a.jpg
cas why 5f0c2a91
"""


@verb("why", examples=EXAMPLES)
@click.argument("what", metavar="REF|REF/PATH|BLOB")
def command(cli: Invocation, what: str) -> int:
    """Show what keeps a version, a file of one, or a blob, by its id or at least 8 digits of it.

    A blob is kept by versions that need it, those in the trash too, and by puts under way. Aliases
    and versions made from a version stand against its deletion.
    """
    with cli.open_store() as store:
        return show_explanation(cli.console, store.explain(what))
