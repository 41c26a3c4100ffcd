from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from cas.cli.failures import EXIT_CODES
from cas.cli.main import COMMANDS, SYNONYMS, _report, main, tool
from cas.cli.verb import Verb

LAZY = ("numpy", "fsspec", "rich", "blake3", "zstandard", "msgpack", "sqlite3", "platformdirs")


def test_help_imports_nothing_heavy():
    """`cas --help` must be there at once, so it loads no library that only commands need."""
    program = (
        "import sys; from cas.cli.main import main; assert main(['--help']) == 0;"
        f"sys.exit(' '.join(name for name in {LAZY!r} if name in sys.modules) or None)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_ends_with_examples_and_exit_codes(name, capsys):
    """Examples can be pasted: each begins with cas, or pipes into it."""
    command = tool.get_command(click.Context(tool), name)

    assert isinstance(command, Verb)
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {example}\n" in shown for example in command.examples)
    assert all("cas " in example for example in command.examples)
    assert len(command.examples) >= 2
    assert "\nExit codes:\n  0 " in shown
    assert set(command.exit_codes) <= set(EXIT_CODES)


@pytest.mark.parametrize(("synonym", "name"), SYNONYMS.items())
def test_names_from_other_tools_work(synonym, name):
    """`cas upload` is `cas put`, and so on."""
    context = click.Context(tool)

    assert tool.get_command(context, synonym) is tool.get_command(context, name)


def test_a_misspelt_command_names_the_near_one(capsys):
    """A typing error gets one line that helps, and the exit code of wrong arguments."""
    assert main(["pt", "x", "y"]) == 2
    assert "there is no command 'pt'; did you mean put" in capsys.readouterr().err


def test_a_wrong_option_points_to_the_help_of_its_command(capsys):
    """The hint is a command that can be pasted."""
    assert main(["put", "--frce", "a", "b"]) == 2
    captured = capsys.readouterr()
    assert captured.err.endswith("hint: cas put --help\n")
    assert captured.out == ""


def test_an_error_is_a_document_when_json_was_asked_for(capsys):
    """With --json standard output holds one document, whatever happens."""
    assert main(["put", "--json", "only-one-word"]) == 2
    captured = capsys.readouterr()

    assert json.loads(captured.out) == {
        "error": {
            "code": "invalid-option",
            "message": "no artifact is named to put 'only-one-word' into",
            "hint": "cas put only-one-word NAME",
            "problems": [],
        }
    }
    assert captured.err.startswith("error: no artifact is named")


def test_without_arguments_it_shows_the_help(capsys):
    """`cas` alone tells what there is."""
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: cas ")


def test_debug_adds_the_traceback(capsys):
    """--debug shows where an error came from."""
    assert main(["--debug", "put", "x"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--debug"], ["--json"]])
def test_credentials_in_a_drivers_exception_are_not_printed(flags, capsys, monkeypatch):
    """Signed URLs, headers, and what the environment holds, in messages and in tracebacks."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "marker-of-the-environment")
    error = RuntimeError("request failed: marker-of-the-environment")
    error.__cause__ = ValueError(
        "GET https://h/b/k?X-Amz-Signature=marker-of-a-url, "
        "headers {'Authorization': 'Bearer marker-of-a-header'}"
    )

    code = _report(error, flags)

    printed = "".join(capsys.readouterr())
    assert code == 1
    assert "marker" not in printed
    assert ("GET https://h/b/k" in printed) == (flags == ["--debug"])
