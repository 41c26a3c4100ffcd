"""`cas status`: what differs between a version and a local folder or URL."""

from __future__ import annotations

import click

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle, show_diff
from cas.cli.invocation import Invocation
from cas.cli.values import merge_metadata
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas status imagenet
cas status imagenet:v3 ./data --exit-code
cas status raw s3://bucket/raw
"""


@verb("status", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9))
@click.argument("ref")
@click.argument("path", metavar="[PATH|URL]", required=False, default=".")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out, as .gitignore does.")
@click.option(
    "--source-option", multiple=True, metavar="K=V|JSON|@FILE", help="For a URL's driver."
)
@click.option("--stat", is_flag=True, help="Only the summary.")
@click.option("--name-only", is_flag=True, help="Only the paths.")
@click.option("--name-status", is_flag=True, help="Only letters and paths, between tabs.")
@click.option("--md", is_flag=True, help="As Markdown, for a pull request.")
@click.option("--exit-code", is_flag=True, help=f"Exit {DIFFERENT_EXIT} on differences.")
def command(
    cli: Invocation,
    ref: str,
    path: str,
    *,
    exclude: tuple[str, ...],
    source_option: tuple[str, ...],
    **style: bool,
) -> int:
    """Show what changed in the folder PATH, by default this one, or behind a URL, since REF."""
    options = merge_metadata(source_option, "--source-option")
    with cli.open_store() as store:
        diff = store.diff_folder(ref, path, exclude=exclude, source_options=options)
    from cas.settings import redact  # 10 ms that `cas --help` need not spend

    return show_diff(cli.console, diff, DiffStyle(old=ref, new=redact(path), **style))
