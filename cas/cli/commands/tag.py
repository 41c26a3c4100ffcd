"""`cas tag`: point aliases to a version, take them away, or protect them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cas.cli.facts import show_aliases, show_moves
from cas.cli.invocation import Invocation
from cas.cli.values import names_version, parse_ref
from cas.cli.verb import WITH_STORE, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cas import AliasMove, Store

EXAMPLES = """
cas tag team/bert:v3 production
cas tag team/bert
cas tag --remove team/bert production
cas tag --protect team/bert production
"""


@verb("tag", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5, 10))
@click.argument("ref")
@click.argument("aliases", metavar="[ALIAS]...", nargs=-1)
@click.option("--remove", is_flag=True, help="Take these aliases away from the artifact REF.")
@click.option("--protect", is_flag=True, help="Protect them; with a bare NAME where they are.")
@click.option("--unprotect", is_flag=True, help="End the protection of these aliases of REF.")
@click.option("--force", is_flag=True, help="Move or remove aliases that are protected, too.")
def command(
    cli: Invocation, ref: str, aliases: tuple[str, ...], *, force: bool, **acts: bool
) -> None:
    """Point each ALIAS to REF; without one, list the aliases of the artifact.

    An alias that points elsewhere is moved, and its history is kept. No version is changed. A
    protected alias is moved or removed, and its version deleted, only with --force.
    """
    artifact = str(parse_ref(ref).artifact)
    chosen = [name for name, given in acts.items() if given]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} are two different things")
    if chosen and not aliases:
        raise click.UsageError(f"no alias is named to {chosen[0]}", click.get_current_context())
    with cli.open_store() as store:
        if not aliases:
            protected = store.protected_aliases(artifact)
            show_aliases(cli.console, artifact, store.aliases(artifact), protected)
            return
        moves = _act(store, ref, aliases, chosen[0] if chosen else "", force=force)
    show_moves(cli.console, artifact, moves)


def _act(
    store: Store, ref: str, aliases: Sequence[str], act: str, *, force: bool
) -> list[AliasMove]:
    artifact = str(parse_ref(ref).artifact)
    if act == "remove":
        return store.untag(artifact, aliases, force=force)
    if act == "unprotect" or (act == "protect" and not names_version(ref)):
        return store.protect(artifact, aliases, protected=act == "protect")
    return store.tag(ref, aliases, protect=act == "protect", force=force)
