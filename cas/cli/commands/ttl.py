"""`cas ttl`: when a version may go by itself."""

from __future__ import annotations

import click

from cas.cli.facts import show_expiry
from cas.cli.invocation import Invocation
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas ttl scratch:v3 30d
cas ttl scratch:v3 never
cas ttl scratch:v3
"""


@verb("ttl", examples=EXAMPLES, exit_codes=WITH_STORE)
@click.argument("ref")
@click.argument("span", required=False)
def command(cli: Invocation, ref: str, span: str | None) -> None:
    """Let the version REF go SPAN from now: 30d, 12h, 2w, or never. Without SPAN, show when.

    A collection moves it to the trash then, unless an alias points to it or a version that stays was
    made from it. cas put --ttl says so from the start.
    """
    with cli.open_store() as store:
        if span is None:
            version = store.version(ref)
            show_expiry(cli.console, version.artifact, version.number, version.expires_ns)
            return
        made = store.set_ttl(ref, span)
    show_expiry(cli.console, made.artifact, made.number, made.expires_ns)
