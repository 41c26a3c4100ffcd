"""What goes wrong with real servers is told in one line, soon, and without credentials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cas_tool import QuickTool, make_tool
from servers.broken import nobody, silent, with_own_certificate
from servers.gcs import GcsServer
from servers.s3 import KEY, READER_KEY, READER_SECRET, SECRET, S3Server

from cas.backend.base import Backend
from cas.backend.open import open_backend
from cas.backend.places import open_place
from cas.errors import BackendError, CasError, ErrorCode, InvalidInputError, NotFoundError

pytest.importorskip("s3fs")
pytest.importorskip("gcsfs")

pytestmark = pytest.mark.filterwarnings("ignore")  # unclosed clients of aiohttp are not ours

# obstore knows no such option, so it is left to s3fs; without it whichever is installed is used.
by_either_driver = pytest.mark.parametrize(
    "more", [{}, {"max_concurrency": 1}], ids=["any", "s3fs"]
)

READER = {"key": READER_KEY, "secret": READER_SECRET}

CALLS: dict[str, Callable[[Backend], object]] = {
    "get": lambda backend: backend.get("key"),
    "put": lambda backend: backend.put("key", [b"x"]),
    "create": lambda backend: backend.create("key", b"x"),
    "list": lambda backend: list(backend.list_objects("folder")),
    "folders": lambda backend: backend.list_folders(""),
    "delete": lambda backend: backend.delete("key"),
}


def s3(endpoint: str, **more: object) -> dict[str, object]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": endpoint, **more}


def failure_of(url: str, options: Mapping[str, Any], call: str = "get") -> CasError:
    with pytest.raises(CasError) as caught, open_backend(url, options) as backend:
        CALLS[call](backend)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def url(weed: S3Server) -> str:
    """A place on the server that checks signatures."""
    return weed.new_place().url


@by_either_driver
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_secret_is_told(weed, url, call, more):
    """Whatever is asked first; with the request's id, for whoever runs the server."""
    found = failure_of(url, weed.options(secret="wrong", **more), call)

    assert (type(found), found.code) == (BackendError, ErrorCode.ACCESS_DENIED)
    assert "the secret does not belong to the access key (request id " in str(found)


@by_either_driver
def test_an_unknown_key_is_told(weed, url, more):
    """It may be meant for another endpoint."""
    found = failure_of(url, weed.options(key="unknown", **more))

    assert found.code is ErrorCode.ACCESS_DENIED
    assert "access key is not known" in str(found)


@by_either_driver
def test_a_reader_may_not_write(weed, url, more):
    """It is told apart from wrong credentials."""
    reader = weed.options(**READER, **more)

    assert failure_of(url, reader, "put").code is ErrorCode.ACCESS_DENIED
    assert type(failure_of(url, reader)) is NotFoundError


@pytest.mark.parametrize("wrong", [{"secret": "wrong"}, {"key": "unknown"}, READER])
def test_the_hint_about_a_source_or_target_is_not_that_of_a_store(weed, url, wrong):
    """Neither cas doctor nor cas config knows it; its options do."""
    with (
        closing(open_place(f"{url}/x", weed.options(**wrong))) as place,
        pytest.raises(BackendError) as caught,
    ):
        place.write("object", b"content")

    assert caught.value.code is ErrorCode.ACCESS_DENIED
    assert "--dest-option" in str(caught.value.hint)
    assert "cas " not in str(caught.value.hint)


@by_either_driver
@pytest.mark.parametrize("call", CALLS)
def test_a_missing_bucket_is_named(ministack: S3Server, call, more):
    """Whatever is asked of it, in the same words; the hint is the command that makes it."""
    found = failure_of("s3://not-there/x", ministack.options(**more), call)

    assert (type(found), found.code) == (NotFoundError, ErrorCode.STORE_NOT_FOUND)
    assert str(found) == "there is no bucket 'not-there', so no s3://not-there/x"
    assert "aws s3 mb s3://not-there" in (found.hint or "")


