"""An S3 server for a benchmark: started anew, empty, behind a relay that counts, or without one."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from traffic import Request, Traffic

BUCKET = "bench"
RELAY = Path(__file__).with_name("relay.py")
# It holds everything in memory, and takes any credentials.
DEFAULT_SERVER = "env BIND_HOST=127.0.0.1 GATEWAY_PORT={port} ministack"


@dataclass(frozen=True, slots=True)
class Network:
    """Where server and clients are: the words that start a program there, and their line."""

    name: str
    round_trip_seconds: float
    server_host: str
    server_words: Sequence[str]
    client_words: Sequence[str]


def network_of(name: str, environ: Mapping[str, str]) -> Network:
    """Return the network `name`: `none`, or RTT:MBIT[:LOSS] of which `environ` tells."""
    if name == "none":
        return Network(name, 0.0, "127.0.0.1", (), ())
    return Network(
        name,
        float(name.partition(":")[0]) / 1000,
        environ["SRV_IP"],
        environ["SRV"].split(),
        environ["CLI"].split(),
    )


class S3Server:
    """A server that runs, with an empty bucket, at `url`."""

    def __init__(self, url: str, relay: subprocess.Popen[str]) -> None:
        self.url = url
        self._relay = relay

    def take_traffic(self) -> Traffic:
        """Return what went by since the last call."""
        assert self._relay.stdin is not None
        self._relay.stdin.write("\n")
        self._relay.stdin.flush()
        taken = json.loads(_line_from(self._relay))
        requests = [Request(**request) for request in taken["requests"]]
        return Traffic(taken["sent"], taken["received"], requests)

    def environ(self, home: Path) -> dict[str, str]:
        """Return the variables with which clients find it, and keep their own state in `home`."""
        dropped = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "CAS_STORE")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return kept | {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "CAS_HOME": str(home / "cas"),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def s3_server(
    command: str, network: Network, log: Path, *, counted: bool = True
) -> Iterator[S3Server]:
    """Start a server and the relay in front of it; stop both at the end.

    `command` has `{port}` where the port goes; it must serve on 127.0.0.1. Unless requests are to
    be counted, the URL is the server's own.
    """
    port, front = _free_ports(2)
    host = network.server_host
    relay_words = [
        sys.executable,
        RELAY,
        *("--listen", f"{host}:{front}", "--port", str(port), "--bucket", BUCKET),
    ]
    server_words = shlex.split(command.format(port=port))
    with ExitStack() as stack, log.open("w") as output:
        stack.enter_context(_started([*network.server_words, *server_words], output))
        relay = stack.enter_context(_started([*network.server_words, *relay_words], output))
        _line_from(relay)
        yield S3Server(f"http://{host}:{front if counted else port}", relay)


@contextmanager
def _started(words: Sequence[str | Path], output: IO[str]) -> Iterator[subprocess.Popen[str]]:
    # A session of its own: whatever it started ends with it.
    running = subprocess.Popen(
        [str(word) for word in words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if RELAY in words else output,
        stderr=output,
        text=True,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()


def _line_from(relay: subprocess.Popen[str]) -> str:
    assert relay.stdout is not None
    line = relay.stdout.readline()
    if not line:
        raise SystemExit("the server or its relay ended; see its log")
    return line


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]
