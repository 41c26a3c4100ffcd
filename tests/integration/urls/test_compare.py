"""`cas diff` and `cas status` with a URL as the other side."""

from __future__ import annotations

from pathlib import Path

import pytest
from cas_tool import MemoryTool, make_tool
from memory_bucket import FILES, MemoryBucket

import cas
from cas.errors import ErrorCode


def test_both_commands_take_a_url(bucket: MemoryBucket, tmp_path: Path) -> None:
    """And name it in what they show."""
    tool = make_tool(tmp_path, MemoryTool)
    url = bucket.put_all("raw", FILES)
    tool("init")
    tool("put", url, "data")
    bucket.put("raw/a.txt", b"another")

    diff = tool.json("diff", "data", url)
    status = tool.json("status", "data", url, "--exclude", "a.txt")

    assert [one["path"] for one in diff["modified"]] == ["a.txt"]
    assert (diff["old"], diff["new"]) == ("data", url)
    assert [one["path"] for one in status["removed"]] == ["a.txt"]


def test_nothing_behind_a_url_is_not_found(store: cas.Store, bucket: MemoryBucket) -> None:
    """As a folder that is not there."""
    store.put(bucket.put_all("raw", FILES), "data")

    with pytest.raises(cas.NotFoundError) as caught:
        store.diff_folder("data", bucket.put_all("other", {}))

    assert caught.value.code is ErrorCode.PATH_NOT_FOUND
