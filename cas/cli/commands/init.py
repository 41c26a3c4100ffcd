"""`cas init`: create a store."""

from __future__ import annotations

import click

import cas
from cas.cli.invocation import Invocation
from cas.cli.text import escape
from cas.cli.values import SIZE
from cas.cli.verb import verb
from cas.model.units import format_size

EXAMPLES = """
cas init ./store
cas init s3://bucket/prefix
cas init /data/cas --chunk-size 128KiB
"""
_BUCKETS = ("s3:", "s3a:", "gs:", "gcs:")


@verb("init", examples=EXAMPLES, exit_codes=(4, 6, 7))
@click.argument("url", required=False)
@click.option(
    "--chunk-size",
    type=SIZE,
    metavar="SIZE",
    help="Average size of a chunk: a power of two, 4KiB to 1MiB; 64KiB unless given.",
)
def command(cli: Invocation, url: str | None, chunk_size: int | None) -> None:
    """Create an empty store at URL, by default at the store in force."""
    choice = cli.choose(url)
    given = {} if chunk_size is None else {"chunk_size": chunk_size}
    with cas.Store.create(choice.url, storage_options=choice.storage_options, **given) as store:
        cli.count(store)
        average = store.config.chunk_average
        keeps_apart = store.config.create_if_absent
        facts = {
            "url": store.url,
            "store_id": store.store_id,
            "chunk_size": average,
            "create_if_absent": keeps_apart,
        }
    if cli.console.as_json:
        cli.console.document(facts)
        return
    cli.console.answer(f"created store {escape(store.url)}")
    cli.console.detail(f"chunks of {format_size(average)} on average, id {store.store_id}")
    if not keeps_apart:
        cli.console.note(
            "this storage does not keep two writers apart: put from one place at a time; "
            "rm and restore are refused"
        )
    if store.url.startswith(_BUCKETS):
        cli.console.note("no rule of the bucket may delete below it; cas doctor looks for one")
    if choice.url != cli.choice.url:
        cli.console.note(
            f"to use it by default: export CAS_STORE={escape(choice.name or store.url)}"
        )
