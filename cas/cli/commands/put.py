"""`cas put`: publish files as the next version of an artifact."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import click

import cas
from cas.cli.interrupt import stopped_by_ctrl_c
from cas.cli.invocation import Invocation
from cas.cli.outcomes import show_plan, show_put
from cas.cli.progress import ProgressDisplay
from cas.cli.values import JOBS, STANDARD_INPUT, merge_metadata, split_list
from cas.cli.verb import WITH_STORE, verb
from cas.cli.version_changes import (
    VersionChanges,
    changed_version,
    read_changes,
    split_changing_words,
)
from cas.errors import ErrorCode, InvalidInputError

Source = str | list[str] | BinaryIO

EXAMPLES = """
cas put ./data imagenet
cas put model.safetensors config.json team/bert -t model -a production -m 'lr 3e-4'
cas put ./data imagenet --metadata epochs=3 --metadata @run.json --dry-run
cas put s3://bucket/raw -n raw --source-option profile=lab
pg_dump db | cas put - backup --path dump.sql
cas put ./more imagenet --from-version imagenet:v3 --to train/extra --rm 'train/bad/*'
"""


@verb("put", examples=EXAMPLES, exit_codes=(*WITH_STORE, 5, 9))
@click.argument("words", metavar="PATH... NAME", nargs=-1, required=True)
@click.option("-n", "--name", help="Name of the artifact; every word is then a path.")
@click.option("-t", "--type", help="Kind of artifact; as the last version's, at first 'dataset'.")
@click.option("-d", "--description", default="", help="What the version is.")
@click.option("-m", "--message", default="", help="Why it was made.")
@click.option("--metadata", multiple=True, metavar="K=V|JSON|@FILE", help="Facts; repeatable.")
@click.option("-a", "--alias", "--aliases", multiple=True, help="Point it here; repeatable.")
@click.option("--ttl", metavar="SPAN", help="Let it go after 30d, 12h, 2w, ...; see cas ttl.")
@click.option("--force", is_flag=True, help="Make a new version even if nothing changed.")
@click.option("--if-parent", metavar="REF", help="Fail unless this is the newest one by then.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out, as .gitignore does.")
@click.option("--input", multiple=True, metavar="REF", help="A version that this was made from.")
@click.option("--from-version", metavar="REF", help="Put what this version has, and change it.")
@click.option("--rm", multiple=True, metavar="GLOB", help="Of that leave these out; repeatable.")
@click.option("--to", metavar="FOLDER", help="Put the words into this folder of that.")
@click.option("--path", help="Name of the file that comes from standard input.")
@click.option(
    "--source-option", multiple=True, metavar="K=V|JSON|@FILE", help="For a URL's driver."
)
@click.option("--no-provenance", is_flag=True, help="Record no command, commit, host and user.")
@click.option("--dry-run", is_flag=True, help="Tell what would be sent, and send nothing.")
@click.option("-j", "--jobs", type=JOBS, help="Threads; as many as CPUs unless given.")
def command(cli: Invocation, words: tuple[str, ...], name: str | None, **given: Any) -> None:
    """Publish files as the next version of the artifact NAME.

    PATH is a folder, whose content is put, a file, - for standard input, or the URL of an object or
    prefix (s3://, gs://, az://, sftp://, https:// and what else fsspec opens), which is read
    without a local copy. Only what the store does not have is sent; files that did not change are
    not read again. A file .casignore in a folder names what to leave out. Interrupted, a put loses
    nothing: run it again.

    --from-version needs no copy of what that version has: it stays, but for what --rm names (**
    crosses folders), and PATH comes to it, if there is any.
    """
    changes = read_changes(given)
    paths, artifact = split_changing_words(words, name, changes)
    source = _source(paths, given["path"], artifact) if paths else []
    if given["dry_run"]:
        with cli.open_store_for_plan(jobs=given["jobs"]) as store:
            show_plan(cli.console, _plan(store, source, artifact, _options(given), changes))
        return
    kept = "interrupted: what was sent is kept, and the same command goes on from there"
    with (
        cli.open_or_create_store(jobs=given["jobs"], writes_first=artifact) as store,
        stopped_by_ctrl_c(kept) as cancel,
    ):
        with ProgressDisplay(cli.console) as display:
            options = _options(given, progress=display.sink, cancel=cancel)
            outcome = _put(store, source, artifact, options, changes)
        show_put(cli.console, outcome)


def _put(
    store: cas.Store,
    source: Source,
    artifact: str,
    options: cas.PutOptions,
    changes: VersionChanges | None,
) -> cas.PutOutcome:
    if changes is None:
        return store.put(source, artifact, options)
    with changed_version(store, artifact, changes, source, options) as draft:
        pass
    return draft.outcome


def _plan(
    store: cas.Store,
    source: Source,
    artifact: str,
    options: cas.PutOptions,
    changes: VersionChanges | None,
) -> cas.PutPlan:
    if changes is None:
        return store.plan_put(source, artifact, options)
    with changed_version(store, artifact, changes, source, options) as draft:
        plan = draft.plan()
        draft.discard()
    return plan


def _source(paths: list[str], path: str | None, artifact: str) -> Source:
    if STANDARD_INPUT not in paths:
        if path:
            raise InvalidInputError(
                "--path names the file that comes from standard input, which no word here is",
                code=ErrorCode.INVALID_OPTION,
                hint=f"cas put - {artifact} --path {path}",
            )
        return paths[0] if len(paths) == 1 else paths
    if len(paths) > 1 or not path:
        raise InvalidInputError(
            "standard input is put alone, and needs a name for its file",
            code=ErrorCode.INVALID_OPTION,
            hint=f"cas put - {artifact} --path FILE",
        )
    return sys.stdin.buffer


def _options(given: dict[str, Any], **running: Any) -> cas.PutOptions:
    return cas.PutOptions(
        type=given["type"],
        description=given["description"],
        message=given["message"],
        metadata=merge_metadata(given["metadata"]),
        aliases=split_list(given["alias"]),
        ttl=given["ttl"],
        force=given["force"],
        if_parent=given["if_parent"],
        exclude=given["exclude"],
        inputs=given["input"],
        provenance=not given["no_provenance"],
        path=given["path"],
        source_options=merge_metadata(given["source_option"], "--source-option"),
        jobs=given["jobs"],
        command=("cas", *sys.argv[1:]),
        **running,
    )