@pytest.mark.parametrize("call", ["put", "create", "list", "folders"])
def test_a_missing_bucket_of_gcs_is_named(fake_gcs: GcsServer, call):
    """By writing and listing; reading one object cannot tell it from a missing object."""
    options = {"token": "anon", "endpoint_url": fake_gcs.endpoint}

    found = failure_of("gs://not-there/x", options, call)

    assert found.code is ErrorCode.STORE_NOT_FOUND
    assert "gcloud storage buckets create gs://not-there" in (found.hint or "")


@pytest.mark.parametrize("kind", ["ministack", "fake_gcs"])
@pytest.mark.parametrize("words", [("ls",), ("get", "data"), ("put", "cas.toml", "data")])
def test_a_store_in_a_missing_bucket_is_told_from_none(kind, words, request, tmp_path: Path):
    """Opening a store says which of the two is missing."""
    options = dict(request.getfixturevalue(kind).new_place().options)
    scheme = "s3" if kind == "ministack" else "gs"
    url = f"{scheme}://not-there/x"
    tool = make_tool(tmp_path, QuickTool)
    written = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    (tool.cwd / "cas.toml").write_text(f'[stores.main]\nurl = "{url}"\noptions = {{ {written} }}\n')
    tool.environ["CAS_STORE"] = "main"

    told = tool(*words, code=3).err

    assert f"error: there is no bucket 'not-there', so no {url}\n" in told


@by_either_driver
@pytest.mark.parametrize("url", ["s3://bucket/x", "gs://bucket/x"])
def test_a_port_where_nobody_listens_is_unreachable(url, more):
    """At once: the drivers' own repetitions are off."""
    address = nobody()
    endpoint = f"http://{address}"
    options = (
        s3(endpoint, **more)
        if url.startswith("s3")
        else {"token": "anon", "endpoint_url": endpoint}
    )

    found = failure_of(url, options)

    assert found.code is ErrorCode.UNREACHABLE
    assert f"{address}: the connection is refused" in str(found)


@by_either_driver
def test_a_name_that_nobody_has_is_unreachable(more):
    """The endpoint is named."""
    found = failure_of("s3://bucket/x", s3("http://no-such-host.invalid", **more))

    assert found.code is ErrorCode.UNREACHABLE
    assert "no-such-host.invalid" in str(found)


@by_either_driver
def test_a_server_that_never_answers_stalls(more):
    """After the time that the options allow, once."""
    with silent() as endpoint:
        options = s3(endpoint, config_kwargs={"read_timeout": 0.2}, **more)
        found = failure_of("s3://bucket/x", options)

    assert found.code is ErrorCode.STALLED


def test_azure_tells_soon_that_nobody_listens():
    """Its own four tries take 90 s."""
    pytest.importorskip("adlfs")
    address = f"http://{nobody()}/account"
    account = f"AccountName=account;AccountKey=a2V5LW1hcmtlcg==;BlobEndpoint={address};"

    found = failure_of("az://bucket/x", {"connection_string": account})

    assert found.code is ErrorCode.UNREACHABLE


def test_a_server_that_never_answers_stalls_gcs():
    """Which has no limit of its own."""
    with silent() as endpoint:
        options = {"token": "anon", "endpoint_url": endpoint, "requests_timeout": 0.2}
        found = failure_of("gs://bucket/x", options)

    assert found.code is ErrorCode.STALLED


@by_either_driver
def test_a_certificate_of_ones_own_is_not_trusted(tmp_path, more, monkeypatch):
    """The hint tells where to name it."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # obstore leaves that one to s3fs
    with with_own_certificate(tmp_path) as endpoint:
        found = failure_of("s3://bucket/x", s3(endpoint, **more))

    assert found.code is ErrorCode.UNREACHABLE
    assert "certificate is not trusted" in str(found)
    assert "ca_bundle" in (found.hint or "")


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
