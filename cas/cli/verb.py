"""How a command is declared: shared options, and help that ends with examples and exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from cas.cli.failures import EXIT_CODES
from cas.cli.invocation import Flags, Invocation
from cas.cli.render import COLOR_CHOICES

ALWAYS = (0, 1, 2, 130, 141)
WITH_STORE = (3, 6, 7, 8)  # every command that opens a store can end so

_Function = Callable[..., Any]


class SharedOption(click.Option):
    """An option that every command has; help lists it apart."""


class Verb(click.Command):
    """A command of the tool."""

    def __init__(
        self, *args: Any, examples: str = "", exit_codes: Sequence[int] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = [line.strip() for line in examples.strip().splitlines()]
        self.exit_codes = sorted({*ALWAYS, *exit_codes})

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then those that all commands have."""
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record:
                (shared if isinstance(param, SharedOption) else own).append(record)
        for title, records in (("Options", own), ("Options of every command", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and exit codes."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), EXIT_CODES[code]) for code in self.exit_codes])


def shared_options(function: _Function) -> _Function:
    """Add the options that the tool and each of its commands take."""
    # Reversed, because click collects decorators from the inside out.
    for names, attributes in reversed(
        (
            (("-s", "--store"), {"metavar": "URL", "help": "The store: a URL, folder or name."}),
            (("--json",), {"is_flag": True, "help": "Print one JSON document."}),
            (("-q", "--quiet"), {"is_flag": True, "help": "Print only the answer."}),
            (("-y", "--yes"), {"is_flag": True, "help": "Answer yes to every question."}),
            (
                ("--color",),
                {"type": click.Choice(list(COLOR_CHOICES)), "help": "When to use colours."},
            ),
            (("--no-color",), {"is_flag": True, "help": "No colours; NO_COLOR does the same."}),
            (("--no-truncate",), {"is_flag": True, "help": "Do not cut what is too wide."}),
            (("--stats",), {"is_flag": True, "help": "Say what was asked of the storage."}),
            (("--debug",), {"is_flag": True, "help": "Show tracebacks of errors."}),
        )
    ):
        function = click.option(*names, cls=SharedOption, **attributes)(function)
    return function


def take_flags(arguments: dict[str, Any]) -> Flags:
    """Remove the shared options from a command's arguments and return them."""
    return Flags(
        store=arguments.pop("store"),
        json=arguments.pop("json"),
        quiet=arguments.pop("quiet"),
        yes=arguments.pop("yes"),
        color=_take_color(arguments),
        no_truncate=arguments.pop("no_truncate"),
        debug=arguments.pop("debug"),
        stats=arguments.pop("stats"),
    )


def _take_color(arguments: dict[str, Any]) -> str | None:
    color: str | None = arguments.pop("color")
    return "never" if arguments.pop("no_color") else color


def verb(
    name: str, *, examples: str, exit_codes: Sequence[int] = WITH_STORE
) -> Callable[[_Function], Verb]:
    """Make a function the command `name`.

    The function is called with an `Invocation` and its own arguments, and returns an exit code or
    None for 0. Its docstring is the command's help.
    """

    def declare(function: _Function) -> Verb:
        @wraps(function)
        def run(**arguments: Any) -> Any:
            context = click.get_current_context()
            flags = take_flags(arguments).over(context.obj or Flags())
            invocation = Invocation(flags, environ=os.environ, cwd=Path.cwd())
            try:
                return function(invocation, **arguments)
            finally:
                invocation.show_stats()

        made = click.command(name, cls=Verb, examples=examples, exit_codes=exit_codes)
        return made(shared_options(run))

    return declare
