"""`cas prune`: keep of artifacts what rules say, and move the rest to the trash."""

from __future__ import annotations

from typing import Any

import click

import cas
from cas.cli.invocation import Invocation
from cas.cli.retention import show_prune_outcome, show_prune_plan
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas prune bert --keep-last 5 --keep-within 30d
cas prune 'team/*' --keep-top 3:val_loss --keep-daily 7 --keep-weekly 4 --apply
cas prune scratch --keep-last 0 --no-keep-aliases --apply
"""
COUNT = click.IntRange(min=0)


@verb("prune", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9, 10))
@click.argument("patterns", metavar="NAME|PATTERN...", nargs=-1, required=True)
@click.option("--keep-last", type=COUNT, metavar="N", help="The newest N; 0: it may lose all.")
@click.option("--keep-within", metavar="SPAN", help="Those that are not older: 30d, 12h, 2w.")
@click.option("--keep-alias", "--keep-tag", multiple=True, metavar="GLOB", help="Such aliases.")
@click.option("--no-keep-aliases", is_flag=True, help="Other aliases do not keep; protected do.")
@click.option(
    "--keep-top", multiple=True, metavar="N:KEY[:min|:max]", help="The best N by metadata."
)
@click.option("--keep-hourly", type=COUNT, default=0, metavar="N", help="The newest of N hours.")
@click.option("--keep-daily", type=COUNT, default=0, metavar="N", help="The newest of N days.")
@click.option("--keep-weekly", type=COUNT, default=0, metavar="N", help="The newest of N weeks.")
@click.option("--keep-monthly", type=COUNT, default=0, metavar="N", help="Of N months.")
@click.option("--keep-yearly", type=COUNT, default=0, metavar="N", help="Of N years.")
@click.option("--apply", is_flag=True, help="Do it, not only tell.")
def command(cli: Invocation, patterns: tuple[str, ...], *, apply: bool, **given: Any) -> int:
    """Tell which versions of NAME the rules keep and which go; with --apply move these to the trash.

    A version stays if any rule keeps it. What aliases point at stays, and what versions that stay were
    made from, in any artifact. Periods end with the newest version that falls into them, in UTC. cas
    restore brings back what went, until a collection empties the trash.
    """
    rules = cas.KeepRules(
        last=given["keep_last"],
        within=given["keep_within"],
        aliases=given["keep_alias"],
        every_alias=not given["no_keep_aliases"],
        top=given["keep_top"],
        hourly=given["keep_hourly"],
        daily=given["keep_daily"],
        weekly=given["keep_weekly"],
        monthly=given["keep_monthly"],
        yearly=given["keep_yearly"],
    )
    with cli.open_store() as store:
        if apply:
            return show_prune_outcome(cli.console, store.prune(patterns, rules))
        return show_prune_plan(cli.console, store.plan_prune(patterns, rules))
