"""A server that speaks SFTP: asyncssh's, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.launch import free_ports, running
from servers.place import Place, fresh_name

INSTALL = "pip install 'cas-store[servers]'"
USER, PASSWORD = "tester", "testtest"
PROGRAM = Path(__file__).with_name("serve_sftp.py")


@dataclass(frozen=True, slots=True)
class SftpServer:
    """A server that speaks SFTP, and a folder that it can reach."""

    port: int
    folder: Path

    def new_place(self) -> Place:
        """Make a folder and return it."""
        root = self.folder / fresh_name()
        root.mkdir()
        options = {
            "port": self.port,
            "username": USER,
            "password": PASSWORD,
            "look_for_keys": False,
            "allow_agent": False,
        }
        return Place(f"sftp://127.0.0.1{root.as_posix()}", options)


@contextmanager
def sftp(folder: Path) -> Iterator[SftpServer]:
    """Serve the file system of this machine to one user."""
    for driver in ("paramiko", "asyncssh"):
        pytest.importorskip(driver, reason=f"{driver} is not installed: {INSTALL}")
    (port,) = free_ports(1)
    with running([sys.executable, PROGRAM, str(port), USER, PASSWORD], port, folder / "sftp.log"):
        yield SftpServer(port, folder)
