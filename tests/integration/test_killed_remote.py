"""A put to S3 that is killed outright, again and again: nothing is lost, little is sent twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cas
from cas.model.units import MIB
from cas.testing.corpora import random_content
from cas.testing.trees import read_tree, write_tree

s3fs = pytest.importorskip("s3fs")

SERVER = shutil.which("ministack") or shutil.which("ministack", path=Path(sys.executable).parent)
SMALL_FILES = 200
BIG_FILE_BYTES = {"small": 32 * MIB, "large": 100 * MIB}
# A third of the memory is what one blob takes: the big file makes 24 or 25, of over 1 MiB each, as
# real ones are. Runs shorter than that may be stored again lest a file lies in too many places.
MEMORY_BYTES = {"small": 4 * MIB, "large": 12 * MIB}
KILLS_PER_STORE = 5
ALLOWED = 1.1
# A put sends four blobs side by side at least; what the last answers were about may not be noted yet.
JUST_HEARD = 4
START_SECONDS = 60.0

# Loads everything once; each line of JSON is a put in a process of its own.
CLIENT = """
import json, os, sys, traceback
import aiobotocore.session, s3fs, cas.store

for line in sys.stdin:
    ask = json.loads(line)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            options = cas.StoreOptions(
                jobs=2, memory_bytes=ask["memory"], cache_dir=ask["cache"]
            )
            with cas.Store.open(
                ask["url"], storage_options=ask["storage"], options=options
            ) as store:
                store.put(ask["source"], "data", cas.PutOptions(provenance=False))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="ministack is not installed"),
    # Clients of aiohttp that are collected without being closed warn; it is not ours to close them.
    pytest.mark.filterwarnings("ignore"),
]


