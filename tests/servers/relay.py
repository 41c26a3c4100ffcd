"""A relay in front of a server: notes the requests, takes conditions out of them, or fails some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CONDITIONS = frozenset({"if-none-match", "if-match"})
PER_CONNECTION = frozenset({"connection", "expect", "transfer-encoding", "keep-alive"})

# What may become of a request instead of an answer with a status: nothing at all, or it is carried
# out and only the answer does not come.
STALL, LOSE_ANSWER = 0, 1


@dataclass(slots=True)
class Relay:
    """Where the relay listens, and the requests that came, each as method and path.

    Attributes:
        meddle: given method and path, tells what becomes of a request: None passes it on, a status
            is answered without asking the server, `STALL` leaves it without an answer, and so does
            `LOSE_ANSWER` once the server has answered.
        meddled: set once that happened to a request.
    """

    endpoint: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    meddle: Callable[[str, str], int | None] = lambda _method, _path: None
    meddled: threading.Event = field(default_factory=threading.Event)


@contextmanager
def relay_to(endpoint: str, *, forgetful: bool = False) -> Iterator[Relay]:
    """Run a relay in front of `endpoint`; a forgetful one passes no condition on."""
    upstream = urlsplit(endpoint)
    ended = threading.Event()
    dropped = PER_CONNECTION | CONDITIONS if forgetful else PER_CONNECTION

    class PassOn(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def pass_on(self) -> None:
            relay.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            fate = relay.meddle(self.command, self.path)
            if fate not in (None, LOSE_ANSWER):
                self.refuse(fate)
                return
            headers = {n: v for n, v in self.headers.items() if n.lower() not in dropped}
            connection = HTTPConnection(str(upstream.hostname), upstream.port, timeout=60)
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
            if fate == LOSE_ANSWER:
                self.refuse(STALL)
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in PER_CONNECTION | {"content-length"}:
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else len(content)
            self.send_header("content-length", str(length or 0))
            self.end_headers()
            self.wfile.write(content)

        def refuse(self, status: int) -> None:
            relay.meddled.set()
            if status == STALL:
                ended.wait()
                return
            self.send_response_only(status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 as the base has them

    with ThreadingHTTPServer(("127.0.0.1", 0), PassOn) as server:
        server.daemon_threads = True
        relay = Relay(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="relay")
        thread.start()
        try:
            yield relay
        finally:
            ended.set()
            server.shutdown()
            thread.join()
