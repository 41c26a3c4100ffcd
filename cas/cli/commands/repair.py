"""`cas repair`: what is damaged or missing is brought back from elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

import cas
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.invocation import Invocation
from cas.cli.progress import ProgressDisplay
from cas.cli.values import JOBS
from cas.cli.verb import WITH_STORE, verb
from cas.cli.verification import show_repair
from cas.errors import ErrorCode, InvalidInputError, NotFoundError

EXAMPLES = """
cas repair
cas repair --from s3://bucket/backup --apply
cas repair imagenet:v3 --from ~/datasets/imagenet --apply
cas repair --json
"""


@verb("repair", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5, 9))
@click.argument("ref", required=False)
@click.option(
    "--from",
    "places",
    multiple=True,
    metavar="STORE|PATH",
    help="Look here, too: another store, or files; repeatable.",
)
@click.option("--apply", is_flag=True, help="Do it; else only say what could be done.")
@click.option("-j", "--jobs", type=JOBS, help="Threads; as many as CPUs unless given.")
def command(cli: Invocation, ref: str | None, places: tuple[str, ...], **given: Any) -> int:
    """Bring back what is damaged of one version, an artifact, or the whole store.

    Damage is what the structure shows, and what cas verify has found. Chunks are looked for in the
    store's other blobs, in other stores and in plain files, verified, and stored anew; versions
    keep their numbers and digests. Lost index segments, blob tables and pages are made again. What
    is stored is never replaced or removed. Without --apply nothing is written. Exits 8 if something
    cannot be brought back; it is listed by version, path and bytes, and cas get --allow-holes
    writes the rest.
    """
    if places and ref is not None and Path(ref).exists():
        raise InvalidInputError(
            f"{ref!r} is a file or folder here, and no version",
            code=ErrorCode.INVALID_REF,
            hint=f"each place to look in takes an option of its own: --from {ref}",
        )
    with ExitStack() as opened:
        store = opened.enter_context(cli.open_store(jobs=given["jobs"]))
        stores, paths = [], []
        for place in places:
            other = _open_other(cli, place, given["jobs"])
            if other is None:
                paths.append(place)
            else:
                stores.append(opened.enter_context(other))
        cancel = opened.enter_context(
            stopped_by_ctrl_c("interrupted: nothing is lost, and the same command does the rest")
        )
        display = opened.enter_context(ProgressDisplay(cli.console))
        options = cas.RepairOptions(
            paths=tuple(paths), progress=display.sink, cancel=cancel, **given
        )
        outcome = store.repair(ref, options, stores=stores)
    return show_repair(cli.console, outcome)


def _open_other(cli: Invocation, place: str, jobs: int | None) -> cas.Store | None:
    """Open the store that a place names; None if it is plain files."""
    if Path(place).exists() and not Path(place, "cas.json").exists():
        return None
    try:
        return cli.open_other_store(cli.choose_other(place, option="--from"), jobs=jobs)
    except NotFoundError as error:
        if "://" in place:
            raise
        raise NotFoundError(
            f"{place!r} is neither a store nor a file or folder",
            code=error.code,
            hint="check the path, or the name in the settings",
        ) from error
