"""`cas show`: everything that is recorded about a version, or what a file of it looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cas.cli.facts import show_version
from cas.cli.invocation import Invocation
from cas.cli.values import parse_ref
from cas.cli.verb import verb

if TYPE_CHECKING:
    from cas import Version
    from cas.cli.previews.preview import Preview
    from cas.model.names import Ref

EXAMPLES = """
cas show imagenet
cas show team/bert:production --json
cas show imagenet:v3/train/a.jpg
cas show team/bert:v3 tokenizer.json -n 40
"""
WAYS = ("auto", "kitty", "iterm", "sixel", "blocks", "none")
_DIGEST_DIGITS = 64


@verb("show", examples=EXAMPLES)
@click.argument("ref", metavar="REF[/PATH]")
@click.argument("path", required=False)
@click.option("-n", "--lines", type=click.IntRange(min=1), help="Lines or rows of a file to show.")
@click.option("--images", type=click.Choice(WAYS), default="auto", help="How to draw pictures.")
def command(cli: Invocation, ref: str, path: str | None, *, lines: int | None, images: str) -> None:
    """Show what is recorded about REF: digest, sizes, description, metadata, where it came from.

    With a PATH show what a file looks like: the first lines of a text or notebook, the first rows of a table
    (CSV, JSON lines, Parquet, Arrow) with its columns, a picture of an image, the tensors of a model, the names in
    an archive. Only what that takes is fetched, at most 16 MiB. Images and Parquet need cas-store[preview]. Of a folder the
    first entries are shown.

    Pictures are drawn on a terminal: by the protocols of kitty or iTerm2, as sixels, or else in coloured
    characters.
    """
    parsed = parse_ref(ref)
    inside = "/".join(part for part in (parsed.path, (path or "").strip("/")) if part)
    with cli.open_store() as store:
        version = store.version(str(replace(parsed, path="")))
        if not inside:
            show_version(cli.console, version)
        elif version.is_dir(inside):
            _show_folder(cli, version, inside)
        else:
            _show_file(cli, version, replace(parsed, path=inside), lines, images)


def _show_folder(cli: Invocation, version: Version, path: str) -> None:
    from cas.cli.entries import ListingStyle, list_entries

    list_entries(cli.console, version, path, ListingStyle(tree=True, depth=1))


def _show_file(cli: Invocation, version: Version, ref: Ref, lines: int | None, images: str) -> None:
    from cas.cli.entries import missing_path
    from cas.cli.previews.protocols import Protocol
    from cas.cli.previews.show import lines_that_fit, show_file

    if ref.path not in version:
        raise missing_path(version, ref.path)
    wanted = lines or lines_that_fit(cli.console)
    preview = _preview(version, ref, wanted)
    protocol = None if images == "auto" else Protocol(images)
    show_file(cli.console, version.ref, version[ref.path], preview, protocol)


def _preview(version: Version, ref: Ref, lines: int) -> Preview | None:
    """Return what a file looks like; None of what is no file and leads to none."""
    from cas.cli.previews.choose import make_preview
    from cas.cli.previews.preview import MOST_READ_BYTES, Preview, Source
    from cas.errors import InvalidInputError, NotFoundError
    from cas.model.entry import EntryKind

    entry = version[ref.path]
    if entry.kind in (EntryKind.DIRECTORY, EntryKind.EXTERNAL):
        return None
    if len(ref.digest_prefix or "") == _DIGEST_DIGITS and entry.size > MOST_READ_BYTES:
        remark = f"under a whole digest all of it would be read; cas show {version.ref}/PATH reads a part"
        return Preview(kind="file", summary="file", remark=remark)
    try:
        with version.open(ref.path) as file:
            size = file.seek(0, 2)  # that of a link's target, if it is a link
    except (InvalidInputError, NotFoundError):
        if entry.kind is EntryKind.SYMLINK:
            return None  # it leads nowhere, or out of the version
        raise
    name = ref.path.rpartition("/")[2]
    return make_preview(
        Source(
            name=name,
            size=size,
            lines=lines,
            open_file=lambda: version.open(ref.path),
            open_tensors=lambda: version.tensors(ref.path),
        )
    )
