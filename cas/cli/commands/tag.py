"""`cas tag`: point aliases to a version, or take them away."""

from __future__ import annotations

import click

from cas.cli.facts import show_aliases, show_moves
from cas.cli.invocation import Invocation
from cas.cli.values import parse_ref
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas tag team/bert:v3 production
cas tag team/bert
cas tag --remove team/bert production
"""


@verb("tag", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5))
@click.argument("ref")
@click.argument("aliases", metavar="[ALIAS]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Take these aliases away from the artifact REF.")
def command(cli: Invocation, ref: str, aliases: tuple[str, ...], *, remove: bool) -> None:
    """Point each ALIAS to REF; without one, list the aliases of the artifact.

    An alias that points elsewhere is moved, and its history is kept. No version is changed.
    """
    artifact = str(parse_ref(ref).artifact)
    if remove and not aliases:
        raise click.UsageError("no alias is named to remove", click.get_current_context())
    with cli.open_store() as store:
        if not aliases:
            show_aliases(cli.console, artifact, store.aliases(artifact))
        elif remove:
            show_moves(cli.console, artifact, store.untag(artifact, aliases))
        else:
            show_moves(cli.console, artifact, store.tag(ref, aliases))
