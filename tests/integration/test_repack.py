"""Repacking through the tool, on stores of several kinds, with readers that were there before."""

from __future__ import annotations

import json

import pytest
from cas_tool import MemoryTool, QuickTool, make_tool

import cas as library
from cas.testing.corpora import random_content

KINDS = ("folder", "memory", "ministack")
FILES, FILE_BYTES = 12, 150_000
# What a plain `gc` takes is a large share of a small store.
DELETE = ("--apply", "--override", "too-much")


@pytest.fixture(params=KINDS)
def shop(request, tmp_path):
    """The tool, the place of a store, and a folder with what is left of it: of twelve files two."""
    place = request.getfixturevalue(request.param).new_place()
    tool = make_tool(tmp_path, MemoryTool if request.param == "memory" else QuickTool)
    options = ", ".join(f"{key} = {json.dumps(value)}" for key, value in place.options.items())
    settings = f'[stores.main]\nurl = "{place.url}"\noptions = {{ {options} }}\n'
    (tool.cwd / "cas.toml").write_text(settings)
    tool.environ["CAS_STORE"] = "main"
    tool("init")
    folder = tool.cwd / "files"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}").write_bytes(random_content(number, FILE_BYTES))
    tool("put", "files", "data")
    for number in set(range(FILES)) - {2, 9}:
        (folder / f"{number:02}").unlink()
    tool("put", "files", "data")
    tool("rm", "data:v0", "--now", "-y")
    return tool, place, folder


def test_a_repack_frees_what_no_version_needs_and_changes_no_version(shop, tree):
    """Told first, then done: digests stay, open files read on, and the next one has nothing to do."""
    tool, place, folder = shop
    before = tool.json("show", "data")
    planned = tool.json("gc", "--repack")["repack"]
    store = library.Store.open(place.url, storage_options=place.options)
    version = store.version("data")
    opened = version.open("02")
    head = opened.read(10)

    done = tool.json("gc", "--repack", *DELETE)
    used = tool.json("du")["store_bytes"]
    again = tool.json("gc", "--repack")
    tool("get", "data", "back")

    dead = (FILES - 2) * FILE_BYTES
    assert planned["versions"] == 1
    assert abs(planned["freed_bytes"] - dead) < FILE_BYTES / 10
    assert [one["outcome"] for one in done["repack"]["revisions"]] == ["published"]
    assert done["deleted"]["bytes"] > FILES * FILE_BYTES
    assert used < 2.2 * FILE_BYTES
    assert again["repack"]["blobs"] == []
    assert again["garbage"]["blobs"] == 0
    assert tool.json("show", "data")["digest"] == before["digest"]
    assert tree(tool.cwd / "back") == tree(folder)
    assert head + opened.read() == (folder / "02").read_bytes()
    assert version.read("09") == (folder / "09").read_bytes()
    opened.close()
    store.close()


def test_a_put_after_a_repack_sends_only_what_is_new(shop):
    """Its journal knows the old places, which are gone."""
    tool, _, folder = shop
    tool("gc", "--repack", *DELETE)
    (folder / "new").write_bytes(b"n" * 1000)

    put = tool.json("put", "files", "data")
    collected = tool.json("gc", "--grace", "0s", *DELETE)
    tool("get", "data", "back")

    assert (put["ref"], put["new_bytes"]) == ("data:v2", 1000)
    # The page of the version before it was moved, and nothing else.
    assert (collected["deleted"]["blobs"], collected["deleted"]["bytes"] < 5000) == (1, True)
    assert (tool.cwd / "back" / "02").read_bytes() == (folder / "02").read_bytes()


def test_a_repack_is_told_in_words(shop):
    """What it would free, what it frees, and that digests stay."""
    tool, _, _ = shop

    told = tool("gc", "--repack")
    done = tool("gc", "--repack", *DELETE)
    left_alone = tool("gc", "--repack-below", "10", "--repack")

    assert "repacking 1 blob would free 1.4 MiB and store 293.3 KiB anew" in told.out
    assert "1 version would get new places; digests stay" in told.out
    assert "cas gc --repack --apply" in told.err
    assert "emptied 1 blob: 1.4 MiB to be freed" in done.out
    assert "1 version got new places" in done.out
    assert "repacking 0 blobs would free 0 B" in left_alone.out


def test_what_a_repack_empties_is_no_reason_to_brake(shop):
    """Nearly all of a small store was verified and stored anew; dry run and run both say so."""
    tool, _, _ = shop

    planned = tool.json("gc", "--repack")
    told = tool("gc", "--repack")
    done = tool.json("gc", "--repack", "--apply")

    assert planned["brakes"] == []
    assert "--override" not in told.err
    assert "emptied by a repack" in told.out
    assert done["deleted"] == planned["garbage"]
    assert done["plan"]["shares"] == planned["shares"]
    assert [one["why"] for one in planned["shares"]] == ["repacked", "purged"]
    assert planned["garbage"]["bytes"] > 0.9 * planned["store"]["bytes"]


def test_a_brake_holds_before_anything_is_repacked(shop):
    """By what else would go; then neither the store nor the trash is changed."""
    tool, place, folder = shop
    (folder / "large").write_bytes(random_content(99, 20 * FILE_BYTES))
    tool("put", "files", "data")
    tool("rm", "data:v2", "-y")
    asked = ("gc", "--repack", "--trash-keep", "0s")
    with place.open() as backend:
        before = {one.key for one in backend.list_objects("")}

        planned = tool.json(*asked)
        refused = tool("gc", "--repack", "--apply", "--trash-keep", "0s", code=10)

        assert {one.key for one in backend.list_objects("")} == before
    assert [one["kind"] for one in planned["brakes"]] == ["too-much"]
    assert planned["brakes"][0]["message"] in refused.err
    tool("restore", "data:v2")


def test_what_the_policy_purges_is_repacked_in_the_same_run(shop):
    """The dry run counts with it, though the version still is in the trash."""
    tool, _, folder = shop
    tool("gc", "--repack", "--apply")
    (folder / "09").unlink()
    tool("put", "files", "data")
    tool("rm", "data:v1", "-y")
    asked = ("gc", "--repack", "--trash-keep", "0s", "--repack-below", "60")

    planned = tool.json(*asked)
    done = tool.json(*asked, "--apply")
    again = tool.json(*asked)

    assert [one["number"] for one in done["moved"]["purged"]] == [1]
    assert len(planned["repack"]["blobs"]) == 1
    assert done["repack"]["plan"] == planned["repack"]
    assert done["deleted"] == planned["garbage"]
    assert tool.json("du")["store_bytes"] < 1.2 * FILE_BYTES
    assert again["garbage"]["blobs"] == 0
    assert again["repack"]["blobs"] == []


def test_a_version_can_be_pinned_while_it_is_got(shop, tree):
    """The pin is gone afterwards, so the next collection may take what only it kept."""
    tool, place, folder = shop

    tool("get", "data", "back", "--pin")

    assert tree(tool.cwd / "back") == tree(folder)
    with place.open() as backend:
        assert list(backend.list_objects("sessions")) == []
