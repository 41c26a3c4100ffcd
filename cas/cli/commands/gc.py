"""`cas gc`: delete what nothing needs any more."""

from __future__ import annotations

from typing import Any

import click

import cas
from cas.cli.collections import show_collection, show_collection_plan
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.invocation import Invocation
from cas.cli.progress import ProgressDisplay
from cas.cli.values import JOBS
from cas.cli.verb import WITH_STORE, verb
from cas.model.durations import SECOND_NS, parse_span, span_or_never

EXAMPLES = """
cas gc
cas gc --explain
cas gc --apply
cas gc --apply --grace 1d --override too-much
cas gc --repack
"""
_KEPT = "interrupted: nothing that is needed was deleted, and the next cas gc --apply goes on"


@verb("gc", examples=EXAMPLES, exit_codes=(*WITH_STORE, 10))
@click.option("--apply", is_flag=True, help="Delete; without it, only tell what would go.")
@click.option(
    "--grace",
    metavar="SPAN",
    default="7d",
    show_default=True,
    help="Leave what is younger, and writers that stored something since.",
)
@click.option(
    "--trash-keep",
    metavar="SPAN",
    default="30d",
    show_default=True,
    help="Purge what lies in the trash for longer; `never` keeps it.",
)
@click.option("--explain", is_flag=True, help="Tell why each version is kept.")
@click.option(
    "--override",
    "overrides",
    type=click.Choice([kind.value for kind in cas.BrakeKind]),
    multiple=True,
    help="A brake that shall not hold.",
)
@click.option(
    "--exclusive",
    is_flag=True,
    help="Nobody else uses the store; for storages that keep no two writers apart.",
)
@click.option("--repack", is_flag=True, help="Also empty blobs that are mostly dead.")
@click.option(
    "--repack-below",
    metavar="PERCENT",
    type=click.IntRange(1, 100),
    default=50,
    show_default=True,
    help="Mostly dead: less than this is live.",
)
@click.option("-j", "--jobs", type=JOBS, help="Requests at once.")
def command(cli: Invocation, *, apply: bool, **given: Any) -> None:
    """Tell which blobs nothing needs any more, and delete them with --apply.

    Versions keep what they need, those in the trash too, and so do puts under way, on whatever
    machine. First, versions whose time is over (see cas ttl) go to the trash, and what lay there for
    long enough is purged. It can run at any time, beside anything, several times at once; killed,
    the next run finishes it. A brake holds (exit 10) when something looks wrong: then nothing is
    deleted and no version moved, and the message says what it was and how to override it.

    A blob goes when nothing in it is needed. With --repack, what lives in blobs that are mostly dead
    is stored anew, at most a tenth of the store in one run (or 256 MiB), and versions are led there;
    their digests stay. That comes after the purges, and the blobs go in the same run, if they are old
    enough.
    """
    if not apply:
        with cli.open_store() as store, ProgressDisplay(cli.console) as display:
            plan = store.plan_collection(_options(given, progress=display.sink))
        show_collection_plan(cli.console, plan)
        return
    with (
        cli.open_store() as store,
        stopped_by_ctrl_c(_KEPT) as cancel,
        ProgressDisplay(cli.console) as display,
    ):
        outcome = store.collect_garbage(_options(given, progress=display.sink, cancel=cancel))
    show_collection(cli.console, outcome)


def _options(given: dict[str, Any], **running: Any) -> cas.CollectOptions:
    return cas.CollectOptions(
        grace_seconds=parse_span(given["grace"]) / SECOND_NS,
        policy=cas.RetentionPolicy(trash_keep_ns=span_or_never(given["trash_keep"])),
        repack=_repack_options(given) if given["repack"] else None,
        explain=given["explain"],
        overrides=frozenset(map(cas.BrakeKind, given["overrides"])),
        exclusive=given["exclusive"],
        threads=given["jobs"],
        **running,
    )


def _repack_options(given: dict[str, Any]) -> cas.RepackOptions:
    return cas.RepackOptions(limits=cas.RepackLimits(live_share=given["repack_below"] / 100))
