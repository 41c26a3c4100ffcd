"""The suite on S3 as s3fs speaks it, against a server of this machine.

Runs where `pip install s3fs ministack` was done; ministack keeps conditions and ranges as AWS does.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cas.backend.base import Backend
from cas.backend.open import open_backend
from cas.errors import ErrorCode, NotFoundError
from cas.testing.backend_contract import BackendContract

s3fs = pytest.importorskip("s3fs")

SERVER = shutil.which("ministack") or shutil.which("ministack", path=Path(sys.executable).parent)
START_SECONDS = 30.0

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="ministack is not installed"),
    # Clients of aiohttp that are collected without being closed warn; it is not ours to close them.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that keeps everything in memory, gone with the module."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with subprocess.Popen(
        [str(SERVER)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # there is nothing to wait on until it listens
        else:
            return


@pytest.fixture
def options(endpoint: str) -> dict[str, object]:
    return {"key": "test", "secret": "test", "endpoint_url": endpoint}


@pytest.fixture
def backend(options: dict[str, object]) -> Iterator[Backend]:
    bucket = f"contract-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir(bucket)
    with open_backend(f"s3://{bucket}/some/prefix", options) as backend:
        yield backend


class TestS3(BackendContract):
    """All of it."""


def test_the_client_is_known_to_send_conditions(backend: Backend) -> None:
    """Versions of s3fs and botocore that drop the condition would not claim this."""
    assert backend.capabilities.create_if_absent


def test_a_missing_bucket_is_a_missing_store(options: dict[str, object]) -> None:
    """Reading finds nothing, writing says that the place is not there."""
    backend = open_backend("s3://no-such-bucket-here/prefix", options)

    with pytest.raises(NotFoundError):
        backend.get("key")
    with pytest.raises(NotFoundError) as caught:
        backend.put("key", [b"x"])
    assert caught.value.code is ErrorCode.STORE_NOT_FOUND
