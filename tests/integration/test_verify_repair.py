"""`cas verify`, `cas repair` and `cas get --allow-holes` as a user runs them, on a folder and on S3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cas_tool import QuickTool, Tool, make_tool

from cas.backend.base import Backend
from cas.testing.corpora import random_content

LARGE = random_content(3, 1_500_000)


class Bench:
    """A tool with a store that has one version, and hands that reach below it."""

    def __init__(self, tool: Tool, backend: Backend) -> None:
        self.tool = tool
        self.backend = backend
        self.folder = tool.cwd / "data"
        self.folder.mkdir()
        (self.folder / "large.bin").write_bytes(LARGE)
        (self.folder / "note.txt").write_text("note\n" * 1000)
        tool("init")
        tool("put", self.folder, "set")
        self.key = self.blob()

    def blob(self) -> str:
        """Return the key of the only data blob."""
        (key,) = (one.key for one in self.backend.list_objects("blobs"))
        return key

    def flip(self) -> None:
        """Flip a bit in the middle of the blob."""
        content = bytearray(self.backend.get(self.key))
        content[len(content) // 2] ^= 1
        self.backend.delete(self.key)
        self.backend.put(self.key, [bytes(content)])


@pytest.fixture(params=["folder", "ministack"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """A store of each kind."""
    place = request.getfixturevalue(request.param).new_place()
    tool = make_tool(tmp_path, QuickTool)
    options = ", ".join(f"{key} = {json.dumps(value)}" for key, value in place.options.items())
    (tool.cwd / "cas.toml").write_text(
        f'[stores.main]\nurl = "{place.url}"\noptions = {{ {options} }}\n'
    )
    tool.environ["CAS_STORE"] = "main"
    return Bench(tool, place.open())


def test_damage_is_found_told_and_brought_back(bench):
    """From a plain copy of the files, after a dry run that wrote nothing."""
    cas = bench.tool
    assert cas("verify", "--data").out.startswith(("1 version", "no damage found"))
    bench.flip()

    assert cas.json("verify")["sound"] is True  # the structure is whole
    found = cas.json("verify", "--data", code=8)
    told = cas("verify", "--data", code=8)
    listed = {one.key for one in bench.backend.list_objects("")}
    plan = cas("repair", "--from", bench.folder)
    assert {one.key for one in bench.backend.list_objects("")} == listed
    done = cas.json("repair", "--from", bench.folder, "--apply")

    (problem,) = found["problems"]
    assert (problem["kind"], problem["key"], problem["versions"]) == (
        "blob",
        bench.key,
        ["set:v0"],
    )
    assert bench.key in told.out
    assert "would repair set:v0" in plan.out
    assert (done["whole"], done["revised"], done["found_chunks"]) == (True, ["set:v0"], 1)
    assert cas.json("verify", "--data")["sound"] is True
    cas("get", "set", "back")
    assert (cas.cwd / "back" / "large.bin").read_bytes() == LARGE


def test_what_is_lost_is_told_and_the_rest_can_be_had(bench):
    """Without a copy: exit codes say so, and a get with holes writes what there is."""
    cas = bench.tool
    bench.flip()
    cas("verify", "--data", code=8)

    lost = cas.json("repair", "--apply", code=8)["lost"]
    cas("get", "set", "strict", code=8)
    got = cas.json("get", "set", "loose", "--allow-holes", code=9)

    assert got["holes"] == lost
    (hole,) = lost
    content = bytearray(LARGE)
    content[hole["start"] : hole["stop"]] = bytes(hole["stop"] - hole["start"])
    assert (hole["path"], hole["version"]) == ("large.bin", "set:v0")
    assert (cas.cwd / "loose" / "large.bin").read_bytes() == content
    assert (cas.cwd / "loose" / "note.txt").read_text() == "note\n" * 1000


def test_putting_the_same_again_heals(bench):
    """The version keeps its number, and says that it was healed."""
    cas = bench.tool
    bench.flip()
    cas("verify", "--data", code=8)

    put = cas.json("put", bench.folder, "set")

    assert (put["ref"], put["created"], put["healed"]) == ("set:v0", False, True)
    cas("get", "set", "back")
    assert (cas.cwd / "back" / "large.bin").read_bytes() == LARGE


def test_another_store_is_named_like_any_store(bench):
    """By a folder here; what it has is asked for first by the same blobs, then by chunks."""
    cas = bench.tool
    cas("init", cas.cwd / "other")
    cas("copy", "set", "--to", cas.cwd / "other")
    bench.backend.delete(bench.key)
    assert "is missing" in cas("verify", code=8).out

    done = cas("repair", "--from", cas.cwd / "other", "--apply", "-q")

    assert done.out == "repaired set:v0\n"

    assert cas.json("verify")["sound"] is True


def test_small_runs_go_on_where_the_last_ended(bench):
    """With a budget of one byte each run reads one blob, and remembers it."""
    cas = bench.tool
    runs = [cas.json("verify", "--data", "--budget", "1", "--max-age", "1d") for _ in range(3)]

    assert [run["read_blobs"] for run in runs] == [1, 1, 0]
    assert [run["left_blobs"] for run in runs] == [1, 0, 0]
    assert runs[-1]["recent_blobs"] == 2


def test_limits_without_data_are_a_mistake(bench):
    """Only data is read by budgets."""
    assert "--data" in bench.tool("verify", "--budget", "1GB", code=2).err


def test_a_healthy_store_has_nothing_to_repair(bench):
    """And says so."""
    assert bench.tool("repair").out == "nothing to repair\n"
    assert "neither a store nor" in bench.tool("repair", "--from", "nowhere", code=3).err
