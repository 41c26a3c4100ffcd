"""Collecting garbage with the tool: what is told, what is deleted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cas_tool import QuickTool, make_tool

from cas.backend.open import open_backend
from cas.format import keys
from cas.model.ids import BlobId
from cas.objects.collections import give_verdict, open_run
from cas.objects.id_sets import ids_of, no_ids
from cas.testing.corpora import random_content


@pytest.fixture
def tool(tmp_path):
    """The tool and a store with three versions of `data`."""
    tool = make_tool(tmp_path, QuickTool)
    tool("init")
    for number in range(3):
        put(tool, number)
    return tool


def put(tool, number):
    (tool.cwd / "file").write_bytes(random_content(number, 30_000))
    tool("put", "file", "-n", "data")


def objects(tool, *folders):
    """How many files there are in folders of the store."""
    store = Path(tool.environ["CAS_STORE"])
    return sum(path.is_file() for one in folders for path in (store / one).rglob("*"))


def test_without_apply_it_only_tells(tool):
    """How much, whose, and how to do it."""
    tool("rm", "data:v0", "--now", "-y")
    before = objects(tool, ".")

    told = tool("gc")

    assert told.out.splitlines()[0].startswith("would delete 30.")
    assert "in 2 blobs of deleted versions of data" in told.out
    assert "--override too-much" in told.err
    assert "cas gc --apply" in told.err
    assert objects(tool, ".") == before > 6


def test_with_apply_the_space_of_a_deleted_version_is_free_at_once(tool):
    """However young it is: it was deleted on purpose."""
    tool("rm", "data:v0", "--now", "-y")

    done = tool.json("gc", "--apply", "--override", "too-much")

    assert done["deleted"]["blobs"] == 2
    assert done["plan"]["shares"] == [
        {"why": "purged", "artifact": "data", "space": done["plan"]["garbage"]}
    ]
    assert objects(tool, "blobs", "meta") == 4
    tool("get", "data:v1", "back")
    assert (tool.cwd / "back" / "file").read_bytes() == random_content(1, 30_000)
    assert "deleted 0 B in 0 blobs" in tool("gc", "--apply").out


def test_a_brake_ends_with_exit_10_and_names_its_flag(tool):
    """As text and as JSON; nothing was deleted."""
    tool("rm", "data:v0", "--now", "-y")

    refused = tool("gc", "--apply", code=10)
    document = tool.json("gc", "--apply", code=10)

    assert "nothing was deleted: 33 % of the bytes in the store would go" in refused.err
    assert "--override too-much" in refused.err
    assert document["error"]["code"] == "brake"
    assert objects(tool, "blobs", "meta") == 6


def test_the_trash_keeps_its_blobs_until_it_is_emptied(tool):
    """By a span of time; then what was in it is gone for good."""
    tool("rm", "data:v0", "-y")

    kept = tool.json("gc", "--apply", "--explain")
    told = tool("gc", "--trash-keep", "0s").out
    emptied = tool("gc", "--apply", "--trash-keep", "0s", "--override", "too-much").out

    reasons = {one["ref"]: one["reasons"] for one in kept["plan"]["kept"]}
    assert reasons == {
        "data:v0": ["in the trash"],
        "data:v1": ["not deleted"],
        "data:v2": ["newest"],
    }
    assert kept["deleted"]["blobs"] == 0
    assert "would purge data:v0" in told
    assert "purged data:v0" in emptied
    assert objects(tool, "blobs", "meta") == 4
    tool("restore", "data:v0", code=3)


def test_grace_takes_spans_of_time_and_nothing_else(tool):
    """With a hint how to write them."""
    assert "30d" in tool("gc", "--grace", "soon", code=2).err


def test_statistics_say_what_it_cost(tool):
    """As for every command."""
    assert "requests (get" in tool("gc", "--stats").err


def test_a_version_that_is_gone_for_good_is_named_once(tool):
    """By its number; and an artifact without any version was not made in 1970."""
    for number in range(3):
        tool("rm", f"data:v{number}", "--now", "-y")

    gone = tool("get", "data:v0", "back", code=3)
    listed = tool("ls")

    assert "error: data:v0 was deleted for good" in gone.err
    assert "1970" not in listed.out


def test_what_a_purged_version_shares_blobs_with_is_told_how_to_be_freed(tool):
    """Its space seems to be nowhere: a blob goes as a whole."""
    tool("gc", "--apply", "--grace", "0s")

    told = tool("gc")

    assert told.out.splitlines()[0].startswith("would delete 0 B in 0 blobs, of ")
    assert "to empty some: cas gc --repack" in told.err
    assert "--repack" not in tool("gc", "--repack").err


def test_a_plan_says_what_keeps_it_from_being_carried_out(tool):
    """Not only which flag there is."""
    tool("rm", "data:v0", "--now", "-y")

    assert "warning: --apply would delete nothing: 33 % of the bytes" in tool("gc").err


def test_what_an_earlier_collection_left_is_told_apart_from_what_is_there(tool):
    """It goes first, so it is no part of the store that is looked at then."""
    backend = open_backend(tool.environ["CAS_STORE"])
    backend.put(keys.blob_key(BlobId(b"o" * 32)), [b"left over"])
    give_verdict(backend, open_run(backend, 1, ids_of([b"o" * 32])), no_ids())

    told = tool("gc")
    done = tool("gc", "--apply")

    assert "would end 1 earlier collection, and delete what is left of it" in told.out
    assert "nothing was changed; to do it: cas gc --apply" in told.err
    assert done.out.splitlines()[0] == "deleted 9 B in 1 blob"
