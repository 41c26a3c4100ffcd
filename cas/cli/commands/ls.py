"""`cas ls`: list artifacts, or what a version holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cas.cli.entries import ListingStyle, list_entries
from cas.cli.invocation import Invocation
from cas.cli.listings import choose_artifacts, list_artifacts
from cas.cli.values import parse_ref
from cas.cli.verb import verb
from cas.errors import ErrorCode, InvalidInputError

EXAMPLES = """
cas ls
cas ls -q --filter 'age>90d' --sort size
cas ls imagenet:v3/train
cas ls imagenet --tree -L 2
cas ls imagenet -R -l --filter 'size>1GB' --sort size --limit 10
cas ls imagenet -R --json
cas ls imagenet -R -0 | xargs -0 -n1 echo
"""
COUNT = click.IntRange(min=0)


@verb("ls", examples=EXAMPLES)
@click.argument("ref", metavar="[REF[/PATH]]", required=False)
@click.option("-R", "--recursive", is_flag=True, help="List everything below, not one folder.")
@click.option("-l", "--long", is_flag=True, help="With kinds, sizes and hashes.")
@click.option("--tree", is_flag=True, help="Draw folders as a tree, with how much each holds.")
@click.option("-L", "--depth", type=click.IntRange(min=1), help="How deep --tree and -R go.")
@click.option("--sort", metavar="FIELD", help="By size or age (biggest, newest first), or name.")
@click.option("-r", "--reverse", is_flag=True, help="In the opposite order.")
@click.option("--limit", type=COUNT, metavar="N", help="So many at most; of each folder in a tree.")
@click.option(
    "--filter", "filters", multiple=True, metavar="FIELD>VALUE", help="Only such as: size>1GB."
)
@click.option("-0", "--null", is_flag=True, help="Names as they are stored, each ended by NUL.")
@click.option("-h", "--human-readable", is_flag=True, hidden=True)  # sizes always are, for people
def command(cli: Invocation, ref: str | None, *, human_readable: bool, **style: Any) -> None:
    """List the artifacts of the store, or the files of REF.

    Artifacts have the FIELDs name, type, size, versions and age (age>90d); files have name, path, size, kind
    and hash. A text is compared by = and !=, with * and ? as wildcards: name=*.jpg. Several filters must all
    hold.

    On a terminal a tree shows 20 lines of each folder and as many levels as fit 200 lines; --limit and -L say
    otherwise, --limit 0 shows all.
    """
    listing = ListingStyle(**style)
    if listing.depth is not None and not (listing.tree or listing.recursive):
        raise InvalidInputError(
            "-L says how deep --tree or -R goes", code=ErrorCode.INVALID_OPTION, hint="add --tree"
        )
    if ref is None and (listing.tree or listing.null):
        option = "--tree" if listing.tree else "-0"
        raise InvalidInputError(
            f"{option} shows the files of a version, and none is named",
            code=ErrorCode.INVALID_OPTION,
            hint=f"cas ls REF {option}",
        )
    if listing.limit == 0 and not listing.tree:
        listing = replace(listing, limit=None)
    with cli.open_store() as store:
        if ref is None:
            list_artifacts(cli.console, choose_artifacts(store.artifacts(), listing))
            return
        path = parse_ref(ref).path
        list_entries(cli.console, store.version(ref), path, listing)
