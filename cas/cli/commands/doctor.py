"""`cas doctor`: what is wrong with a store, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import cas
from cas.cli.invocation import Invocation
from cas.cli.render import to_json
from cas.cli.text import escape
from cas.cli.verb import verb

if TYPE_CHECKING:
    from cas import Diagnosis
    from cas.settings import StoreChoice

EXAMPLES = """
cas doctor
cas doctor s3://bucket/prefix
cas doctor prod --read-only --json
"""
UNHEALTHY_EXIT = 1


@verb("doctor", examples=EXAMPLES, exit_codes=())
@click.argument("place", metavar="[STORE]", required=False)
@click.option("--read-only", is_flag=True, help="Write nothing to the store.")
def command(cli: Invocation, place: str | None, *, read_only: bool) -> int:
    """Check a store, by default the one in force, and this machine.

    One line for each check: settings, software, driver, latency, cas.json, the rights to list, get,
    put, create and delete, whether one of several racing writers wins, the server's clock,
    unfinished uploads, the bucket's rules, the local cache. It ends with the roles that the rights suffice for. A few
    objects are written below sessions/ and deleted, unless --read-only. Exits 1 if a check failed.
    """
    from cas.settings import cache_folder  # not needed for --help

    choice = cli.choose(place)
    options = cas.DiagnoseOptions(
        read_only=read_only,
        cache_dir=str(cache_folder(cli.environ)),
        name=choice.name or "",
        origin=_origin(choice),
        warnings=choice.warnings,
    )
    diagnosis = cas.Store.diagnose(
        choice.url, storage_options=choice.storage_options, options=options
    )
    cli.count(diagnosis)
    _show(cli, diagnosis)
    return 0 if diagnosis.is_healthy else UNHEALTHY_EXIT


def _origin(choice: StoreChoice) -> str:
    named = f"{choice.name} in a settings file" if choice.name else ""
    by = "" if choice.source == "argument" else f"named by {choice.origin}"
    options = f"with {', '.join(sorted(choice.storage_options))}" if choice.storage_options else ""
    return ", ".join(filter(None, (named, by, options)))


def _show(cli: Invocation, diagnosis: Diagnosis) -> None:
    if cli.console.as_json:
        document = {**to_json(diagnosis), "healthy": diagnosis.is_healthy}
        del document["requests"]  # --stats tells them, here as elsewhere
        cli.console.document(document)
        return
    for check in diagnosis.checks:
        cli.console.answer(f"{check.state.value:<8} {check.name:<10} {escape(check.text)}")
        if check.hint:
            cli.console.answer(f"{'':<19} hint: {escape(check.hint)}")
    roles = ", ".join(diagnosis.roles) or "none"
    cli.console.answer(f"roles    {roles}")
