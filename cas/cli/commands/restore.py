"""`cas restore`: bring back what `cas rm` put into the trash."""

from __future__ import annotations

import click

from cas.cli.facts import show_deletions
from cas.cli.invocation import Invocation
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas restore imagenet:v3
cas restore imagenet
"""


@verb("restore", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5))
@click.argument("ref")
def command(cli: Invocation, ref: str) -> None:
    """Bring the version REF, or every deleted version of the artifact NAME, back."""
    with cli.open_store() as store:
        restored = store.restore(ref)
    show_deletions(cli.console, restored, key="restored", verb="restored")
