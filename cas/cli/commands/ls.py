"""`cas ls`: list artifacts, or what a version holds."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.listings import list_artifacts, list_entries
from cas.cli.values import parse_ref
from cas.cli.verb import verb

EXAMPLES = """
cas ls
cas ls imagenet:v3/train
cas ls imagenet -R --json
cas ls imagenet -R -0 | xargs -0 -n1 echo
"""


@verb("ls", examples=EXAMPLES)
@click.argument("ref", metavar="[REF[/PATH]]", required=False)
@click.option("-R", "--recursive", is_flag=True, help="List everything below, not one folder.")
@click.option("-l", "--long", is_flag=True, help="With kinds, sizes and hashes.")
@click.option("-0", "--null", is_flag=True, help="Names as they are stored, each ended by NUL.")
def command(cli: Invocation, ref: str | None, *, recursive: bool, long: bool, null: bool) -> None:
    """List the artifacts of the store, or the files of REF."""
    with cli.open_store() as store:
        if ref is None:
            list_artifacts(cli.console, store.artifacts())
            return
        path = parse_ref(ref).path
        version = store.version(ref)
        list_entries(cli.console, version, path, recursive=recursive, long=long, null=null)
