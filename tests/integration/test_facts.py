from __future__ import annotations

import pytest

ARTIFACT_KEYS = {
    "name", "type", "versions", "latest", "size", "created", "aliases", "description",
    "expires",
}  # fmt: skip
VERSION_KEYS = {
    "artifact", "number", "state", "digest", "aliases", "totals", "new_bytes", "stored_bytes",
    "created", "type", "description", "message", "parent", "metadata", "producer", "inputs",
    "expires",
}  # fmt: skip
SHOW_KEYS = {
    "ref", "artifact", "number", "digest", "type", "aliases", "created", "totals", "new_bytes",
    "stored_bytes", "parent", "description", "message", "metadata", "inputs", "producer",
    "expires",
}  # fmt: skip
ENTRY_KEYS = {"path", "kind", "size", "executable", "hash", "target"}
USAGE_KEYS = {
    "logical_bytes", "unique_bytes", "stored_bytes", "exclusive_bytes", "versions", "store_bytes",
    "blobs", "shared_bytes", "freed_bytes", "repack_bytes", "artifacts", "unneeded_bytes",
    "damaged",
}  # fmt: skip
CHANGE_KEYS = {"path", "old_path", "kind", "old_size", "new_size", "entry_kind"}
SUMMARY_KEYS = {
    "added", "removed", "modified", "renamed", "mode_changed", "added_bytes", "removed_bytes",
    "modified_bytes",
}  # fmt: skip


def put_two_versions(cas, data):
    """Put imagenet:v0, and v1 with a file added, removed, modified, renamed, and one mode."""
    cas("put", "data", "imagenet", "-m", "first", "-a", "production")
    (data / "new.txt").write_text("new\n")
    (data / "train" / "b.txt").unlink()
    (data / "readme.md").write_text("about something else\n")
    (data / "train" / "a.txt").rename(data / "train" / "c.txt")
    (data / "run.sh").chmod(0o644)
    cas("put", "data", "imagenet", "-m", "second")


@pytest.fixture
def two_versions(cas, data):
    """A store with two versions, for tests that change it."""
    put_two_versions(cas, data)


@pytest.fixture(scope="module")
def history(own_tool, own_files):
    """The same for all tests here that only read."""
    put_two_versions(own_tool, own_files)
    return own_tool


def test_artifacts_are_listed(history):
    """Each artifact of the store with its newest version."""
    (artifact,) = history.json("ls")["artifacts"]

    assert set(artifact) == ARTIFACT_KEYS
    assert (artifact["name"], artifact["versions"], artifact["latest"]) == ("imagenet", 2, 1)
    assert artifact["aliases"] == ["production"]
    assert history("ls").out.splitlines()[0].split()[:3] == ["NAME", "TYPE", "LATEST"]
    assert history("ls", "-q").out == "imagenet\n"


def test_an_empty_store_says_what_to_do(cas):
    """There is nothing to list, which is no error."""
    listed = cas("ls")

    assert (listed.out, "cas put" in listed.err) == ("", True)


def test_files_are_listed_folder_by_folder(cas, data):
    """One folder unless -R; -l adds sizes; -0 gives names exactly; JSON gives everything."""
    cas("put", "data", "imagenet")

    assert cas("ls", "imagenet").out == "train/\nlink\nreadme.md\nrun.sh\n"
    assert cas("ls", "imagenet:v0/train").out == "train/a.txt\ntrain/b.txt\n"
    assert cas("ls", "imagenet:v0/train/a.txt").out == "train/a.txt\n"
    assert cas("ls", "imagenet", "-R", "-0").out.split("\0")[-2:] == ["train/b.txt", ""]
    assert "link -> readme.md" in cas("ls", "imagenet", "-l").out
    document = cas.json("ls", "imagenet")
    assert (document["ref"], document["path"], document["folders"]) == (
        "imagenet:v0",
        "",
        ["train"],
    )
    assert [set(entry) for entry in document["entries"]] == [ENTRY_KEYS] * 3
    assert [entry["kind"] for entry in document["entries"]] == ["symlink", "file", "file"]


