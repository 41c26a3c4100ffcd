"""The installed `cas` command, run as a user runs it: in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cas_tool import Tool, make_tool


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
    return make_tool(tmp_path)


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
    tool = make_tool(tmp_path_factory.mktemp("module"))
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
