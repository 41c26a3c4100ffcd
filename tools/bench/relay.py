"""A relay in front of an S3 server that tells which requests went through it, and how many bytes.

It speaks with whoever started it over its standard input and output: a line comes when the bucket is
there; then, for each line that is sent, one line of JSON with what went by since the last.
It adds no delay, and little CPU: only heads of requests are read, all else is moved by the kernel
from one socket to the other.
"""

from __future__ import annotations

import argparse
import fcntl
import http.client
import json
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

HEAD_BYTES = 1 << 16
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031
QUIET_SECONDS = 2.0  # for how long connections of a client that has ended are waited for
START_SECONDS = 60.0


@dataclass(slots=True)
class Exchange:
    """A request under way, and what is known of its answer."""

    method: str
    target: str
    start: float
    stop: float
    sent: int = 0
    received: int = 0
    status: int = 0


@dataclass(slots=True)
class Tally:
    """What went by since it was last asked for."""

    sent: int = 0
    received: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def take(self) -> dict[str, Any]:
        """Return everything, times from the last call on, and start anew."""
        taken = {
            "sent": self.sent,
            "received": self.received,
            "requests": [
                {
                    "method": exchange.method,
                    "target": exchange.target,
                    "start": exchange.start - self.started,
                    "stop": exchange.stop - self.started,
                    "sent": exchange.sent,
                    "received": exchange.received,
                    "status": exchange.status,
                }
                for exchange in self.exchanges
            ],
        }
        self.sent = self.received = 0
        self.exchanges = []
        self.started = time.monotonic()
        return taken


class Pipe:
    """Moves bytes between sockets inside the kernel."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        with suppress(OSError):  # the kernel's limit for users without rights is lower
            fcntl.fcntl(self._writer, F_SETPIPE_SZ, PIPE_BYTES)

    def move(self, source: socket.socket, target: socket.socket, most: int = PIPE_BYTES) -> int:
        """Move what is there, at most `most` bytes; 0 means that the source has ended."""
        moved = left = os.splice(source.fileno(), self._writer, most)
        while left:
            left -= os.splice(self._reader, target.fileno(), left)
        return moved

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reader)
        os.close(self._writer)


class Connection:
    """One connection of a client, and the one to the server that stands for it."""

    def __init__(self, client: socket.socket, server: socket.socket, tally: Tally) -> None:
        self._client = client
        self._server = server
        self._tally = tally
        self._unsent = b""
        self._exchange: Exchange | None = None

    def serve(self) -> None:
        """Relay until both have closed."""
        answers = threading.Thread(target=self._relay_answers, daemon=True)
        answers.start()
        pipe = Pipe()
        with suppress(OSError):
            while self._relay_request(pipe):
                pass
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)
        answers.join()
        pipe.close()
        self._client.close()
        self._server.close()

    def _relay_request(self, pipe: Pipe) -> bool:
        head = self._take_until(b"\r\n\r\n")
        if not head:
            return False
        now = time.monotonic()
        first, _, rest = head.partition(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        self._exchange = Exchange(method, target, now, now)
        self._tally.exchanges.append(self._exchange)
        self._send(head)
        length = 0
        for name, _, value in (line.partition(b":") for line in rest.split(b"\r\n")):
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"transfer-encoding" and b"chunked" in value.lower():
                self._relay_chunks(pipe)
                return True
        self._relay_body(pipe, length)
        return True

    def _relay_chunks(self, pipe: Pipe) -> None:
        while True:
            line = self._take_until(b"\r\n")
            self._send(line)
            size = int(line.partition(b";")[0] or b"0", 16)
            if not size:
                break
            self._relay_body(pipe, size + len(b"\r\n"))
        while (line := self._take_until(b"\r\n")) not in (b"\r\n", b""):
            self._send(line)
        self._send(line)

    def _take_until(self, mark: bytes) -> bytes:
        while mark not in self._unsent:
            more = self._client.recv(HEAD_BYTES)
            if not more:
                return b""
            self._unsent += more
        taken, _, self._unsent = self._unsent.partition(mark)
        return taken + mark

    def _send(self, content: bytes) -> None:
        self._server.sendall(content)
        self._tally.sent += len(content)

    def _relay_body(self, pipe: Pipe, length: int) -> None:
        exchange = self._exchange
        assert exchange is not None
        exchange.sent += length
        ahead, self._unsent = self._unsent[:length], self._unsent[length:]
        self._send(ahead)
        length -= len(ahead)
        while length:
            moved = pipe.move(self._client, self._server, min(length, PIPE_BYTES))
            if not moved:
                raise ConnectionResetError
            self._tally.sent += moved
            length -= moved

    def _relay_answers(self) -> None:
        pipe = Pipe()
        with suppress(OSError):
            while True:
                self._note_status()
                moved = pipe.move(self._server, self._client)
                if not moved:
                    break
                self._tally.received += moved
                if self._exchange is not None:
                    self._exchange.stop = time.monotonic()
                    self._exchange.received += moved
        pipe.close()
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _note_status(self) -> None:
        """Read the status of an answer that begins here, and leave it where it is."""
        start = self._server.recv(12, socket.MSG_PEEK)
        exchange = self._exchange
        if exchange is not None and exchange.status < 200 and start.startswith(b"HTTP/1."):
            exchange.status = int(start[9:12] or b"0")


def relay(listener: socket.socket, port: int, tally: Tally) -> None:
    """Take connections for ever, and pass each on to `port` on this machine."""
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", port))
        except OSError:
            client.close()
            continue
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client, server, tally)
        threading.Thread(target=connection.serve, daemon=True).start()


def make_bucket(port: int, name: str) -> None:
    """Make a bucket on the server as soon as it answers. It must not look at credentials."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            status = request(port, "PUT", f"/{name}")
        except OSError:
            status = 0
        if 200 <= status < 300:
            return
        if time.monotonic() > end:
            raise SystemExit(f"the server makes no bucket: status {status}")
        time.sleep(0.05)


def warm_up(port: int, bucket: str) -> None:
    """Ask for each kind of thing once: a server may load code for the first, for up to a second."""
    for method, target in (
        ("PUT", "warm"),
        ("HEAD", "warm"),
        ("GET", "warm"),
        ("GET", "?list-type=2"),
        ("DELETE", "warm"),
    ):
        request(port, method, f"/{bucket}/{target}")


def request(port: int, method: str, target: str) -> int:
    """Make an unsigned request to the server, and return the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, target)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def wait_for_quiet() -> None:
    """Wait until every connection is closed, or for a while: the last bytes are on their way."""
    end = time.monotonic() + QUIET_SECONDS
    while threading.active_count() > 2 and time.monotonic() < end:  # this one and `relay`
        time.sleep(0.005)


def main() -> None:
    """Relay until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="address:port of this relay")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--bucket", required=True, help="made before anything else")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    make_bucket(options.port, options.bucket)
    warm_up(options.port, options.bucket)
    sys.setswitchinterval(0.0005)
    tally = Tally()
    listener = socket.create_server((host, int(port)), backlog=512)
    threading.Thread(target=relay, args=(listener, options.port, tally), daemon=True).start()
    print("ready", flush=True)
    for _ in sys.stdin:
        wait_for_quiet()
        print(json.dumps(tally.take()), flush=True)


if __name__ == "__main__":
    main()