def test_a_version_is_shown(history):
    """Everything that is recorded, in a document and for people."""
    document = history.json("show", "imagenet:production")

    assert set(document) == SHOW_KEYS
    assert (document["ref"], document["aliases"]) == ("imagenet:v0", ["production"])
    assert document["created"].endswith("Z")
    assert document["digest"] in history("show", "imagenet:v0").out


def test_a_version_is_found_by_its_digest(history):
    """The first digits of a digest are a reference, and @ is as good as a colon."""
    digest = history.json("show", "imagenet:v0")["digest"]

    assert history.json("show", f"imagenet:{digest[:12]}")["ref"] == "imagenet:v0"
    assert history.json("show", f"imagenet@{digest}")["ref"] == "imagenet:v0"


def test_the_log_is_newest_first(history):
    """Versions with their sizes, aliases and messages."""
    document = history.json("log", "imagenet")

    assert [version["number"] for version in document["versions"]] == [1, 0]
    assert [set(version) for version in document["versions"]] == [VERSION_KEYS] * 2
    assert [version["message"] for version in document["versions"]] == ["second", "first"]
    assert history("log", "imagenet", "-q", "-n", "1").out == "imagenet:v1\n"
    assert "production" in history("log", "imagenet").out


def test_a_diff_tells_every_kind_of_change(history):
    """Added, removed, modified, renamed and changed in mode, with bytes."""
    document = history.json("diff", "imagenet:v0", "imagenet:v1")

    assert set(document["summary"]) == SUMMARY_KEYS
    kinds = ("added", "removed", "modified", "renamed", "mode_changed")
    assert {kind: [change["path"] for change in document[kind]] for kind in kinds} == {
        "added": ["new.txt"],
        "removed": ["train/b.txt"],
        "modified": ["readme.md"],
        "renamed": ["train/c.txt"],
        "mode_changed": ["run.sh"],
    }
    assert document["renamed"][0]["old_path"] == "train/a.txt"
    assert all(set(change) == CHANGE_KEYS for kind in kinds for change in document[kind])


def test_a_diff_for_people_has_a_letter_and_a_summary(history):
    """Paths in order; --stat leaves them out and --name-only everything else."""
    shown = history("diff", "imagenet:v0", "imagenet").out.splitlines()

    assert [line[0] for line in shown[:-1]] == ["A", "M", "X", "D", "R"]
    assert shown[-1].startswith("1 added (4 B), 1 removed")
    assert len(history("diff", "imagenet:v0", "imagenet", "--stat").out.splitlines()) == 1
    assert history("diff", "imagenet:v0", "imagenet", "--name-only").out == (
        "new.txt\nreadme.md\nrun.sh\ntrain/b.txt\ntrain/c.txt\n"
    )


def test_a_diff_without_renames_shows_two_changes(history):
    """--no-renames shows what was added and what was removed."""
    summary = history.json("diff", "imagenet:v0", "imagenet", "--no-renames", "--stat")["summary"]

    assert (summary["added"], summary["removed"], summary["renamed"]) == (2, 2, 0)


def test_status_compares_a_folder_with_a_version(cas, data):
    """Nothing changed, then something did; --exit-code tells a script."""
    cas("put", "data", "imagenet")

    assert cas("status", "imagenet", "data", "--exit-code").out == "no differences\n"
    (data / "new.txt").write_text("new\n")
    assert cas("status", "imagenet", "data", "--exit-code", code=1).out.startswith("A  new.txt")
    assert cas("diff", "imagenet", "./data", "--name-only").out == "new.txt\n"
    assert cas("status", "imagenet", "data").code == 0


