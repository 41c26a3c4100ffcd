"""What is told, kept and deleted beside records that cannot be read, through the tool."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cas_tool import QuickTool, make_tool

from cas.testing.corpora import random_content

SLOT = "artifacts/{}/versions/000000000{}"
RESTORED = SLOT.format("old", 0) + ".m0002"
ALIAS = "artifacts/data/aliases/best/00000000"


@pytest.fixture
def shop(tmp_path):
    """Three versions of data, one aliased; a model of data:v0; an old one that was restored."""
    tool = make_tool(tmp_path, QuickTool)
    tool("init")
    names = ["data", "data", "data", "model", "model", "old", "old"]
    for seed, name in enumerate(names):
        (tool.cwd / "file").write_bytes(random_content(seed, 50_000))
        made_from = ("--input", "data:v0") if seed == 3 else ()
        tool("put", "file", "-n", name, *made_from)
        if seed == 1:
            tool("tag", "data:v1", "best")
    tool("rm", "old:v0", "-y")
    tool("restore", "old:v0")
    return tool


def store_of(tool):
    return Path(tool.environ["CAS_STORE"])


def forget(tool):
    """Remove what this machine noted."""
    shutil.rmtree(tool.environ["CAS_HOME"])


def flip(tool, key):
    """Damage the middle of an object; one bit alone may be one that zstd does not look at."""
    path = store_of(tool) / key
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 2, len(content) // 2 + 16):
        content[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def key_of(tool, folder):
    """Return the blob, or the blob of pages, of data:v1, which was stored second."""
    stored = [one for one in (store_of(tool) / folder).rglob("*") if one.is_file()]
    stored.sort(key=lambda one: one.stat().st_mtime_ns)
    return stored[1].relative_to(store_of(tool)).as_posix()


def going(tool, *words, code=0):
    """What a pruning of everything would move to the trash."""
    plan = tool.json("prune", "*", "--keep-last", "1", *words, code=code)
    return {(one["artifact"], one["number"]) for one in plan["versions"] if not one["reasons"]}


@pytest.mark.parametrize("blobs", [(), ("--blobs",)])
@pytest.mark.parametrize("what", ["record", "move", "page"])
def test_space_is_told_beside_what_is_damaged(shop, what, blobs):
    """It is named, whatever it is; the rest is counted, and the exit code is that of damage."""
    whole = shop.json("du", *blobs)
    key = {
        "record": SLOT.format("data", 1),
        "move": RESTORED,
        "page": key_of(shop, "meta"),
    }[what]
    flip(shop, key)
    forget(shop)

    told = shop("du", *blobs, code=8)
    found = shop.json("du", *blobs, code=8)

    ref = "old:v0" if what == "move" else "data:v1"
    assert f"warning: {ref}: {key}" in told.err
    assert "Traceback" not in told.err
    assert [f"{one['artifact']}:v{one['number']}" for one in found["damaged"]] == [ref]
    counted = {(one["artifact"], one["number"]) for one in whole["versions"]}
    missing = set() if what == "move" else {("data", 1)}
    assert {(one["artifact"], one["number"]) for one in found["versions"]} == counted - missing
    assert found["store_bytes"] == whole["store_bytes"]
    assert shop("du", "data:v1", *blobs, code=8).err.startswith(
        "warning: old" if what == "move" else "error: "
    )


def test_space_is_told_beside_a_table_that_is_damaged(shop):
    """Only versions that need the blob are left out; by whole blobs none is."""
    blob = store_of(shop) / key_of(shop, "blobs")
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-100])

    found = shop.json("du", code=8)

    assert [one["number"] for one in found["damaged"]] == [1]
    assert [one["number"] for one in found["versions"] if one["artifact"] == "data"] == [0, 2]
    assert len(shop.json("du", "--blobs")["versions"]) == 7


def test_a_damaged_alias_takes_nothing_from_what_space_is_told(shop):
    """Aliases take none."""
    flip(shop, ALIAS)

    assert shop.json("du")["damaged"] == []


def test_a_pruning_never_moves_more_because_a_record_cannot_be_read(shop):
    """Whichever record of a version, move or alias it is."""
    whole = going(shop)
    records = [one for one in (store_of(shop) / "artifacts").rglob("*") if one.is_file()]

    for record in sorted(records):
        flip(shop, record)
        # An older move counts no more.
        moved = going(shop, code=0 if record.suffix == ".m0001" else 8)
        flip(shop, record)
        assert moved <= whole, record
    assert whole == {("data", 0), ("model", 0), ("old", 0)}
    assert len(records) == 10


def test_a_pruning_keeps_what_a_damaged_version_may_have_been_made_from(shop):
    """That is any; given up, it speaks for nothing."""
    flip(shop, SLOT.format("model", 1))

    kept = shop("prune", "old", "--keep-last", "1", "--apply", code=8)
    shop("rm", "--now", "--force", "-y", "model:v1")
    moved = shop("prune", "old", "--keep-last", "1", "--apply")

    assert "model:v1, which is damaged, may have been made from it" in kept.out
    assert "cas rm --now --force model:v1" in kept.err
    assert "moved 1 version to the trash" in moved.out


def test_a_damaged_version_in_the_trash_speaks_for_nothing(shop):
    """As any other there."""
    shop("rm", "model:v1", "-y")
    flip(shop, SLOT.format("model", 1))

    assert ("old", 0) in going(shop, code=8)


def test_a_pruning_goes_on_beside_a_damaged_alias_of_another_artifact(shop):
    """Of its own all versions stay: it may point to any."""
    flip(shop, ALIAS)

    mine = shop.json("prune", "data", "--keep-last", "1", "--apply", code=8)
    others = shop.json("prune", "old", "--keep-last", "1", "--apply")

    assert mine["trashed"] == []
    assert [one["alias"] for one in mine["damaged"]] == ["best"]
    assert [one["number"] for one in others["trashed"]] == [0]


def test_a_damaged_restoration_still_speaks_for_what_it_was_made_from(shop):
    """The version may be visible."""
    shop("rm", "model:v0", "-y")
    shop("restore", "model:v0")
    flip(shop, SLOT.format("model", 0) + ".m0002")
    flip(shop, ALIAS)
    shop("tag", "data:v2", "best")

    plan = shop.json("prune", "data", "--keep-last", "1")

    assert {one["number"]: one["reasons"] for one in plan["versions"]}[0] == [
        "model:v0 was made from it"
    ]


def test_why_says_what_else_may_keep_it(shop):
    """A version, a file and a blob are explained beside damage, which is named."""
    flip(shop, SLOT.format("data", 2))
    blob = key_of_orphan(shop)

    version = shop("why", "old:v1", code=8)
    file = shop("why", "old:v1/file", code=8)
    orphan = shop("why", blob, code=8)

    assert version.out.startswith("old:v1  is kept")
    assert "data:v2: artifacts/data/versions/0000000002" in version.err
    assert "needed by old:v1" in file.out
    assert "nothing keeps it" not in orphan.out
    assert "cas gc deletes nothing" in orphan.out
    assert shop("why", "data:v2", code=8).out == ""


def key_of_orphan(tool):
    """A blob that no version which can be read needs."""
    for one in sorted((store_of(tool) / "blobs").rglob("*")):
        if one.is_file() and not tool.json("why", one.name, code=8)["blobs"][0]["versions"]:
            return one.name
    raise AssertionError


def test_why_tells_the_rest_beside_a_page_that_is_damaged(shop):
    """The version is named of which not all could be read."""
    flip(shop, key_of(shop, "meta"))
    forget(shop)

    told = shop("why", "data:v0/file", code=8)

    assert "needed by data:v0" in told.out
    assert "warning: data:v1: " in told.err


def test_a_version_is_deleted_beside_a_damaged_alias_by_force_alone(shop):
    """It may point there, and be protected."""
    flip(shop, ALIAS)

    asked = shop("rm", "data:v0", "-y", code=10)
    shop("rm", "data:v0", "-y", "--force")

    assert "best is damaged and may point to data:v0" in asked.err
    assert "--force" in asked.err
