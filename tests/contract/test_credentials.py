"""Credentials, endpoints and regions come from where other tools have them, and go nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import zstandard
from cas_tool import Tool
from servers.gcs import GcsServer
from servers.s3 import KEY, SECRET, S3Server

from cas.backend.open import open_backend
from cas.errors import BackendError, ErrorCode, NotFoundError, UnsupportedError

pytest.importorskip("s3fs")
pytest.importorskip("gcsfs")

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ELSEWHERE = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-3"}}

pytestmark = pytest.mark.filterwarnings("ignore")  # unclosed clients of aiohttp are not ours


@pytest.fixture
def variables(ministack: S3Server, no_credentials, monkeypatch) -> str:
    """Endpoint and credentials in the environment; return a bucket in another region than most."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return ministack.new_bucket(**ELSEWHERE)


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


# obstore knows no such option, so it is left to s3fs.
@pytest.mark.parametrize("options", [{}, {"max_concurrency": 1}], ids=["obstore", "s3fs"])
def test_s3fs_finds_the_region_by_itself(variables, monkeypatch, options):
    """The server tells, and botocore asks there; obstore leaves it to s3fs from then on."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    with open_backend(f"s3://{variables}/x", options) as backend:
        backend.put("key", [b"x"])

        assert backend.get("key") == b"x"


def test_a_profile_of_aws_works(ministack: S3Server, no_credentials, monkeypatch, tmp_path):
    """With everything in it, as `aws configure` writes it."""
    url = f"s3://{ministack.new_bucket()}/x"
    (tmp_path / "config").write_text(
        f"[profile lab]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
        f"endpoint_url = {ministack.endpoint}\nregion = eu-west-3\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")

    with open_backend(url) as backend:
        backend.put("key", [b"x"])
    with open_backend(url, {"profile": "lab"}) as backend:
        assert backend.get("key") == b"x"


def test_the_variable_for_an_emulator_of_gcs_works(
    fake_gcs: GcsServer, no_credentials, monkeypatch
):
    """As every client of Google's reads it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", fake_gcs.endpoint)

    with open_backend("gs://not-there/x") as backend, pytest.raises(NotFoundError) as caught:
        backend.put("key", [b"x"])

    assert caught.value.code is ErrorCode.STORE_NOT_FOUND


def test_credentials_are_in_no_output_and_no_object(weed: S3Server, tmp_path):
    """Not in what the tool prints, not in the store, not in local state; however they were given."""
    place = weed.new_place()
    url, endpoint = place.url, weed.endpoint
    work, home = tmp_path / "work", tmp_path / "home"
    (work / "data").mkdir(parents=True)
    (work / "data" / "a.txt").write_text("alpha\n")
    home.mkdir()
    (home / "config.toml").write_text(
        f'store = "good"\n'
        f'[stores.good]\nurl = "{url}"\nendpoint = "{endpoint}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        f'[stores.bad]\nurl = "{url}"\nendpoint = "{endpoint}"\nkey = "{KEY}"\nsecret = "{SECRET}x"\n'
        f'[stores.gone]\nurl = "s3://u:{SECRET}@b/x?t={SECRET}"\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
    )
    (home / "config.toml").chmod(0o600)
    environ = {"PATH": os.environ["PATH"], "CAS_HOME": str(home), "HOME": str(tmp_path)}
    tool = Tool(work, environ)
    printed = ""
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
        finished = tool.run(words, b"", {})
        assert code in (None, finished.code), finished.err
        printed += finished.out + finished.err
    with place.open() as backend:
        stored = {found.key: backend.get(found.key) for found in backend.list_objects("")}
    local = [path.read_bytes() for path in (home / "cache").rglob("*") if path.is_file()]

    assert "Traceback" in printed
    assert len(stored) > 2
    for content in (printed.encode(), *stored.values(), *local, *map(str.encode, stored)):
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
