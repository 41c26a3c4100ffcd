"""Starting a server's program on free ports of loopback, waiting until it answers, ending it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

START_SECONDS = 60.0


def free_ports(count: int, *, above: int = 0) -> list[int]:
    """Return ports of loopback that nobody listens on, nor, if asked for, so far above them."""
    with ExitStack() as open_ones:
        found: list[int] = []
        while len(found) < count:
            first, second = (open_ones.enter_context(socket.socket()) for _ in range(2))
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with suppress(OSError, OverflowError):  # taken, or no port: try the next
                second.bind(("127.0.0.1", port + above if above else 0))
                found.append(port)
        return found


def find_program(name: str, *, install: str) -> str:
    """Return where a program is: beside this interpreter or on the PATH; else skip the test."""
    beside = f"{sys.prefix}/node_modules/.bin{os.pathsep}{Path(sys.executable).parent}"
    found = shutil.which(name, path=beside) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {install}")
    return found


def install_from_npm(package: str) -> str:
    """Return how to install what is in no wheel, where `find_program` looks for it."""
    return f"npm install --prefix SYS.PREFIX {package}; tools/check --all does it"


@contextmanager
def running(
    command: Sequence[str | Path], port: int, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server until the block ends; the block begins when it listens on `port`."""
    # A node that pip installed stands beside the interpreter, and programs look for it on the PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*map(str, command)],
            env={**os.environ, "PATH": path, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as server,
    ):
        try:
            _wait_until_it_listens(server, port, log)
            yield
        finally:
            server.kill()  # a graceful end takes weed 12 s, and nothing is kept


def _wait_until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{server.args!r} does not listen on {port}:\n{said}") from None
            time.sleep(0.02)  # there is nothing to wait on until it listens
        else:
            return
