"""`cas verify`: is everything there, and is it what it must be?"""

from __future__ import annotations

from typing import Any

import click

import cas
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.invocation import Invocation
from cas.cli.progress import ProgressDisplay
from cas.cli.values import DURATION, JOBS, SIZE
from cas.cli.verb import WITH_STORE, verb
from cas.cli.verification import show_verify
from cas.errors import ErrorCode, InvalidInputError

_STOPPED = (
    "interrupted: what was read until now is remembered; cas verify tells what of it is damaged"
)
EXAMPLES = """
cas verify
cas verify bert:v3 --data
cas verify --data --budget 200GB --max-age 90d
cas verify --tables --json
"""


@verb("verify", examples=EXAMPLES, exit_codes=(*WITH_STORE, 9))
@click.argument("ref", required=False)
@click.option("--tables", is_flag=True, help="Read the table of every blob, too.")
@click.option("--data", is_flag=True, help="Read every byte, what was read longest ago first.")
@click.option("--budget", type=SIZE, metavar="SIZE", help="Read about so much data, no more.")
@click.option("--time", "seconds", type=DURATION, metavar="TIME", help="Begin no read after it.")
@click.option(
    "--max-age", type=DURATION, metavar="AGE", help="Pass over what was found whole since."
)
@click.option("--no-results", is_flag=True, help="Write nothing to the store.")
@click.option("-j", "--jobs", type=JOBS, help="Threads that read.")
def command(cli: Invocation, ref: str | None, **given: Any) -> int:
    """Check one version, an artifact, or the whole store.

    By default: records, aliases, roots and pages are read and fit together, and every blob is there
    with the right size. What is read comes from the storage, never from a cache. Damage that is
    found is remembered in the store: later puts store again what they meet of it, and cas repair
    looks there. So are results of --data, so that small runs, from any machine, cover everything.
    Exits 8 if anything is damaged, 9 if something could not be read and nothing else was found.
    """
    level = _level(given)
    with (
        cli.open_store(jobs=given["jobs"]) as store,
        stopped_by_ctrl_c(_STOPPED) as cancel,
        ProgressDisplay(cli.console) as display,
    ):
        options = cas.VerifyOptions(
            level=level,
            budget_bytes=given["budget"],
            seconds=given["seconds"],
            max_age_seconds=given["max_age"],
            remember=not given["no_results"],
            jobs=given["jobs"],
            progress=display.sink,
            cancel=cancel,
        )
        outcome = store.verify(ref, options)
    return show_verify(cli.console, outcome)


def _level(given: dict[str, Any]) -> cas.VerifyLevel:
    limits = [name for name in ("budget", "seconds", "max_age") if given[name] is not None]
    if limits and not given["data"]:
        raise InvalidInputError(
            "--budget, --time and --max-age are about --data",
            code=ErrorCode.INVALID_OPTION,
            hint="add --data",
        )
    if given["data"]:
        return cas.VerifyLevel.DATA
    return cas.VerifyLevel.TABLES if given["tables"] else cas.VerifyLevel.STRUCTURE
