"""The main uses of the tool, the same on every kind of store, from the first command to the last."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cas_tool import MemoryTool, QuickTool, Tool, make_tool
from servers.place import Place, StoreServer

from cas.backend.base import Backend
from cas.model.units import MIB
from cas.testing.corpora import random_content

# Every use is tried on these; the others are of the same families, or slow to serve.
KINDS = ("folder", "memory", "ministack", "fake_gcs")
OTHER_KINDS = ("moto", "weed", "azurite", "sftp")
PIECE_BYTES = 8 * MIB
# Segments wait in a window before they are packed: only then does a blob fill and go.
FED_BYTES, INTERRUPTED_BYTES = 120 * MIB, 144 * MIB


@dataclass(frozen=True)
class Shop:
    """A tool, and the place of the store that it works with."""

    tool: Tool
    place: Place

    def make_files(self, name: str) -> Path:
        """Make a small folder in the tool's."""
        folder = self.tool.cwd / name
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "a.txt").write_text("alpha\n" * 1000)
        (folder / "train" / "b.bin").write_bytes(random_content(7, 300_000))
        (folder / "run.sh").write_text("#!/bin/sh\n")
        (folder / "run.sh").chmod(0o755)
        (folder / "link").symlink_to("run.sh")
        return folder


def open_shop(kind: str, server: StoreServer, folder: Path) -> Shop:
    """Name a new place of a server in the settings of a new tool, under the name `main`."""
    place = server.new_place()
    tool = make_tool(folder, MemoryTool if kind == "memory" else QuickTool)
    options = ", ".join(f"{key} = {json.dumps(value)}" for key, value in place.options.items())
    settings = f'[stores.main]\nurl = "{place.url}"\noptions = {{ {options} }}\n'
    (tool.cwd / "cas.toml").write_text(settings)
    tool.environ["CAS_STORE"] = "main"
    return Shop(tool, place)