def test_aliases_are_set_moved_listed_and_removed(cas, two_versions):
    """An alias leads to one version at a time."""
    moved = cas.json("tag", "imagenet:v1", "production", "best")

    assert moved == {
        "artifact": "imagenet",
        "moves": [
            {"alias": "production", "number": 1, "previous": 0},
            {"alias": "best", "number": 1, "previous": None},
        ],
    }
    assert cas.json("tag", "imagenet")["aliases"] == {"best": 1, "production": 1}
    assert cas.json("tag", "--remove", "imagenet", "best")["moves"] == [
        {"alias": "best", "number": None, "previous": 1}
    ]
    assert cas("tag", "imagenet").out == "production  imagenet:v1\n"


def test_deleting_what_is_deleted_says_what_is_left_to_do(cas, two_versions):
    """What lies in the trash can be looked at and deleted for good; after that nothing is left."""
    cas("rm", "imagenet", "-y", "--force")
    in_trash = cas("rm", "imagenet", "-y", code=3)
    cas("rm", "imagenet", "--now", "-y", "--force")
    gone = cas("rm", "imagenet", "--now", "-y", code=3)

    assert "cas log imagenet --all" in in_trash.err
    assert "cas gc" in gone.err


def test_a_deleted_version_comes_back(cas, two_versions):
    """Deleting hides a version and restore shows it again; its data was never gone."""
    assert cas.json("rm", "imagenet:v1", "-y") == {
        "deleted": [{"artifact": "imagenet", "number": 1, "aliases": []}]
    }
    assert cas.json("show", "imagenet:v1", code=3)["error"]["code"] == "version-deleted"
    assert cas.json("show", "imagenet")["number"] == 0
    states = [version["state"] for version in cas.json("log", "imagenet", "--all")["versions"]]
    assert states == ["trashed", "live"]
    assert cas.json("restore", "imagenet:v1")["restored"][0]["number"] == 1
    assert cas.json("show", "imagenet")["number"] == 1


def test_rm_latest_deletes_one_version(cas, two_versions):
    """`name:latest` is the newest version, never all of them."""
    deleted = cas.json("rm", "imagenet:latest", "-y")["deleted"]

    assert [item["number"] for item in deleted] == [1]


def test_a_whole_artifact_can_be_deleted_and_restored(cas, two_versions):
    """A bare name means every version, and the question says how many and which aliases."""
    asked = cas("rm", "imagenet", code=10)
    deleted = cas.json("rm", "imagenet", "-y")["deleted"]
    restored = cas.json("restore", "imagenet")["restored"]

    assert "every version of imagenet (2 versions" in asked.err
    assert "aliases production" in asked.err
    assert sorted(item["number"] for item in deleted) == [0, 1]
    assert sorted(item["number"] for item in restored) == [0, 1]


def test_rm_asks_first(cas, two_versions):
    """Without -y and without a terminal nothing is deleted, and it says what would have been."""
    refused = cas("rm", "imagenet:v1", code=10)

    assert "delete imagenet:v1 (" in refused.err
    assert "-y" in refused.err
    assert cas.json("show", "imagenet:v1")["number"] == 1


def test_usage_keeps_kinds_of_bytes_apart(history):
    """Logical, unique, stored, and what a version alone holds."""
    document = history.json("du")

    assert set(document) == USAGE_KEYS
    assert [version["number"] for version in document["versions"]] == [0, 1]
    assert document["logical_bytes"] >= document["unique_bytes"]
    assert "ALONE" in history("du", "imagenet:v1").out


def test_cat_writes_bytes(cas, data):
    """Files come out exactly, one after the other."""
    (data / "raw.bin").write_bytes(bytes(range(256)))
    cas("put", "data", "imagenet")

    assert cas("cat", "imagenet:v0/raw.bin").out.encode("utf-8", "surrogateescape") == bytes(
        range(256)
    )
    assert cas("cat", "imagenet:v0/readme.md", "imagenet:v0/run.sh").out == "about\n#!/bin/sh\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(bare, shell):
    """The script names the command that completes."""
    assert "_CAS_COMPLETE" in bare("completion", shell).out


def test_completion_offers_commands(bare):
    """What the script asks for is answered."""
    answered = bare(_CAS_COMPLETE="bash_complete", COMP_WORDS="cas st", COMP_CWORD="1")

    assert "status" in answered.out
