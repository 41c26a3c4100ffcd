"""One Ctrl-C ends a command, whatever it waits for, and leaves what the same command goes on from."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cas_tool import QuickTool, Tool, make_tool
from servers.relay import STALL, Relay, relay_to
from servers.s3 import KEY, SECRET, S3Server

from cas.testing.corpora import random_content

SECONDS = 30
UNAVAILABLE = 503
SLOT = r"/versions/0000000000"


@dataclass(frozen=True)
class StalledShop:
    """A tool, and what stands between it and the server of its store."""

    tool: Tool
    relay: Relay

    def meddle(self, method: str, pattern: str, fate: int = STALL) -> None:
        """Let requests that fit go without an answer, or with a status, from now on."""
        self.relay.meddled.clear()
        self.relay.meddle = lambda sent, path: (
            fate if sent == method and re.search(pattern, path) else None
        )

    def press_ctrl_c(self, *words: str) -> tuple[int, str]:
        """Run a command, press Ctrl-C once it waits; return the exit code and what it says."""
        with self.tool.start(*words, stdin=-3, stdout=-3, stderr=-1) as process:
            is_waiting = self.relay.meddled.wait(SECONDS)
            process.send_signal(signal.SIGINT)
            try:
                _, err = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        assert is_waiting
        self.relay.meddle = lambda _method, _path: None
        return process.returncode, err.decode()


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Commands heed Ctrl-C though a shell may have started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["native"])
def shop(
    ministack: S3Server, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[StalledShop]:
    """A store behind a relay."""
    if request.param == "native":
        pytest.importorskip("obstore")
    place, tool = ministack.new_place(), make_tool(tmp_path, QuickTool)
    with relay_to(ministack.endpoint) as relay:
        # An option that only s3fs knows.
        options = "options = { use_ssl = false }" if request.param == "fsspec" else ""
        settings = f'[stores.main]\nurl = "{place.url}"\n{options}\n'
        (tool.cwd / "cas.toml").write_text(settings)
        own = {
            "CAS_STORE": "main",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": relay.endpoint,
        }
        tool.environ.update(own)
        tool("init")
        (tool.cwd / "data").mkdir()
        (tool.cwd / "data" / "file").write_bytes(random_content(1, 3_000_000))
        yield StalledShop(tool, relay)


@pytest.fixture
def objects(ministack: S3Server, shop: StalledShop) -> Callable[[str], list[str]]:
    """A function that lists the keys of the store below a prefix."""
    url = re.search(r'url = "s3://([^/]+)/([^"]+)"', (shop.tool.cwd / "cas.toml").read_text())
    assert url is not None
    bucket, root = url.groups()

    def below(prefix: str) -> list[str]:
        listed = ministack.client.list_objects_v2(Bucket=bucket, Prefix=f"{root}/{prefix}")
        return [entry["Key"] for entry in listed.get("Contents", ())]

    return below


@pytest.mark.parametrize("shop", ["native", "fsspec"], indirect=True)
def test_ctrl_c_ends_a_command_whose_request_is_not_answered(shop):
    """It says so in one line; nothing is asked for again."""
    shop.meddle("GET", "prefix=.*artifacts")

    code, err = shop.press_ctrl_c("ls")

    assert (code, err) == (130, "error: interrupted\n")


def test_ctrl_c_ends_the_pause_before_another_try(shop):
    """The failure that led to the pause is not what the user is told."""
    shop.meddle("GET", "cas.json", UNAVAILABLE)

    code, err = shop.press_ctrl_c("get", "data")

    assert (code, err) == (130, "error: interrupted\n")


def test_ctrl_c_abandons_uploads_and_the_same_command_goes_on(shop, objects):
    """No version is made by what was under way."""
    shop.meddle("PUT", "/blobs/")

    code, err = shop.press_ctrl_c("put", "data", "data")
    versions = objects("artifacts/")

    assert (code, err.count("\n"), versions) == (130, 1, [])
    assert "the same command goes on" in err
    assert shop.tool.json("put", "data", "data")["ref"] == "data:v0"


def test_ctrl_c_abandons_downloads(shop, tree):
    """What was fetched stays, and the same command goes on from there."""
    shop.tool("put", "data", "data")
    shop.meddle("GET", "/blobs/")

    code, err = shop.press_ctrl_c("get", "data", "back")
    shop.tool("get", "data", "back")

    assert (code, err.count("\n")) == (130, 1)
    assert "the same command goes on" in err
    assert tree(shop.tool.cwd / "back") == tree(shop.tool.cwd / "data")


def test_intents_stay_where_the_slot_can_not_be_settled(shop, objects):
    """The put of the slot may still happen, so what protects its version is not taken away."""
    shop.meddle("PUT", SLOT)

    code, err = shop.press_ctrl_c("put", "data", "data")

    assert (code, err.count("\n")) == (130, 1)
    assert len(objects("sessions/")) == 1
    assert objects("artifacts/") == []
    assert shop.tool.json("put", "data", "data")["ref"] == "data:v0"
