"""`cas diff`: what differs between two versions, or a version and a folder or URL."""

from __future__ import annotations

from typing import Any

import click

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle, show_diff
from cas.cli.invocation import Invocation
from cas.cli.rows import EXAMPLES_SHOWN, AskedRows, as_keys, compare_rows
from cas.cli.values import is_folder_argument, merge_metadata
from cas.cli.verb import WITH_STORE, verb

EXAMPLES = """
cas diff imagenet:v3 imagenet:v4
cas diff imagenet:v3 imagenet --stat
cas diff imagenet ./data --name-only
cas diff imagenet s3://bucket/raw
cas diff imagenet:production imagenet --md > comment.md
cas diff --tensors bert:v3 bert:v4
cas diff --tensors bert:v4 ./bert encoder
cas diff prices:v3 prices --rows --key id
"""


@verb("diff", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9))
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF|FOLDER|URL")
@click.argument("path", metavar="[PATH]", required=False, default="")
@click.option("--tensors", is_flag=True, help="Compare tensors: safetensors, .npy, .npz, GGUF.")
@click.option("--stat", is_flag=True, help="Only the summary.")
@click.option("--name-only", is_flag=True, help="Only the paths.")
@click.option("--name-status", is_flag=True, help="Only letters and paths, between tabs.")
@click.option("--md", is_flag=True, help="As Markdown, for a pull request.")
@click.option("--no-renames", is_flag=True, help="Show a renamed file as added and removed.")
@click.option(
    "--source-option", multiple=True, metavar="K=V|JSON|@FILE", help="For a URL's driver."
)
@click.option("--rows", is_flag=True, help="Compare tables row by row: Parquet, CSV, JSON lines.")
@click.option("--key", multiple=True, metavar="COL", help="Match rows by this column; repeatable.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=EXAMPLES_SHOWN,
    show_default=True,
    metavar="N",
    help="How many rows of a kind are shown of a table.",
)
@click.option("--exit-code", is_flag=True, help=f"Exit {DIFFERENT_EXIT} on differences.")
def command(
    cli: Invocation,
    old: str,
    new: str,
    path: str,
    *,
    source_option: tuple[str, ...],
    **asked: Any,
) -> int:
    """Show which files differ between REF and another REF, a local folder or a URL; of two versions
    only what is at or below PATH.

    A bare word is a folder if there is one of that name; NAME:latest is the artifact. Behind a URL
    there are no links, empty folders and executable bits, so they are not compared.

    With --tensors it shows which tensors of safetensors, .npy, .npz and GGUF files were added,
    removed, reshaped or changed, and reads only what differs.

    With --rows tables that differ are compared row by row, in any order of rows: how many rows came
    and went, and with --key which cells changed. It needs the extra rows.
    """
    renames, rows = not asked.pop("no_renames"), asked.pop("rows")
    keys, limit = as_keys(asked.pop("key")), asked.pop("limit")
    tensors = asked.pop("tensors")
    _check_together(path if is_folder_argument(new) else "", keys, tensors=tensors, rows=rows)
    if tensors:
        return _diff_tensors(cli, path, DiffStyle(old=old, new=new, **asked), renames=renames)
    if rows:
        wanted = AskedRows(old=old, new=new, path=path, keys=keys, limit=limit, renames=renames)
        return compare_rows(cli, wanted, asked)
    options = merge_metadata(source_option, "--source-option")
    with cli.open_store() as store:
        if is_folder_argument(new):
            diff = store.diff_folder(old, new, source_options=options)
        else:
            diff = store.diff(old, new, path=path, renames=renames)
    from cas.settings import redact  # 10 ms that `cas --help` need not spend

    return show_diff(cli.console, diff, DiffStyle(old=old, new=redact(new), **asked))


def _check_together(path: str, keys: tuple[str, ...], *, tensors: bool, rows: bool) -> None:
    context = click.get_current_context()
    if tensors and rows:
        raise click.UsageError("--tensors and --rows do not go together", context)
    if path and not tensors:
        raise click.UsageError(
            f"{path!r} is for two versions; a folder is compared with REF/{path}", context
        )
    if keys and not rows:
        raise click.UsageError("--key is for --rows", context)


def _diff_tensors(cli: Invocation, path: str, style: DiffStyle, *, renames: bool) -> int:
    from cas.cli.tensor_diffs import show_tensor_diff  # few who compare look at tensors

    old, new = style.old, style.new
    with cli.open_store() as store:
        if is_folder_argument(new):
            diff = store.diff_folder_tensors(old, new, path=path)
        else:
            diff = store.diff_tensors(old, new, path=path, renames=renames)
    return show_tensor_diff(cli.console, diff, style)