@dataclass
class Kill:
    """Kills a process when its request `at` begins, is half sent, or is about to be answered."""

    at: int
    moment: str
    pid: int = 0
    known: threading.Event = field(default_factory=threading.Event)
    done: bool = False

    def strike(self):
        self.known.wait(START_SECONDS)
        self.done = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Relay:
    """Stands between client and server, counts requests and the bytes of their bodies, and kills.

    `in_flight` is what was sent in requests whose answers the client did not live to hear, and one
    blob that it had heard of just before: it may die before it has made a note.
    """

    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._threads = []
        self.begin(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, kill):
        """Count from zero, with a kill to come or none."""
        self.kill = kill
        self.requests = self.sent = self.unanswered = 0
        self._heard = deque(maxlen=JUST_HEARD)

    @property
    def in_flight(self):
        return self.unanswered + max(self._heard, default=0)

    def end(self):
        """Wait until the connections of a client that is gone are over."""
        for thread in self._threads:
            thread.join(START_SECONDS)
        self._threads.clear()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._port))
                connection = Connection(self, client, server)
                for run in (connection.pass_requests, connection.pass_answers):
                    thread = threading.Thread(target=run, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def count(self, *, requests=0, sent=0):
        with self._lock:
            self.requests += requests
            self.sent += sent
            self.unanswered += sent
            return self.requests

    def heard(self, count):
        """The client got its answer to a request of so many bytes, unless it was dead by then."""
        with self._lock:
            if self.kill is None or not self.kill.done:
                self.unanswered -= count
                self._heard.append(count)

    def strike(self, number, moment):
        kill = self.kill
        if kill is not None and (kill.at, kill.moment) == (number, moment):
            kill.strike()


class Connection:
    """One connection: its requests come one after the other."""

    def __init__(self, relay, client, server):
        self._relay, self._client, self._server = relay, client, server
        self._number = self._body_sent = 0

    def pass_requests(self):
        with suppress(OSError), self._client.makefile("rb") as stream:
            while line := stream.readline():
                head = [line]
                while head[-1] not in (b"\r\n", b""):
                    head.append(stream.readline())
                self._pass_request(head, stream)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _pass_request(self, head, stream):
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

    def pass_answers(self):
        with suppress(OSError):
            while piece := self._server.recv(1 << 18):
                is_final = piece.startswith(b"HTTP/") and not piece.startswith(b"HTTP/1.1 100")
                if is_final:
                    self._relay.strike(self._number, "answered")
                    self._relay.heard(self._body_sent)
                self._client.sendall(piece)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server():
    """The port of a server that keeps everything in memory."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([str(SERVER)], env=environ, **quiet) as process:
        try:
            while process.poll() is None and not is_open(port):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.05)
            yield port
        finally:
            process.terminate()


def is_open(port):
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@pytest.fixture(scope="module")
def relay(server):
    relay = Relay(server)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def client():
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def scale():
    """How much is put."""
    return "small"


@pytest.fixture
def tree(scale):
    """Bytes that nothing compresses, so that what is sent can be told from what there is."""
    rng = random.Random(1)
    small = {
        b"%d/%d.bin" % (n % 7, n): rng.randbytes(rng.randrange(20_000)) for n in range(SMALL_FILES)
    }
    return small | {b"big.bin": random_content(1, BIG_FILE_BYTES[scale])}


@dataclass
class Remote:
    """A fresh store on the server, and a put to it in another process."""

    client: subprocess.Popen
    relay: Relay
    server: int
    folder: Path
    source: Path
    memory_bytes: int
    url: str = field(default_factory=lambda: f"s3://killed-{uuid.uuid4().hex[:12]}/store")

    def storage(self, port):
        return {"key": "test", "secret": "test", "endpoint_url": f"http://127.0.0.1:{port}"}

    def __enter__(self):
        self.buckets = s3fs.S3FileSystem(**self.storage(self.server), skip_instance_cache=True)
        self.buckets.mkdir(self.url.split("/")[2])
        cas.Store.create(self.url, storage_options=self.storage(self.server)).close()
        return self

    def __exit__(self, *_):
        self.buckets.rm(self.url.split("/")[2], recursive=True)  # it holds it all in memory

    def put(self, kill=None):
        """Put the source until the end or the kill; return whether it was the end."""
        self.relay.begin(kill)
        ask = {
            "url": self.url,
            "storage": self.storage(self.relay.port),
            "memory": self.memory_bytes,
            "cache": str(self.folder / self.url.split("/")[2]),
            "source": str(self.source),
        }
        print(json.dumps(ask), file=self.client.stdin, flush=True)
        pid = int(self.client.stdout.readline())
        if kill is not None:
            kill.pid = pid
            kill.known.set()
        status = int(self.client.stdout.readline())
        self.relay.end()
        assert status in (0, -signal.SIGKILL if kill else 0)
        return status == 0

    def held(self):
        """Get the version by a client of its own; return its files."""
        target = self.folder / f"got-{self.url.split('/')[2]}"
        with cas.Store.open(self.url, storage_options=self.storage(self.server)) as store:
            assert [one.number for one in store.versions("data")] == [0]
            store.get("data", target)
        found = read_tree(target)
        shutil.rmtree(target)
        return found


@pytest.fixture
def make_remote(client, relay, server, tmp_path, tree, scale):
    source = write_tree(tmp_path / "source", tree)
    return lambda: Remote(client, relay, server, tmp_path, source, MEMORY_BYTES[scale])


def kill_again_and_again(make_remote, relay, tree, kills):
    """Check after every store how many bytes all tries on it sent together."""
    rng = random.Random(kills)
    with make_remote() as remote:
        assert remote.put()
        clean, requests = relay.sent, relay.requests
    assert clean > sum(map(len, tree.values())), "not all bodies were counted"
    moments = ("begins", "half sent", "answered")

    def choose():
        """Most kills come while blobs are sent, so that several hit one put; some at any time."""
        middle = (requests // 5, requests // 2)
        return rng.randint(*(middle if rng.random() < 0.7 else (1, requests)))

    struck = 0
    while struck < kills:
        with make_remote() as remote:
            sent = in_flight = 0
            is_over = False
            for _ in range(min(KILLS_PER_STORE, kills - struck)):
                is_over = remote.put(Kill(choose(), rng.choice(moments)))
                sent += relay.sent
                if is_over:
                    break
                in_flight += relay.in_flight
                struck += 1
            if not is_over:
                assert remote.put()
                sent += relay.sent

            assert remote.held() == tree
            assert sent <= ALLOWED * clean + in_flight


def test_a_put_that_is_killed_a_few_times_sends_little_twice(make_remote, relay, tree):
    """Each rerun resumes: all tries together send hardly more than one, and the version is right."""
    kill_again_and_again(make_remote, relay, tree, 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scale", BIG_FILE_BYTES)
def test_a_put_that_is_killed_a_hundred_times_sends_little_twice(make_remote, relay, tree):
    """The same at a hundred points."""
    kill_again_and_again(make_remote, relay, tree, 100)
