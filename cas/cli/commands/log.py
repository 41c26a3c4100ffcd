"""`cas log`: the versions of an artifact."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.listings import list_versions
from cas.cli.verb import verb

EXAMPLES = """
cas log imagenet
cas log team/bert -n 5 --json
cas log imagenet --all
"""


@verb("log", examples=EXAMPLES)
@click.argument("name")
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help="Only the newest N.")
@click.option("--all", "hidden", is_flag=True, help="Deleted and given-up numbers, too.")
def command(cli: Invocation, name: str, *, limit: int | None, hidden: bool) -> None:
    """List the versions of the artifact NAME, newest first."""
    with cli.open_store() as store:
        versions = store.versions(name, include_hidden=hidden)
    list_versions(cli.console, name, versions[:limit])
