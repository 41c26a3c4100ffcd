"""The `cas` command: finds the command's module, runs it, explains errors, sets the exit code."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from cas.cli.failures import CLOSED_PIPE_EXIT, error_document, exit_code_of, explain
from cas.cli.interrupt import INTERRUPTION
from cas.cli.render import Console, abandon_stdout, color_asked_for, prepare_streams
from cas.cli.verb import shared_options, take_flags
from cas.model.redaction import redact_text, remember_secrets

# With their summaries here, `cas --help` imports no command's module: 40 ms.
COMMANDS = {
    "init": "Create an empty store.",
    "put": "Publish files as the next version of an artifact.",
    "get": "Write the files of a version to a folder.",
    "copy": "Copy versions to another store.",
    "push": "Send versions to the remote.",
    "pull": "Bring versions from the remote.",
    "ls": "List artifacts, or the files of a version.",
    "show": "Show what is recorded about a version, or what a file looks like.",
    "log": "List the versions of an artifact.",
    "diff": "Compare two versions, or a version and a folder.",
    "status": "Show what changed in a folder since a version.",
    "tag": "Point aliases to a version, or take them away.",
    "cat": "Write the bytes of stored files.",
    "ttl": "Say when a version may go by itself.",
    "rm": "Put versions into the trash, or delete them for good.",
    "prune": "Keep versions by rules; the others go into the trash.",
    "restore": "Bring versions back from the trash.",
    "du": "Show the bytes that versions take.",
    "why": "Show what keeps a version, a file or a blob.",
    "gc": "Delete what nothing needs any more.",
    "verify": "Check that what versions need is there and undamaged.",
    "repair": "Bring back what is damaged or missing.",
    "cache": "Show, limit or clear the cache of data on this machine.",
    "config": "Show which store is in force, and why.",
    "doctor": "Check a store: is it reachable, and what is allowed?",
    "completion": "Print the completion script for a shell.",
}
SYNONYMS = {"list": "ls", "remove": "rm", "upload": "put", "download": "get", "tags": "tag"}
COMPLETION_VARIABLE = "_CAS_COMPLETE"


class Tool(click.Group):
    """The group of all commands. A command's module is imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, also by another name that users know from other tools."""
        name = SYNONYMS.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"cas.cli.commands.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments ask for, or name near ones."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            import difflib  # only a mistake needs it

            near = difflib.get_close_matches(args[0], (*COMMANDS, *SYNONYMS), n=2)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}{meant}", ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 click calls it so
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # 20 ms that other commands need not spend

        click.echo(f"cas {version('cas-store')}")
        ctx.exit()


@click.group(cls=Tool, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version of cas.",
)
@shared_options
@click.pass_context
def tool(ctx: click.Context, /, **arguments: Any) -> None:
    """Version datasets, models and other artifacts in a folder or bucket.

    Files are stored once, whatever their names and versions; a put sends only what is new.
    A REF is name, name:v3, name:alias or name:DIGEST; a path inside follows: name:v3/train/a.jpg.

    Start with: cas put FOLDER NAME, and read it back with: cas get NAME
    """
    ctx.obj = take_flags(arguments)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool with these arguments, or the process's, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete  # only a shell asks for it

        return shell_complete(tool, {}, "cas", COMPLETION_VARIABLE, instruction)
    # NumPy's BLAS starts a thread for each core at import; none of it is ever used here, and they
    # cost as much as the import itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare_streams()
    if argv is None:
        INTERRUPTION.watch(lambda error: _report(error, arguments))
    code = _run_to_end(arguments)
    if argv is None:
        INTERRUPTION.finish(code)
        # The process ends: without this the interpreter looks through all objects of all modules
        # for garbage a few times, a sixth of the CPU time of a short command.
        gc.freeze()
    return code


def _run_to_end(arguments: list[str]) -> int:
    """Run the tool; whatever happens ends in an exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()
        return CLOSED_PIPE_EXIT
    # The one place where everything ends: a user gets one line, never a traceback unasked.
    except BaseException as error:  # noqa: BLE001
        return _report(INTERRUPTION.as_told(error), arguments)
    return code


def _run(arguments: list[str]) -> int:
    try:
        # A copy, because click takes words out of the list that it is given.
        with tool.make_context("cas", list(arguments)) as ctx:
            return tool.invoke(ctx) or 0
    except click.exceptions.Exit as ended:
        return ended.exit_code


def _report(error: BaseException, arguments: list[str]) -> int:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    console = Console(
        as_json="--json" in options,
        color=color_asked_for(options),
        environ=os.environ,
    )
    # A library may quote what it found in the environment. There PWD is the working folder, not a
    # password.
    remember_secrets({name: value for name, value in os.environ.items() if name != "PWD"})
    if "--debug" in options:
        import traceback  # 3 ms that others need not spend

        console.traceback(map(redact_text, traceback.format_exception(error)))
    failures = explain(error)
    try:
        sys.stdout.flush()
    except OSError:  # that may be what is reported
        abandon_stdout()
    try:
        for failure in failures:
            console.failure(failure.message, hint=failure.hint, problems=failure.problems)
        if console.as_json:
            console.document(error_document(failures))
        sys.stdout.flush()
    except OSError:  # nowhere left to tell it
        abandon_stdout()
    return exit_code_of(failures)
