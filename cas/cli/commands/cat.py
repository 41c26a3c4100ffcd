"""`cas cat`: the bytes of stored files."""

from __future__ import annotations

from dataclasses import replace

import click

from cas.cli.invocation import Invocation
from cas.cli.values import parse_ref
from cas.cli.verb import verb
from cas.errors import ErrorCode, InvalidInputError

EXAMPLES = """
cas cat team/bert:v3/config.json
cas cat logs:latest/train.log | tail
"""
PIECE_BYTES = 1 << 20


@verb("cat", examples=EXAMPLES)
@click.argument("refs", metavar="REF/PATH...", nargs=-1, required=True)
@click.option("--cache-size", metavar="SIZE", help="Keep as much of what is read: 20GB, 10%, 0.")
def command(cli: Invocation, refs: tuple[str, ...], cache_size: str | None) -> None:
    """Write the bytes of files to standard output, each verified before it is written."""
    first = str(replace(parse_ref(refs[0]), path=""))
    with cli.open_store(reads_first=first, cache_size=cache_size) as store:
        for text in refs:
            ref = parse_ref(text)
            if not ref.path:
                raise InvalidInputError(
                    f"{text!r} names no file",
                    code=ErrorCode.INVALID_REF,
                    hint=f"cas cat {ref}/PATH; see: cas ls {ref}",
                )
            version = store.version(str(replace(ref, path="")))
            with version.open(ref.path) as file:
                while piece := file.read(PIECE_BYTES):
                    cli.console.content(piece)
