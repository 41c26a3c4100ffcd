"""The installed `cas` command, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("cas")


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

    def __call__(
        self, *words: str | Path, code: int = 0, stdin: bytes = b"", **environ: str
    ) -> Finished:
        """Run a command, check its exit code, and return what it printed."""
        finished = subprocess.run(
            [str(COMMAND), *map(os.fspath, words)],
            cwd=self.cwd,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        out = finished.stdout.decode("utf-8", "surrogateescape")
        err = finished.stderr.decode("utf-8", "surrogateescape")
        assert finished.returncode == code, f"exit {finished.returncode}\n{out}\n{err}"
        return Finished(finished.returncode, out, err)

    def json(self, *words: str | Path, code: int = 0, **environ: str) -> Any:
        """Run a command with --json, and return the one document that it printed."""
        return json.loads(self(*words, "--json", code=code, **environ).out)

    def start(self, *words: str | Path, **streams: Any) -> subprocess.Popen[bytes]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [str(COMMAND), *map(os.fspath, words)], cwd=self.cwd, env=self.environ, **streams
        )

    def without_store(self) -> Tool:
        """Return a tool in whose environment no store is named."""
        environ = {name: value for name, value in self.environ.items() if name != "CAS_STORE"}
        return Tool(self.cwd, environ)


def _make_tool(folder: Path) -> Tool:
    (folder / "work").mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "CAS_HOME": str(folder / "home" / "cas"),
        "CAS_STORE": str(folder / "store"),
        "LANG": "C.UTF-8",
    }
    return Tool(folder / "work", environ)


def _make_files(folder: Path) -> Path:
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.txt").write_text("alpha\n" * 1000)
    (folder / "train" / "b.txt").write_text("beta\n" * 1000)
    (folder / "readme.md").write_text("about\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("readme.md")
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> Tool:
    """The tool in an empty folder; the store that the environment names does not exist."""
    return _make_tool(tmp_path)


@pytest.fixture
def cas(bare: Tool) -> Tool:
    """The tool and an empty store."""
    bare("init")
    return bare


@pytest.fixture
def data(cas: Tool) -> Path:
    """A small folder in the working folder, called data."""
    return _make_files(cas.cwd / "data")


@pytest.fixture(scope="module")
def own_tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """The tool and an empty store, one for all tests of a module."""
    tool = _make_tool(tmp_path_factory.mktemp("module"))
    tool("init")
    return tool


@pytest.fixture(scope="module")
def own_files(own_tool: Tool) -> Path:
    """The same small folder, one for all tests of a module."""
    return _make_files(own_tool.cwd / "data")


@pytest.fixture
def tree() -> Callable[[Path], dict[str, object]]:
    """A function that reads a whole folder, for comparing two."""
    return _read_tree


def _read_tree(folder: Path) -> dict[str, object]:
    """Return everything below a folder: contents, link targets, executable bits, empty folders."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))  # noqa: PTH115 the text as it stands
        elif path.is_file():
            found[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        elif not any(path.iterdir()):
            found[name] = "empty folder"
    return found
