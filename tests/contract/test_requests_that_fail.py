"""A request that stalls, is lost or refused for the moment is sent again, and nothing is harmed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_stores import PLAIN, SOME
from servers.relay import LOSE_ANSWER, STALL, Relay, relay_to
from servers.s3 import S3Server

import cas
from cas.backend.retrying import RetryPolicy
from cas.testing.trees import read_tree, write_tree

pytest.importorskip("s3fs")

pytestmark = pytest.mark.filterwarnings("ignore")  # unclosed clients of aiohttp are not ours

SLOW_DOWN = 503
# A blob, an intent, a slot; the newest version, its record, its pages and blobs.
KINDS = ("PUT .*/blobs/", "PUT .*/sessions/", "PUT .*/versions/", "GET .*prefix=", "GET .*/versions/",
         "GET .*/meta/", "GET .*/blobs/")  # fmt: skip


@pytest.fixture
def relay(ministack: S3Server) -> Iterator[Relay]:
    with relay_to(ministack.endpoint) as relay:
        yield relay


def fail_first_of_each_kind(relay: Relay, fate: int) -> list[str]:
    """Let the first request of each kind meet its fate; return a list of those that are to come."""
    left = list(KINDS)

    def meddle(method: str, path: str) -> int | None:
        for kind in left:
            if re.match(kind, f"{method} {path}"):
                left.remove(kind)
                return fate
        return None

    relay.meddle = meddle
    return left


# obstore knows no such option, so it is left to s3fs; without it whichever is installed is used.
@pytest.mark.parametrize("more", [{}, {"max_concurrency": 1}], ids=["any", "s3fs"])
@pytest.mark.parametrize("fate", [STALL, LOSE_ANSWER, SLOW_DOWN], ids=["stall", "lost", "503"])
def test_a_put_and_a_get_outlive_a_failure_of_each_kind_of_request(
    ministack: S3Server, relay: Relay, tmp_path: Path, fate: int, more: dict[str, int]
):
    """One version, whole, as if nothing had been."""
    place = ministack.new_place()
    cas.Store.create(place.url, storage_options=place.options).close()
    storage = ministack.options(
        endpoint_url=relay.endpoint, config_kwargs={"read_timeout": 0.4}, **more
    )
    options = cas.StoreOptions(journal=False, retries=RetryPolicy(first_pause_seconds=0.01))
    to_come = fail_first_of_each_kind(relay, fate)

    with cas.Store.open(place.url, storage_options=storage, options=options) as store:
        put = store.put(write_tree(tmp_path / "source", SOME), "data", PLAIN)
        store.get("data", tmp_path / "got")

    assert to_come == []
    assert put.ref == "data:v0"
    assert read_tree(tmp_path / "got") == SOME
    with cas.Store.open(place.url, storage_options=place.options) as store:
        assert [one.number for one in store.versions("data")] == [0]
