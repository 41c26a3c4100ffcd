"""`cas diff`: what differs between two versions, or a version and a folder or URL."""

from __future__ import annotations

import click

from cas.cli.diffs import DIFFERENT_EXIT, DiffStyle, show_diff
from cas.cli.invocation import Invocation
from cas.cli.values import is_folder_argument, merge_metadata
from cas.cli.verb import WITH_STORE, verb
from cas.errors import ErrorCode, InvalidInputError

EXAMPLES = """
cas diff imagenet:v3 imagenet:v4
cas diff imagenet:v3 imagenet --stat
cas diff imagenet ./data --name-only
cas diff imagenet s3://bucket/raw
cas diff imagenet:production imagenet --md > comment.md
cas diff --tensors bert:v3 bert:v4
cas diff --tensors bert:v4 ./bert encoder
"""


@verb("diff", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9))
@click.argument("old", metavar="REF")
@click.argument("new", metavar="REF|PATH|URL")
@click.argument("path", metavar="[PATH]", required=False, default="")
@click.option("--tensors", is_flag=True, help="Compare tensors, at or below PATH of both sides.")
@click.option("--stat", is_flag=True, help="Only the summary.")
@click.option("--name-only", is_flag=True, help="Only the paths.")
@click.option("--name-status", is_flag=True, help="Only letters and paths, between tabs.")
@click.option("--md", is_flag=True, help="As Markdown, for a pull request.")
@click.option("--no-renames", is_flag=True, help="Show a renamed file as added and removed.")
@click.option(
    "--source-option", multiple=True, metavar="K=V|JSON|@FILE", help="For a URL's driver."
)
@click.option("--exit-code", is_flag=True, help=f"Exit {DIFFERENT_EXIT} on differences.")
def command(
    cli: Invocation,
    old: str,
    new: str,
    path: str,
    *,
    no_renames: bool,
    source_option: tuple[str, ...],
    **style: bool,
) -> int:
    """Show which files differ between REF and another REF, a local folder PATH or a URL.

    A bare word is a folder if there is one of that name; NAME:latest is the artifact. Behind a URL
    there are no links, empty folders and executable bits, so they are not compared.

    With --tensors it shows which tensors of safetensors, .npy, .npz and GGUF files were added,
    removed, reshaped or changed, and reads only what differs.
    """
    if style.pop("tensors"):
        return _diff_tensors(
            cli, path, DiffStyle(old=old, new=new, **style), renames=not no_renames
        )
    if path:
        raise InvalidInputError(
            f"{path!r}: a third word goes with --tensors", code=ErrorCode.INVALID_OPTION
        )
    options = merge_metadata(source_option, "--source-option")
    with cli.open_store() as store:
        if is_folder_argument(new):
            diff = store.diff_folder(old, new, source_options=options)
        else:
            diff = store.diff(old, new, renames=not no_renames)
    from cas.settings import redact  # 10 ms that `cas --help` need not spend

    return show_diff(cli.console, diff, DiffStyle(old=old, new=redact(new), **style))


def _diff_tensors(cli: Invocation, path: str, style: DiffStyle, *, renames: bool) -> int:
    from cas.cli.tensor_diffs import show_tensor_diff  # few who compare look at tensors

    old, new = style.old, style.new
    with cli.open_store() as store:
        if is_folder_argument(new):
            diff = store.diff_folder_tensors(old, new, path=path)
        else:
            diff = store.diff_tensors(old, new, path=path, renames=renames)
    return show_tensor_diff(cli.console, diff, style)
