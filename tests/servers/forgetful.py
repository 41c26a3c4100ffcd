"""A proxy that takes the condition out of every request before it passes it on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CONDITIONS = {"if-none-match", "if-match"}
PER_CONNECTION = {"connection", "expect", "transfer-encoding", "keep-alive"}


@contextmanager
def forgetful_proxy(endpoint: str) -> Iterator[str]:
    """Run the proxy in front of `endpoint`, and hand out its own URL."""
    upstream = urlsplit(endpoint)

    class Forgetful(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            dropped = CONDITIONS | PER_CONNECTION
            headers = {n: v for n, v in self.headers.items() if n.lower() not in dropped}
            connection = HTTPConnection(str(upstream.hostname), upstream.port, timeout=60)
            try:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in PER_CONNECTION | {"content-length"}:
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else len(content)
            self.send_header("content-length", str(length or 0))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 as the base has them

    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as proxy:
        proxy.daemon_threads = True
        thread = threading.Thread(target=proxy.serve_forever, name="forgetful-proxy")
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()
