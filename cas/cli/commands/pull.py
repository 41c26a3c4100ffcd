"""`cas pull`: bring versions from the remote into the store in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cas.cli.copies import EXIT_CODES, chosen_refs, copy_options, newest_versions, run_copy
from cas.cli.invocation import Invocation
from cas.cli.verb import verb
from cas.errors import ErrorCode, InvalidInputError

if TYPE_CHECKING:
    from cas import Store

EXAMPLES = """
cas pull team/bert
cas pull imagenet:production --from s3://bucket/prod
cas pull
"""


@verb("pull", examples=EXAMPLES, exit_codes=EXIT_CODES)
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option(
    "--from",
    "origin",
    metavar="STORE",
    help="Another store than the remote: a URL, folder or name.",
)
@copy_options
def command(cli: Invocation, refs: tuple[str, ...], origin: str | None, **given: Any) -> None:
    """Bring versions from the remote: what cas copy does, with the remote as the source.

    Without a REF, the newest version of every artifact that the store in force has already. The
    remote is what `remote` says in cas.toml or in the user's settings, or in the table of the store
    in force.
    """
    choice = cli.choose_remote(origin, option="--from")
    with (
        cli.open_other_store(choice, jobs=given["jobs"]) as source,
        cli.open_or_create_store(jobs=given["jobs"]) as target,
    ):
        wanted = chosen_refs(refs, given, lambda: _known_artifacts(source, target))
        run_copy(cli, (source, target), wanted, given)


def _known_artifacts(source: Store, target: Store) -> list[str]:
    here = {one.name for one in target.artifacts()}
    wanted = [name for name in newest_versions(source) if name in here]
    if not wanted:
        raise InvalidInputError(
            f"{target.url} has no artifact that {source.url} has, so nothing says what to pull",
            code=ErrorCode.INVALID_OPTION,
            hint="name it: cas pull NAME, or bring everything: cas pull --all",
        )
    return wanted
