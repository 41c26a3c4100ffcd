"""Write specs/cli.md: the help of every command, after the part that is written by hand.

`tools/docs/cli.py` writes the page; `--check` only tells whether it is up to date.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cas.cli.main import COMMANDS, tool

PAGE = Path(__file__).parents[2] / "specs" / "cli.md"
MARK = "<!-- Below this line the page is written by tools/docs/cli.py. -->\n"


def main() -> None:
    """Write the page, or compare it."""
    text = PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + commands()
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE.name} is out of date: run tools/docs/cli.py")
        return
    PAGE.write_text(text, encoding="utf-8")


def commands() -> str:
    """Return the help of every command, each under a heading."""
    os.environ["COLUMNS"] = "80"
    parts = []
    with click.Context(tool, info_name="cas") as parent:
        for name in sorted(COMMANDS):
            command = tool.get_command(parent, name)
            if command is None:
                sys.exit(f"{name} is listed but cannot be loaded")
            with click.Context(command, info_name=name, parent=parent) as context:
                help_text = command.get_help(context)
            parts.append(f"\n## cas {name}\n\n```text\n{help_text.rstrip()}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    main()
