"""`cas get`: write the files of a version to a folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

import cas
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.invocation import Invocation
from cas.cli.outcomes import show_get
from cas.cli.progress import ProgressDisplay
from cas.cli.values import JOBS, merge_metadata, parse_ref
from cas.cli.verb import WITH_STORE, verb

if TYPE_CHECKING:
    from cas import Store

EXAMPLES = """
cas get imagenet
cas get team/bert:production ./bert
cas get imagenet:v3/train ./train --include '*.jpg'
cas get imagenet:v4 ./v4 --seed ./v3
cas get team/bert:production s3://serving/bert
"""


@verb("get", examples=EXAMPLES, exit_codes=(*WITH_STORE, 4, 9))
@click.argument("ref")
@click.argument("dest", required=False)
@click.option("--include", multiple=True, metavar="PATTERN", help="Get only these; repeatable.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave these out; repeatable.")
@click.option("--overwrite", is_flag=True, help="Replace files that differ.")
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    metavar="PATH",
    help="Take what it holds from this file or folder; repeatable.",
)
@click.option("--allow-holes", is_flag=True, help="Where the store is damaged, get the rest.")
@click.option("--pin", is_flag=True, help="Keep REF in the store until all of it is here.")
@click.option("--outside-links", is_flag=True, help="Make links that lead out of DEST, too.")
@click.option(
    "--dest-option", multiple=True, metavar="K=V|JSON|@FILE", help="For a URL, as in settings."
)
@click.option("--cache-size", metavar="SIZE", help="Look into the cache of data; 0: do not.")
@click.option("-j", "--jobs", type=JOBS, help="Threads; as many as CPUs unless given.")
def command(cli: Invocation, ref: str, dest: str | None, **given: Any) -> int:
    """Write the files of REF to the folder DEST, by default ./NAME-vN.

    Every byte is verified. Files that are there and match are not fetched; a file that differs is
    never replaced without --overwrite, and nothing is written outside DEST. Bytes that a replaced
    file, a --seed or an interrupted get holds are copied from there, and only the rest is fetched.
    DEST may be a URL such as s3://bucket/prefix: files become plain objects there; links and empty
    folders are left out.
    """
    dest_options = merge_metadata(given.pop("dest_option"), "--dest-option")
    kept = "interrupted: what was fetched stays, and the same command goes on from there"
    version = str(replace(parse_ref(ref), path=""))
    cache_size = given.pop("cache_size")
    with (
        cli.open_store(jobs=given["jobs"], reads_first=version, cache_size=cache_size) as store,
        stopped_by_ctrl_c(kept) as cancel,
    ):
        if dest is None:
            ref, dest = _choose_target(store, ref)
        with ProgressDisplay(cli.console) as display:
            options = cas.GetOptions(
                progress=display.sink, cancel=cancel, dest_options=dest_options, **given
            )
            outcome = store.get(ref, dest, options)
        return show_get(cli.console, outcome)


def _choose_target(store: Store, text: str) -> tuple[str, str]:
    ref = parse_ref(text)
    if ref.path:
        return text, ref.path.rpartition("/")[2]
    if ref.number is None and ref.digest_prefix is None:
        # Pinned here, or the folder's name and its content could be of two versions.
        ref = replace(ref, number=store.version(text).number, alias=None)
    number = ref.number if ref.number is not None else store.version(text).number
    return str(ref), f"{ref.artifact.text.rpartition('/')[2]}-v{number}"
