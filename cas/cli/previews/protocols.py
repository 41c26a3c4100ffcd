"""Which way of drawing pictures a terminal knows."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Mapping
from enum import Enum

# A terminal that is near answers in a few milliseconds, one behind a slow line maybe not at all.
ANSWER_SECONDS = 0.2
# "What are you?" Every terminal answers; 4 among the numbers is sixel.
_QUESTION = "\x1b[c"
_ANSWER = re.compile(rb"\x1b\[\?([0-9;]*)c")
_KITTY_PROGRAMS = {"ghostty", "WezTerm"}
_ITERM_PROGRAMS = {"iTerm.app", "vscode", "mintty", "rio"}


class Protocol(Enum):
    """A way of drawing: three that send pixels, and one of coloured characters."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"
    BLOCKS = "blocks"
    NONE = "none"


def find_protocol(environ: Mapping[str, str], *, colors: bool) -> Protocol:
    """Return the best way that the terminal is known to understand.

    Inside of tmux and screen the variables speak of the terminal around them, which does not see what
    is printed here, so there it is sixel, if tmux says so, or characters.
    """
    multiplexed = "TMUX" in environ or environ.get("TERM", "").startswith(("screen", "tmux"))
    if not multiplexed:
        program, term = environ.get("TERM_PROGRAM", ""), environ.get("TERM", "")
        if (
            "KITTY_WINDOW_ID" in environ
            or "kitty" in term
            or "ghostty" in term
            or "KONSOLE_VERSION" in environ
            or program in _KITTY_PROGRAMS
        ):
            return Protocol.KITTY
        if program in _ITERM_PROGRAMS or environ.get("LC_TERMINAL") == "iTerm2":
            return Protocol.ITERM
    if environ.get("TERM") == "dumb":
        return Protocol.NONE
    if is_sixel_answer(ask_terminal()):
        return Protocol.SIXEL
    return Protocol.BLOCKS if colors else Protocol.NONE


def is_sixel_answer(answer: bytes) -> bool:
    """Tell whether a terminal says that it draws sixels."""
    match = _ANSWER.search(answer)
    return match is not None and b"4" in match.group(1).split(b";")[1:]


def ask_terminal() -> bytes:
    """Return what the terminal says it is; nothing if it does not answer soon, or is none."""
    try:
        import termios  # neither is there on Windows
        import tty
    except ImportError:
        return b""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return b""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    answer = b""
    try:
        # Without this the answer would be shown, and would wait for a line's end.
        tty.setcbreak(stdin, termios.TCSANOW)
        sys.stdout.write(_QUESTION)
        sys.stdout.flush()
        while _ANSWER.search(answer) is None and len(answer) < 256:
            if not select.select([stdin], [], [], ANSWER_SECONDS)[0]:
                break
            answer += os.read(stdin, 64)
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)
    return answer
