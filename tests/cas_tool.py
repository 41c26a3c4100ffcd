"""The `cas` command, run as a user runs it, in a process of its own; or in that of the tests."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("cas")
SECONDS = 120.0

Word = str | os.PathLike[str]


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Tool:
    """Runs `cas` in a folder, with a store and local files of the test's own."""

    cwd: Path
    environ: dict[str, str]

    def __call__(self, *words: Word, code: int = 0, stdin: bytes = b"", **environ: str) -> Finished:
        """Run a command, check its exit code, and return what it printed."""
        finished = self.run(words, stdin, environ)
        shown = f"exit {finished.code}\n{finished.out}\n{finished.err}"
        assert finished.code == code, shown
        return finished

    def json(self, *words: Word, code: int = 0, **environ: str) -> Any:
        """Run a command with --json, and return the one document that it printed."""
        return json.loads(self(*words, "--json", code=code, **environ).out)

    def run(self, words: Sequence[Word], stdin: bytes, environ: Mapping[str, str]) -> Finished:
        """Run a command and return how it ended."""
        finished = subprocess.run(
            [str(COMMAND), *map(os.fspath, words)],
            cwd=self.cwd,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
        )
        return Finished(finished.returncode, _text(finished.stdout), _text(finished.stderr))

    def start(self, *words: Word, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [str(COMMAND), *map(os.fspath, words)], cwd=self.cwd, env=self.environ, **streams
        )

    def together(self, *commands: Sequence[Word]) -> list[str]:
        """Run commands at the same time; return the lines that they printed, sorted."""
        started = [self.start(*words, stdout=subprocess.PIPE) for words in commands]
        outputs = [process.communicate(timeout=SECONDS)[0] for process in started]
        assert [process.returncode for process in started] == [0] * len(commands)
        return sorted(line for output in outputs for line in _text(output).splitlines())

    def interrupt(self, *words: Word, pieces: Iterator[bytes], when: Callable[[], bool]) -> int:
        """Run a command that reads `pieces`, press Ctrl-C when it is time; return the exit code.

        A piece is given after the other, the last ones after Ctrl-C.
        """
        with self.start(*words, stdin=-1, stdout=-3, stderr=-3) as process:
            assert process.stdin is not None
            is_time = False
            try:
                for piece in pieces:
                    if not is_time and (is_time := when()):
                        process.send_signal(signal.SIGINT)
                    process.stdin.write(piece)
            except BrokenPipeError:
                pass
            process.communicate(timeout=SECONDS)
        assert is_time
        return process.returncode

    def without_store(self) -> Tool:
        """Return a tool in whose environment no store is named."""
        environ = {name: value for name, value in self.environ.items() if name != "CAS_STORE"}
        return Tool(self.cwd, environ)


class QuickTool(Tool):
    """Runs `cas` in this process, a second sooner: no interpreter and no driver to load.

    For the main thread alone. Commands that run together or are interrupted have processes.
    """

    def run(self, words: Sequence[Word], stdin: bytes, environ: Mapping[str, str]) -> Finished:
        """Run a command and return how it ended."""
        with self._streams(io.BytesIO(stdin), environ) as (out, err):
            code = self._main(words)
        return Finished(code, _text(out.getvalue()), _text(err.getvalue()))

    def _main(self, words: Sequence[Word]) -> int:
        from cas.cli.main import main  # only this kind of tool runs in the tests' process

        return main([*map(os.fspath, words)])

    @contextmanager
    def _streams(
        self, stdin: Any, environ: Mapping[str, str]
    ) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
        """Put folder, environment and standard streams in place of the process's."""
        out, err = io.BytesIO(), io.BytesIO()
        before = Path.cwd(), dict(os.environ), (sys.stdin, sys.stdout, sys.stderr)
        os.chdir(self.cwd)
        os.environ.update({**self.environ, **environ})
        wrappers = [io.TextIOWrapper(stream, "utf-8", "surrogateescape") for stream in (out, err)]
        sys.stdin = io.TextIOWrapper(stdin)
        sys.stdout, sys.stderr = wrappers
        try:
            yield out, err
            for wrapper in wrappers:
                wrapper.flush()
        finally:
            folder, variables, (sys.stdin, sys.stdout, sys.stderr) = before
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(variables)
            for wrapper in wrappers:
                wrapper.detach()


class MemoryTool(QuickTool):
    """Runs everything in this process, where a `memory://` store lives."""

    def together(self, *commands: Sequence[Word]) -> list[str]:
        """Run commands at the same time; return the lines that they printed, sorted."""
        codes: list[int] = []
        with self._streams(io.BytesIO(), {}) as (out, _):
            threads = [
                threading.Thread(target=lambda words=words: codes.append(self._main(words)))
                for words in commands
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(SECONDS)
        assert codes == [0] * len(commands)
        return sorted(_text(out.getvalue()).splitlines())

    def interrupt(self, *words: Word, pieces: Iterator[bytes], when: Callable[[], bool]) -> int:
        """Run a command that reads `pieces`, press Ctrl-C when it is time; return the exit code."""
        stream = _InterruptingStream(pieces, when)
        with self._streams(stream, {}):
            code = self._main(words)
        assert stream.is_time
        return code


class _InterruptingStream(io.RawIOBase):
    """A standard input during which Ctrl-C is pressed."""

    def __init__(self, pieces: Iterator[bytes], when: Callable[[], bool]) -> None:
        super().__init__()
        self._pieces = pieces
        self._when = when
        self._rest = b""
        self.is_time = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._pieces, b"")
            if not self.is_time and (is_time := self._when()):
                self.is_time = is_time
                signal.raise_signal(signal.SIGINT)
        taken = min(len(buffer), len(self._rest))
        buffer[:taken], self._rest = self._rest[:taken], self._rest[taken:]
        return taken


def make_tool(folder: Path, kind: type[Tool] = Tool) -> Tool:
    """Return a tool with folders of its own; the store that its environment names is not made."""
    (folder / "work").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "CAS_HOME": str(folder / "home" / "cas"),
        "CAS_STORE": str(folder / "store"),
        "LANG": "C.UTF-8",
    }
    return kind(folder / "work", environ)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
