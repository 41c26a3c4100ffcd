"""The only place that writes to standard output and error: text, JSON, colours, questions."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any, TextIO

import click

from cas.cli.text import escape, format_table
from cas.errors import ErrorCode, RefusedError

# What --color takes: None goes by the terminal and the environment.
COLOR_CHOICES = {"auto": None, "always": True, "never": False}
_FORCING = ("FORCE_COLOR", "CLICOLOR_FORCE")


class Console:
    """Where a command answers: results to standard output, everything else to standard error.

    Args:
        as_json: facts are printed as one JSON document instead of text.
        quiet: only the answer itself is printed: no summaries, notes and progress.
        color: None decides by the terminal and the environment, see `colors`.
        truncate: whether tables are cut to fit a terminal.

    Attributes:
        environ: the environment, of which terminals say what they can.
        write_note: writes notes while lines on standard error are drawn over; None otherwise.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        color: bool | None = None,
        truncate: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._color = color
        self._truncate = truncate
        self.environ = environ or {}
        self.write_note: Callable[[str], object] | None = None

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def live(self) -> bool:
        """Whether lines on standard error can be drawn over."""
        return sys.stderr.isatty() and self.environ.get("TERM") != "dumb"

    def colors(self, stream: TextIO) -> bool:
        """Tell whether `stream` gets colours.

        By `--color`; else not with `NO_COLOR`; else always with `FORCE_COLOR` or `CLICOLOR_FORCE`;
        else on a terminal that is not dumb, unless `CLICOLOR=0`.
        """
        if self._color is not None:
            return self._color
        environ = self.environ
        if environ.get("NO_COLOR"):
            return False
        if any(environ.get(name, "0") not in ("", "0") for name in _FORCING):
            return True
        plain = environ.get("TERM") == "dumb" or environ.get("CLICOLOR") == "0"
        return stream.isatty() and not plain

    @property
    def shows_people(self) -> bool:
        """Whether the answer goes to a terminal."""
        return sys.stdout.isatty()

    @property
    def columns(self) -> int | None:
        """How wide an answer may be; None: as wide as it is."""
        if not (self._truncate and self.shows_people):
            return None
        return shutil.get_terminal_size().columns

    @property
    def paints(self) -> bool:
        """Whether the answer gets colours."""
        return self.colors(sys.stdout)

    def can_show(self, text: str) -> bool:
        """Tell whether the encoding of standard output has the characters of `text`."""
        try:
            text.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def paint(self, text: str, **style: Any) -> str:
        """Return a part of the answer in a style of `click.style`, if it gets colours."""
        return self._style(sys.stdout, text, **style)

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: frozenset[int] = frozenset(),
    ) -> None:
        """Print rows under headings, which are left out when quiet; escaped, fit to a terminal."""
        lines = format_table(headings, rows, right=right, width=self.columns)
        self.heading(lines[0])
        for line in lines[1:]:
            self.answer(line)

    def answer(self, text: str) -> None:
        """Print a line of the answer; what it holds is escaped already."""
        sys.stdout.write(text + "\n")

    def heading(self, text: str) -> None:
        """Print a line above the answer's rows; left out when quiet."""
        if not self.quiet:
            self.answer(self._style(sys.stdout, text, bold=True))

    def detail(self, text: str) -> None:
        """Print a line of the answer that a script does not want; left out when quiet."""
        if not self.quiet:
            self.answer(text)

    def document(self, value: Mapping[str, Any]) -> None:
        """Print the answer as one JSON document."""
        sys.stdout.write(json.dumps(to_json(value), indent=2) + "\n")

    def names(self, paths: Iterable[str], *, end: bytes) -> None:
        """Print paths exactly as they are stored, each followed by `end`."""
        for path in paths:
            self.content(path.encode("utf-8", "surrogateescape") + end)

    def content(self, content: bytes) -> None:
        """Write bytes of a file to standard output."""
        sys.stdout.flush()
        sys.stdout.buffer.write(content)

    def note(self, text: str) -> None:
        """Tell something that is not the answer."""
        if not self.quiet:
            write = self.write_note or sys.stderr.write
            write(text + "\n")

    def statistics(self, text: str) -> None:
        """Tell what was asked for with `--stats`, even when quiet."""
        sys.stderr.write(text + "\n")

    def warning(self, text: str) -> None:
        """Tell something that the user should look at, even when quiet."""
        sys.stderr.write(f"{self._style(sys.stderr, 'warning:', fg='yellow')} {text}\n")

    def failure(self, message: str, *, hint: str | None, problems: Iterable[str] = ()) -> None:
        """Tell why the command failed, and what helps."""
        for problem in problems:
            self.warning(escape(problem))
        label = self._style(sys.stderr, "error:", fg="red", bold=True)
        sys.stderr.write(f"{label} {escape(message)}\n")
        if hint:
            sys.stderr.write(f"{self._style(sys.stderr, 'hint:', fg='cyan')} {escape(hint)}\n")

    def traceback(self, lines: Iterable[str]) -> None:
        """Print a traceback, for `--debug`."""
        for line in "".join(lines).splitlines():
            sys.stderr.write(escape(line) + "\n")

    def require_yes(self, question: str, *, assume_yes: bool) -> bool:
        """Ask, and return only if the answer is yes; tell whether somebody was asked.

        Raises:
            RefusedError: the answer is no, or nobody can be asked.
        """
        if assume_yes:
            return False
        if not self.interactive:
            raise RefusedError(
                f"{question} This needs a yes, and there is no terminal to ask on",
                code=ErrorCode.BRAKE,
                hint="look at what it says, then add -y",
            )
        sys.stderr.write(f"{question} [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise RefusedError("not confirmed: nothing was changed", code=ErrorCode.BRAKE)
        return True

    def _style(self, stream: TextIO, text: str, **style: Any) -> str:
        return click.style(text, **style) if self.colors(stream) else text


def color_asked_for(words: Sequence[str]) -> bool | None:
    """Return what the last option about colours among these words says, for whoever cannot wait
    until they are parsed.
    """
    asked: bool | None = None
    for number, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--no-color":
            return False
        if name == "--color":
            asked = COLOR_CHOICES.get(value or "".join(words[number + 1 : number + 2]))
    return asked


def prepare_streams() -> None:
    """Make standard output and error take any text, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_stdout() -> None:
    """Point standard output to nowhere, so that flushing it at exit cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def to_json(value: object) -> Any:
    """Return `value` as JSON has it.

    Dataclasses become objects; ids become hexadecimal digits; a time `created_ns` in nanoseconds
    becomes `created` in ISO 8601, UTC; kinds become their names in lower case.
    """
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    from cas.model.ids import Digest, SessionId  # 5 ms that --help need not spend

    if isinstance(value, Digest | SessionId):
        return value.hex
    if is_dataclass(value) and not isinstance(value, type):
        return dict(_member(item.name, getattr(value, item.name)) for item in fields(value))
    if isinstance(value, Mapping):
        return {str(name): to_json(member) for name, member in value.items()}
    return [to_json(member) for member in value]  # type: ignore[attr-defined]  # any sequence


def _member(name: str, value: object) -> tuple[str, Any]:
    if name.endswith("_ns") and isinstance(value, int | None):
        return name.removesuffix("_ns"), None if value is None else iso_time(value)
    return name, to_json(value)


def iso_time(time_ns: int) -> str:
    """Return a time in ISO 8601, UTC, to the microsecond."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"