@pytest.fixture(scope="module", params=KINDS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A new store of each kind, one for all tests here; each has artifacts of its own."""
    server = request.getfixturevalue(request.param)
    shop = open_shop(request.param, server, tmp_path_factory.mktemp(request.param))
    assert shop.tool.json("init")["create_if_absent"] is True
    return shop


@pytest.fixture
def cas(shop: Shop) -> Tool:
    """The tool of the store."""
    return shop.tool


def test_a_folder_comes_back_and_is_not_sent_twice(shop, cas, tree):
    """Contents, links and modes survive; a second put and a second get move no byte."""
    files = shop.make_files("first")

    put = cas.json("put", "first", "data")
    again = cas.json("put", "first", "data")
    cas("get", "data", "back")
    repeated = cas.json("get", "data", "back")

    assert (put["ref"], put["created"]) == ("data:v0", True)
    assert (again["ref"], again["created"], again["sent_bytes"]) == ("data:v0", False, 0)
    assert tree(cas.cwd / "back") == tree(files)
    assert (repeated["unchanged_files"], repeated["fetched_bytes"]) == (3, 0)


def test_a_change_makes_a_version_that_can_be_listed_compared_and_read(shop, cas):
    """The new version brings the new bytes; log, diff, ls and cat tell the two apart."""
    files = shop.make_files("changing")
    cas("put", "changing", "history", "-m", "first")
    (files / "new.bin").write_bytes(random_content(8, 5000))
    (files / "run.sh").write_text("#!/bin/bash\n")

    put = cas.json("put", "changing", "history", "-m", "second")
    logged = cas.json("log", "history")["versions"]
    compared = cas.json("diff", "history:v0", "history")
    listed = cas("ls", "history:v0", "-R").out

    assert (put["ref"], put["new_bytes"]) == ("history:v1", 5000)
    assert [(entry["number"], entry["message"]) for entry in logged] == [
        (1, "second"),
        (0, "first"),
    ]
    assert [change["path"] for change in compared["added"]] == ["new.bin"]
    assert [change["path"] for change in compared["modified"]] == ["run.sh"]
    assert listed == "link\nrun.sh\ntrain/a.txt\ntrain/b.bin\n"
    assert cas("cat", "history:v0/run.sh").out == "#!/bin/sh\n"
    assert cas("cat", "history:v1/run.sh").out == "#!/bin/bash\n"


def test_an_alias_moves_and_protects_and_a_deleted_version_comes_back(shop, cas):
    """Tag, rm and restore, each seen by the next command."""
    files = shop.make_files("tagged")
    cas("put", "tagged", "bert", "-a", "best")
    (files / "more.txt").write_text("more\n")
    cas("put", "tagged", "bert")

    moves = cas.json("tag", "bert:v1", "best")["moves"]
    refused = cas.json("rm", "bert:best", "-y", code=10)
    cas("rm", "bert:v0", "-y")
    gone = cas.json("show", "bert:v0", code=3)
    cas("restore", "bert:v0")

    assert [(move["alias"], move["previous"], move["number"]) for move in moves] == [("best", 0, 1)]
    assert refused["error"]["code"] == "brake"
    assert gone["error"]["code"] == "version-deleted"
    assert cas.json("show", "bert:v0")["ref"] == "bert:v0"
    assert cas.json("show", "bert:best")["ref"] == "bert:v1"


def test_the_space_of_a_version_that_is_deleted_for_good_comes_back(shop, cas):
    """What other versions need stays, and nothing that was deleted is listed or led to."""
    file = cas.cwd / "freed.bin"
    for seed in (10, 11):
        file.write_bytes(random_content(seed, 300_000))
        cas("put", "freed.bin", "freed")
    cas("rm", "freed:v0", "--now", "-y")
    before = cas.json("gc", "--override", "too-much")["store"]

    done = cas.json("gc", "--apply", "--override", "too-much")
    after = cas.json("gc")
    cas("get", "freed:v1", "freed-back")
    again = cas.json("put", "freed.bin", "freed-again")

    assert done["deleted"]["blobs"] >= 2
    assert done["deleted"]["bytes"] > 300_000
    assert after["store"]["bytes"] == before["bytes"] - done["deleted"]["bytes"]
    assert after["garbage"]["blobs"] == 0
    assert (cas.cwd / "freed-back" / "freed.bin").read_bytes() == random_content(11, 300_000)
    assert again["new_bytes"] == 0


def test_space_is_told_kept_by_rules_and_freed(shop, cas):
    """Du says beforehand what a collection frees, prune what goes, why what keeps the rest."""
    files = shop.make_files("checkpoints")
    for number in range(3):
        (files / "weights.bin").write_bytes(random_content(20 + number, 200_000))
        cas("put", "checkpoints", "run", "--metadata", f"val_loss=0.{number + 1}", "--ttl", "30d")
    cas("tag", "run:v1", "best", "--protect")

    pruned = cas.json("prune", "run", "--keep-top", "1:val_loss", "--apply")
    expires = cas.json("ttl", "run:v0", "never")["expires"]
    (before,) = cas.json("du", "run:v2")["versions"]
    why = cas.json("why", "run:v1")["version"]
    blob = cas.json("why", "run:v1/weights.bin")["blobs"][0]
    refused = cas.json("rm", "--now", "run:v1", "-y", code=10)
    purged = cas.json("rm", "--now", "run:v2", "-y")["purged"]
    freed = cas.json("gc", "--apply")["deleted"]
    cas("get", "run:v1", "best-run")

    assert [one["number"] for one in pruned["trashed"]] == [2]
    assert expires is None
    assert (why["protected"], [one["number"] for one in blob["versions"]]) == (["best"], [1])
    assert "best" in refused["error"]["message"]
    assert [one["number"] for one in purged] == [2]
    assert (before["state"], freed["bytes"]) == ("trashed", before["freed_bytes"])
    assert (cas.cwd / "best-run" / "weights.bin").read_bytes() == random_content(21, 200_000)


def test_a_version_goes_to_another_kind_of_store_and_comes_back(shop, cas, tree):
    """Under its digest each time, and nothing is sent for what is there."""
    files = shop.make_files("travelling")
    cas("put", "travelling", "traveller", "-d", "about")
    cas("init", "elsewhere")

    there = cas.json("copy", "traveller", "--to", "./elsewhere")
    again = cas.json("push", "traveller", "--to", "./elsewhere")
    back = cas.json("pull", "traveller", "--from", "./elsewhere", "--as", "returned")
    cas("get", "returned", "got-back")

    (sent,), (kept,), (returned,) = (one["versions"] for one in (there, again, back))
    assert (sent["created"], kept["created"], returned["created"]) == (True, False, True)
    assert sent["digest"] == returned["digest"] == cas.json("show", "traveller")["digest"]
    assert (again["sent_bytes"], returned["new_bytes"]) == (0, 0)
    assert cas.json("show", "returned")["description"] == "about"
    assert tree(cas.cwd / "got-back") == tree(files)


def test_two_writers_at_once_both_publish(shop, cas):
    """Each gets a number of its own, and both versions are whole."""
    for name in ("left", "right"):
        (cas.cwd / name).mkdir()
        (cas.cwd / name / "file.bin").write_bytes(random_content(len(name), 400_000))

    lines = cas.together(*(("put", name, "raced", "-q") for name in ("left", "right")))
    cas("get", "raced:v0", "v0")
    cas("get", "raced:v1", "v1")

    assert lines == ["raced:v0", "raced:v1"]
    assert {(cas.cwd / name / "file.bin").read_bytes() for name in ("v0", "v1")} == {
        (cas.cwd / name / "file.bin").read_bytes() for name in ("left", "right")
    }


def test_an_interrupted_put_publishes_nothing_and_is_resumed(shop, cas):
    """After Ctrl-C there is no version, and the same command sends only what is missing."""
    content = os.urandom(INTERRUPTED_BYTES)
    words = ("put", "-", "dump", "--path", "x", "-j", "1")
    with shop.place.open() as backend:
        before = blobs_on(backend)
        pieces = held_back(content, lambda: blobs_on(backend) > before)
        code = cas.interrupt(*words, pieces=pieces, when=lambda: blobs_on(backend) > before)
    missing = cas.json("show", "dump", code=3)
    again = cas(*words, stdin=content)

    assert code == 130
    assert missing["error"]["code"] == "artifact-not-found"
    assert "resumed: " in again.out
    assert cas.json("show", "dump")["new_bytes"] < len(content)


def blobs_on(backend: Backend) -> int:
    """Count the blobs of a store."""
    return sum(1 for _ in backend.list_objects("blobs"))


def held_back(content: bytes, is_stored: Callable[[], bool]) -> Iterator[bytes]:
    """Give content in pieces, the last ones only when something of it is stored."""
    patience = threading.Event()
    for start in range(0, len(content), PIECE_BYTES):
        for _ in range(2000):
            if start < FED_BYTES or is_stored():
                break
            patience.wait(0.03)  # nothing tells when a blob is stored
        yield content[start : start + PIECE_BYTES]


def test_a_store_is_never_made_twice(cas):
    """The second init leaves the store as it is."""
    assert cas.json("init", code=4)["error"]["code"] == "store-exists"


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_the_main_uses_work_on_other_kinds_of_store(kind, request, tmp_path, tree):
    """Init, put, put again, cat and get; what protects a version is there but on sftp."""
    shop = open_shop(kind, request.getfixturevalue(kind), tmp_path)
    cas, files = shop.tool, shop.make_files("data")

    made = cas.json("init")
    put = cas.json("put", "data", "data", "-a", "best")
    again = cas.json("put", "data", "data")
    cas("get", "data:best", "back")

    assert made["create_if_absent"] is (kind != "sftp")
    assert (put["ref"], again["created"], again["sent_bytes"]) == ("data:v0", False, 0)
    assert tree(cas.cwd / "back") == tree(files)
    assert cas("cat", "data:v0/run.sh").out == "#!/bin/sh\n"


@pytest.mark.parametrize("kind", ["forgetful", "fauxqs"])
def test_a_server_that_overwrites_silently_is_found_out_and_used_with_care(
    kind, request, tmp_path, tree
):
    """Init says what it found; put and get work, and what needs the condition changes nothing."""
    shop = open_shop(kind, request.getfixturevalue(kind), tmp_path)
    cas, files = shop.tool, shop.make_files("data")

    made = cas("init")
    cas("put", "data", "data")
    (files / "more.txt").write_text("more\n")
    put = cas.json("put", "data", "data")
    refused = cas.json("rm", "data:v0", "-y", code=6)
    told = cas("restore", "data:v0", code=6)
    cas("prune", "data", "--keep-last", "1", "--apply", code=6)
    braked = cas("gc", "--apply", code=6)
    cas("get", "data", "back")

    assert "does not keep two writers apart" in made.err
    assert put["ref"] == "data:v1"
    assert refused["error"]["code"] == "missing-guarantee"
    assert [line.partition(":")[0] for line in told.err.splitlines()[-2:]] == ["error", "hint"]
    assert "cas gc --exclusive" in braked.err
    assert [version["number"] for version in cas.json("log", "data")["versions"]] == [1, 0]
    assert tree(cas.cwd / "back") == tree(files)


def test_garbage_on_a_server_that_overwrites_is_collected_by_whoever_is_alone(fauxqs, tmp_path):
    """A put that failed leaves blobs; they go, and what versions need stays."""
    shop = open_shop("fauxqs", fauxqs, tmp_path)
    cas, files = shop.tool, shop.make_files("data")
    cas("init")
    cas("put", "data", "data")
    with shop.place.open() as backend:
        backend.put(f"blobs/ab/{'ab' * 32}", [b"left behind"])

    done = cas.json("gc", "--exclusive", "--apply", "--grace", "0s")
    cas("get", "data", "back")

    assert done["deleted"]["blobs"] == 1
    assert (cas.cwd / "back" / "run.sh").read_bytes() == (files / "run.sh").read_bytes()
    cas("verify", "--data")


def test_a_server_whose_listings_leave_folders_out_gets_no_store(s3rver, tmp_path):
    """A collection there would take for garbage what it does not see; nothing is left behind."""
    shop = open_shop("s3rver", s3rver, tmp_path)

    refused = shop.tool.json("init", code=6)

    assert refused["error"]["code"] == "missing-guarantee"
    assert "leave out" in refused["error"]["message"]
    with shop.place.open() as backend:
        assert list(backend.list_objects("")) == []
