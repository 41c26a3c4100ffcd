"""`cas du`: what versions take in the store."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.space import list_usage
from cas.cli.verb import verb

EXAMPLES = """
cas du
cas du imagenet
cas du imagenet:v3 --json
"""


@verb("du", examples=EXAMPLES)
@click.argument("ref", required=False)
def command(cli: Invocation, ref: str | None) -> None:
    """Show the bytes of the store's artifacts, of an artifact's versions, or of one version.

    LOGICAL counts every file; UNIQUE each chunk once; STORED what these take, compressed; SHARED
    what others need as well; ALONE the rest of it; FREED the whole blobs that a collection would
    delete if this were deleted for good. What lies in the trash counts like any other.
    """
    with cli.open_store() as store:
        list_usage(cli.console, store.usage(ref), by_artifact=ref is None)
