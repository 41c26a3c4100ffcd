"""`cas completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click

from cas.cli.invocation import Invocation
from cas.cli.verb import verb

EXAMPLES = """
eval "$(cas completion bash)"
cas completion zsh > ~/.zfunc/_cas
cas completion fish > ~/.config/fish/completions/cas.fish
"""


@verb("completion", examples=EXAMPLES, exit_codes=())
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(cli: Invocation, shell: str) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class  # only this command needs it

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    cli.console.answer(kind(root, {}, "cas", "_CAS_COMPLETE").source())
