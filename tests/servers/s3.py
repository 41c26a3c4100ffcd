"""Servers that speak S3: ministack, moto, SeaweedFS, and some that keep less than S3 promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.launch import find_program, free_ports, install_from_npm, running
from servers.place import Place, fresh_name
from servers.relay import relay_to

# Told apart from every other word, so that a test may look for them where they must not be.
KEY, SECRET = "key-marker-0451", "secret-marker-1984"
READER_KEY, READER_SECRET = "key-of-a-reader", "secret-of-a-reader"
INSTALL = "pip install 'cas-store[servers]'"


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that speaks S3, and a client of botocore's that makes buckets there."""

    endpoint: str
    client: Any
    key: str = KEY
    secret: str = SECRET

    def options(self, **more: Any) -> dict[str, Any]:
        """Return what s3fs needs to get there."""
        own = {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint}
        return own | more

    def new_bucket(self, **request: Any) -> str:
        """Make a bucket and return its name."""
        bucket = fresh_name()
        self.client.create_bucket(Bucket=bucket, **request)
        return bucket

    def new_place(self) -> Place:
        """Make a bucket and return a prefix in it."""
        return Place(f"s3://{self.new_bucket()}/some/prefix", self.options())


@contextmanager
def ministack(folder: Path) -> Iterator[S3Server]:
    """Keep all conditions as AWS does; take any credentials."""
    program = _find("ministack")
    (port,) = free_ports(1)
    environ = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with running([program], port, folder / "ministack.log", environ):
        yield from _server(f"http://127.0.0.1:{port}")


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """Name the header in the body of a refusal, as AWS does; take any credentials."""
    program = _find("moto_server")
    (port,) = free_ports(1)
    with running([program, "-H", "127.0.0.1", "-p", str(port)], port, folder / "moto.log"):
        yield from _server(f"http://127.0.0.1:{port}")


@contextmanager
def weed(folder: Path) -> Iterator[S3Server]:
    """Check signatures, and let a reader only read; name no header in a refusal."""
    program = _find("weed")
    port, master, volume, filer = free_ports(4, above=10_000)  # where each has a second port
    identities = [
        _identity(KEY, SECRET, ["Admin", "Read", "List", "Tagging", "Write"]),
        _identity(READER_KEY, READER_SECRET, ["Read", "List"]),
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    (folder / "weed").mkdir()
    switched_off = ["-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false"]
    command = [
        program,
        "mini",
        f"-dir={folder / 'weed'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={port}",
        f"-s3.config={config}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        # By itself as many as the free disk has room for, of which each bucket takes some.
        "-volume.max=10000",
        f"-filer.port={filer}",
        *switched_off,
    ]
    with running(command, port, folder / "weed.log"):
        yield from _server(f"http://127.0.0.1:{port}")


@contextmanager
def fauxqs(folder: Path) -> Iterator[S3Server]:
    """Ignore conditions, and answer success to every writer; take any credentials."""
    pytest.importorskip("s3fs", reason=f"s3fs is not installed: {INSTALL}")
    program = Path(find_program("fauxqs", install=install_from_npm("fauxqs"))).resolve()
    (port,) = free_ports(1)
    # By itself it listens on all addresses of the machine.
    script = (
        f"import {{ buildApp }} from {json.dumps(program.with_name('app.js').as_uri())};"
        f"await buildApp({{ logger: false }}).listen({{ port: {port}, host: '127.0.0.1' }});"
    )
    command = [find_program("node", install=INSTALL), "--input-type=module", "--eval", script]
    with running(command, port, folder / "fauxqs.log"):
        yield from _server(f"http://127.0.0.1:{port}")


@contextmanager
def s3rver(folder: Path) -> Iterator[S3Server]:
    """Ignore conditions, and list no folder whose objects lie deeper than in it."""
    pytest.importorskip("s3fs", reason=f"s3fs is not installed: {INSTALL}")
    program = find_program("s3rver", install=install_from_npm("s3rver"))
    (port,) = free_ports(1)
    data = folder / "s3rver"
    data.mkdir()
    where = ("--directory", data, "--address", "127.0.0.1", "--port", str(port), "--silent")
    with running([program, *where], port, folder / "s3rver.log"):
        yield from _server(f"http://127.0.0.1:{port}", key="S3RVER", secret="S3RVER")


@contextmanager
def forgetful(server: S3Server) -> Iterator[S3Server]:
    """Overwrite although asked not to, and answer success, as several look-alikes of S3 do."""
    with relay_to(server.endpoint, forgetful=True) as relay:
        yield from _server(relay.endpoint)


def _identity(key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": key, "secretKey": secret}]
    return {"name": key, "credentials": credentials, "actions": actions}


def _find(program: str) -> str:
    pytest.importorskip("s3fs", reason=f"s3fs is not installed: {INSTALL}")
    return find_program(program, install=INSTALL)


def _server(endpoint: str, *, key: str = KEY, secret: str = SECRET) -> Iterator[S3Server]:
    from botocore.session import get_session  # comes with s3fs, which may be missing

    client = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    try:
        yield S3Server(endpoint, client, key, secret)
    finally:
        client.close()
