"""Commands whose streams are a terminal."""

from __future__ import annotations

import os
import pty
import subprocess

from cas_tool import COMMAND, Tool, Word


def run_on_terminal(
    tool: Tool, *words: Word, replies: bytes = b"", **environ: str
) -> tuple[int, str]:
    """Run a command whose three streams are a terminal, and return its exit code and output.

    `replies` is what the terminal answers, as if it were typed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(COMMAND), *map(os.fspath, words)],
        cwd=tool.cwd,
        env={**tool.environ, "TERM": "xterm", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    if replies:
        os.write(ours, replies)
    output = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not piece:
            break
        output += piece
    os.close(ours)
    return process.wait(timeout=60), output.decode()
