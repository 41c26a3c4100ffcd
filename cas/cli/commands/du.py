"""`cas du`: what versions take in the store."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.space import list_blob_usage, list_usage
from cas.cli.verb import verb

EXAMPLES = """
cas du
cas du imagenet
cas du imagenet:v3 --json
cas du --blobs
"""


@verb("du", examples=EXAMPLES)
@click.argument("ref", required=False)
@click.option("--blobs", is_flag=True, help="By whole blobs, of which none is read.")
def command(cli: Invocation, ref: str | None, *, blobs: bool) -> int:
    """Show the bytes of the store's artifacts, of an artifact's versions, or of one version.

    LOGICAL counts every file; UNIQUE each chunk once; STORED what these take, compressed; SHARED
    what others need as well; ALONE the rest of it; FREED the whole blobs that a collection would
    delete if this were deleted for good. What lies in the trash counts like any other. All this
    takes the table of each blob; --blobs does not, and tells LOGICAL, BLOBS, the whole blobs that
    are needed, SHARED, those that others need as well, and FREED. A version that is damaged is named
    and not counted, and the exit code is 8.
    """
    with cli.open_store() as store:
        if blobs:
            usage = store.usage_by_blobs(ref)
            return list_blob_usage(cli.console, usage, by_artifact=ref is None)
        return list_usage(cli.console, store.usage(ref), by_artifact=ref is None)
