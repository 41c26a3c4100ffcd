"""`cas diff`: what differs between two versions, or a version and a folder."""

from __future__ import annotations

import click

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle, show_diff
from cas.cli.invocation import Invocation
from cas.cli.values import is_folder_argument
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas diff imagenet:v3 imagenet:v4
cas diff imagenet:v3 imagenet --stat
cas diff imagenet ./data --name-only
"""


@verb("diff", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9))
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF|PATH")
@click.option("--stat", is_flag=True, help="Only the summary.")
@click.option("--name-only", is_flag=True, help="Only the paths.")
@click.option("--no-renames", is_flag=True, help="Show a renamed file as added and removed.")
@click.option("--exit-code", is_flag=True, help=f"Exit {DIFFERENT_EXIT} on differences.")
def command(cli: Invocation, old: str, new: str, *, no_renames: bool, **style: bool) -> int:
    """Show which files differ between REF and another REF or a local folder PATH.

    A bare word is a folder if there is one of that name; NAME:latest is the artifact.
    """
    with cli.open_store() as store:
        if is_folder_argument(new):
            diff = store.diff_folder(old, new)
        else:
            diff = store.diff(old, new, renames=not no_renames)
    return show_diff(cli.console, diff, DiffStyle(old=old, new=new, **style))
