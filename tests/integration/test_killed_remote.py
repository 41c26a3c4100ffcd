"""A put to S3 that is killed outright, again and again: nothing is lost, little is sent twice."""

from __future__ import annotations

import filecmp
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers.killing_relay import Kill, KillingRelay
from servers.s3 import S3Server

import cas
from cas.model.units import MIB
from cas.testing.corpora import random_content
from cas.testing.trees import write_tree

s3fs = pytest.importorskip("s3fs")

SMALL_FILES = 200
# Bytes of the big file, and the memory that a put may use. A third of the memory is what one blob
# takes: the small scales make as many blobs as a large put does.
SCALES = {"small": (32 * MIB, 4 * MIB), "large": (100 * MIB, 12 * MIB), "full": (1024 * MIB, None)}
KILLS_PER_STORE = 5
ALLOWED = 1.1
LOG = logging.getLogger(__name__)  # pytest --log-cli-level=INFO shows the figures

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

# Clients of aiohttp that are collected without being closed warn; it is not ours to close them.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def relay(ministack):
    relay = KillingRelay(ministack.endpoint)
    yield relay
    relay.close()


@pytest.fixture(scope="module")
def client():
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def scale():
    """How much is put."""
    return "small"


@pytest.fixture
def source(scale, tmp_path):
    """A folder of bytes that nothing compresses, so that what is sent can be told from them."""
    rng = random.Random(1)
    small = {
        b"%d/%d.bin" % (n % 7, n): rng.randbytes(rng.randrange(20_000)) for n in range(SMALL_FILES)
    }
    big = random_content(1, SCALES[scale][0])
    return write_tree(tmp_path / "source", small | {b"big.bin": big})


@dataclass
class Remote:
    """A fresh store on the server, and a put to it in another process."""

    client: subprocess.Popen
    relay: KillingRelay
    server: S3Server
    folder: Path
    source: Path
    memory_bytes: int | None

    def __enter__(self):
        self.url = self.server.new_place().url
        self.bucket = self.url.split("/")[2]
        cas.Store.create(self.url, storage_options=self.server.options()).close()
        return self

    def __exit__(self, *_):
        # The server holds it all in memory.
        filesystem = s3fs.S3FileSystem(**self.server.options(), skip_instance_cache=True)
        filesystem.rm(self.bucket, recursive=True)

    def put(self, kill=None):
        """Put the source until the end or the kill; return whether it was the end."""
        self.relay.begin(kill)
        ask = {
            "url": self.url,
            "storage": self.server.options(endpoint_url=self.relay.endpoint),
            "memory": self.memory_bytes,
            "cache": str(self.folder / self.bucket),
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

    def holds_source(self):
        """Get the version by a client of its own, and compare it with the source."""
        target = self.folder / f"got-{self.bucket}"
        with cas.Store.open(self.url, storage_options=self.server.options()) as store:
            assert [one.number for one in store.versions("data")] == [0]
            store.get("data", target)
        same = files_of(target) == files_of(self.source) and all(
            filecmp.cmp(target / path, self.source / path, shallow=False)
            for path in files_of(target)
        )
        shutil.rmtree(target)
        return same


def files_of(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def make_remote(client, relay, ministack, tmp_path, source, scale):
    return lambda: Remote(client, relay, ministack, tmp_path, source, SCALES[scale][1])


def kill_again_and_again(make_remote, kills):
    """Check after every store how many bytes all tries on it sent together."""
    rng = random.Random(kills)
    with make_remote() as remote:
        assert remote.put()
        clean, requests = remote.relay.sent, remote.relay.requests
        size = sum(path.stat().st_size for path in remote.source.rglob("*") if path.is_file())
    assert clean > size, "not all bodies were counted"
    moments = ("begins", "half sent", "answered")

    def choose():
        """Most kills come while blobs are sent, so that several hit one put; some at any time."""
        middle = (requests // 5, requests // 2)
        return rng.randint(*(middle if rng.random() < 0.7 else (1, requests)))

    struck = 0
    while struck < kills:
        with make_remote() as remote:
            sent = in_flight = tries = 0
            is_over = False
            while not is_over:
                tries += 1
                is_last = tries > KILLS_PER_STORE or struck == kills
                is_over = remote.put(None if is_last else Kill(choose(), rng.choice(moments)))
                sent += remote.relay.sent
                if not is_over:
                    in_flight += remote.relay.in_flight
                    struck += 1

            assert remote.holds_source()
            assert sent <= ALLOWED * clean + in_flight
            LOG.info(
                "%s tries sent %.3f of a clean run and had %.3f in flight",
                tries,
                sent / clean,
                in_flight / clean,
            )


def test_a_put_that_is_killed_a_few_times_sends_little_twice(make_remote):
    """Each rerun resumes: all tries together send hardly more than one, and the version is right."""
    kill_again_and_again(make_remote, 5)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scale", SCALES)
def test_a_put_that_is_killed_a_hundred_times_sends_little_twice(make_remote):
    """The same at a hundred points."""
    kill_again_and_again(make_remote, 100)
