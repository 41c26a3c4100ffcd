"""A relay that kills its client at a chosen request, and counts what was sent to the server."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import urlsplit

START_SECONDS = 60.0


@dataclass
class Kill:
    """Kills a process when its request `at` begins, is half sent, or is about to be answered."""

    at: int
    moment: str
    pid: int = 0
    known: threading.Event = field(default_factory=threading.Event)
    done: bool = False

    def strike(self) -> None:
        """Kill, as soon as it is known whom."""
        self.known.wait(START_SECONDS)
        self.done = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class KillingRelay:
    """Stands between client and server, counts requests and the bytes of their bodies, and kills.

    `in_flight` is what was sent in requests whose answers the client did not live to hear.
    """

    def __init__(self, endpoint: str) -> None:
        server = urlsplit(endpoint)
        self._server = server.hostname, server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.begin(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, kill: Kill | None) -> None:
        """Count from zero, with a kill to come or none."""
        self.kill = kill
        self.requests = self.sent = self.in_flight = 0

    def end(self) -> None:
        """Wait until the connections of a client that is gone are over."""
        while self._threads:
            self._threads.pop().join(START_SECONDS)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                connection = _Connection(self, client, server)
                for run in (connection.pass_requests, connection.pass_answers):
                    thread = threading.Thread(target=run, daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def count(self, *, requests: int = 0, sent: int = 0) -> int:
        """Add to the counts; return how many requests there were."""
        with self._lock:
            self.requests += requests
            self.sent += sent
            self.in_flight += sent
            return self.requests

    def heard(self, count: int) -> None:
        """The client got its answer to a request of so many bytes, unless it was dead by then."""
        with self._lock:
            if self.kill is None or not self.kill.done:
                self.in_flight -= count

    def strike(self, number: int, moment: str) -> None:
        """Kill if this is the moment."""
        kill = self.kill
        if kill is not None and (kill.at, kill.moment) == (number, moment):
            kill.strike()


class _Connection:
    """One connection: its requests come one after the other."""

    def __init__(self, relay: KillingRelay, client: socket.socket, server: socket.socket) -> None:
        self._relay, self._client, self._server = relay, client, server
        self._number = self._body_sent = 0

    def pass_requests(self) -> None:
        """Pass on what the client sends, until it hangs up."""
        with suppress(OSError), self._client.makefile("rb") as stream:
            while line := stream.readline():
                head = [line]
                while head[-1] not in (b"\r\n", b""):
                    head.append(stream.readline())
                self._pass_request(head, stream)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _pass_request(self, head: list[bytes], stream: BinaryIO) -> None:
        names = {line.partition(b":")[0].strip().lower(): line for line in head}
        left = length = int(names.get(b"content-length", b":0").partition(b":")[2])
        self._body_sent = 0
        self._number = self._relay.count(requests=1)
        self._relay.strike(self._number, "begins")
        self._server.sendall(b"".join(head))
        while left and (piece := stream.read1(min(left, 1 << 18))):
            self._server.sendall(piece)
            if left > length // 2 >= left - len(piece):
                self._relay.strike(self._number, "half sent")
            left -= len(piece)
            self._body_sent += len(piece)
            self._relay.count(sent=len(piece))

    def pass_answers(self) -> None:
        """Pass on what the server answers, until it hangs up."""
        with suppress(OSError):
            while piece := self._server.recv(1 << 18):
                is_final = piece.startswith(b"HTTP/") and not piece.startswith(b"HTTP/1.1 100")
                if is_final:
                    self._relay.strike(self._number, "answered")
                self._client.sendall(piece)
                if is_final:
                    self._relay.heard(self._body_sent)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
