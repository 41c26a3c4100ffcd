from __future__ import annotations

import os
import re
import shutil

import pytest

PUT_KEYS = {
    "ref", "artifact", "number", "digest", "created", "totals", "read_bytes", "new_bytes",
    "stored_bytes", "sent_bytes", "resumed_bytes", "refused_bytes", "read_files", "reused_files",
    "healed",
    "skipped", "warnings", "aliases", "seconds",
}  # fmt: skip
GET_KEYS = {
    "ref", "artifact", "number", "digest", "dest", "files", "size", "fetched_bytes",
    "written_bytes", "copied_bytes", "resumed_bytes", "unchanged_files", "skipped", "seconds",
    "holes",
}  # fmt: skip
PLAN_KEYS = {
    "artifact", "next_number", "changed", "totals", "new_bytes", "stored_bytes", "sent_bytes",
    "requests", "blobs", "files", "skipped",
}  # fmt: skip


def test_a_folder_comes_back_as_it_was(cas, data, tree):
    """Contents, links and executable bits survive a put and a get."""
    put = cas("put", "data", "imagenet")
    got = cas("get", "imagenet", "back")

    assert put.out.startswith("imagenet:v0\n")
    assert put.out.endswith("get it: cas get imagenet:v0\n")
    assert got.out.startswith("back\n")
    assert tree(cas.cwd / "back") == tree(data)


def test_a_put_tells_what_it_did_as_json(cas, data):
    """The document holds every number of the outcome, under names that stay."""
    document = cas.json("put", "data", "imagenet", "-a", "first,best")

    assert set(document) == PUT_KEYS
    assert document["totals"] == {
        "files": 4,
        "symlinks": 1,
        "directories": 0,
        "externals": 0,
        "size": 11016,
    }
    assert (document["ref"], document["created"]) == ("imagenet:v0", True)
    assert sorted(document["aliases"]) == ["best", "first"]
    assert re.fullmatch("[0-9a-f]{64}", document["digest"])


def test_putting_the_same_again_makes_no_version(cas, data):
    """Nothing changed, so nothing is sent and the reference is the old one."""
    first = cas.json("put", "data", "imagenet")
    again = cas.json("put", "data", "imagenet")

    assert (again["ref"], again["created"], again["sent_bytes"]) == ("imagenet:v0", False, 0)
    assert again["digest"] == first["digest"]
    assert "unchanged" in cas("put", "data", "imagenet").out


def test_force_makes_a_version_of_the_same(cas, data):
    """--force publishes although nothing changed."""
    cas("put", "data", "imagenet")

    assert cas.json("put", "data", "imagenet", "--force")["ref"] == "imagenet:v1"


def test_a_changed_folder_sends_only_what_is_new(cas, data):
    """The second version holds all files and brings the bytes of the new one."""
    cas("put", "data", "imagenet")
    (data / "new.bin").write_bytes(os.urandom(5000))

    document = cas.json("put", "data", "imagenet")

    assert (document["ref"], document["new_bytes"]) == ("imagenet:v1", 5000)
    assert document["totals"]["files"] == 5


def test_a_moved_folder_costs_nothing(cas, data):
    """Files under other names bring no new bytes."""
    (data / "big.bin").write_bytes(os.urandom(300_000))
    cas("put", "data", "imagenet")
    (data / "big.bin").rename(data / "train" / "renamed.bin")

    assert cas.json("put", "data", "other")["new_bytes"] == 0


def test_one_file_and_several_paths_can_be_put(cas, data):
    """A file is put under its name, several paths each under theirs."""
    cas("put", "data/readme.md", "one")
    cas("put", "data/readme.md", "data/train", "several")

    assert cas("ls", "one", "-R").out == "readme.md\n"
    assert cas("ls", "several", "-R").out == "readme.md\ntrain/a.txt\ntrain/b.txt\n"


def test_with_a_name_option_every_word_is_a_path(cas, data):
    """-n names the artifact wherever it stands."""
    assert cas.json("put", "data", "-n", "team/bert")["ref"] == "team/bert:v0"


def test_standard_input_is_put_under_a_path(cas):
    """A stream needs a name for its file."""
    cas("put", "-", "dump", "--path", "db/dump.sql", stdin=b"select 1;\n")

    assert cas("cat", "dump:v0/db/dump.sql").out == "select 1;\n"


def test_what_is_excluded_is_not_put(cas, data):
    """--exclude and .casignore leave paths out, by the rules of .gitignore."""
    (data / ".casignore").write_text("*.md\n")

    cas("put", "data", "imagenet", "--exclude", "train/b*")

    listed = cas("ls", "imagenet", "-R").out.splitlines()
    assert {"train/b.txt", "readme.md"} & set(listed) == set()
    assert "train/a.txt" in listed


def test_facts_about_a_version_are_kept(cas, data):
    """Type, description, message, metadata and inputs are shown again."""
    cas("put", "data/train", "raw")
    words = ["-t", "model", "-d", "what", "-m", "why", "--metadata", "lr=0.1", "--input", "raw:v0"]
    cas("put", "data", "bert", *words)

    shown = cas.json("show", "bert")

    assert (shown["type"], shown["description"], shown["message"]) == ("model", "what", "why")
    assert shown["metadata"] == {"lr": 0.1}
    assert [(item["artifact"], item["number"]) for item in shown["inputs"]] == [("raw", 0)]


def test_the_type_of_an_artifact_stays(cas, data):
    """Without -t the type is the last version's."""
    cas("put", "data/train", "bert", "-t", "model")
    cas("put", "data", "bert")

    assert cas.json("show", "bert:v1")["type"] == "model"


def test_the_command_is_recorded_unless_forbidden(cas, data):
    """Provenance holds the command line, without secrets, and --no-provenance holds nothing."""
    words = ["put", "data", "a", "--metadata", "api_key=hunter2"]
    cas(*words, "--exclude", "readme.md")
    cas("put", "data", "b", "--no-provenance")

    assert "put" in str(cas.json("show", "a")["producer"])
    assert cas.json("show", "b")["producer"] == {}


def test_a_put_on_top_of_another_parent_is_refused(cas, data):
    """--if-parent fails with the exit code of a lost race when the newest version is another."""
    cas("put", "data/train", "imagenet")
    cas("put", "data", "imagenet")

    failed = cas.json("put", "data/train", "imagenet", "--if-parent", "imagenet:v0", code=5)

    assert failed["error"]["code"] == "parent-moved"
    assert cas.json("put", "data/train", "imagenet", "--if-parent", "imagenet:v1")["number"] == 2


def test_a_dry_run_tells_the_bytes_and_sends_nothing(cas, data):
    """What it announces is what the put then sends."""
    plan = cas.json("put", "data", "imagenet", "--dry-run")
    assert cas.json("ls") == {"artifacts": []}
    done = cas.json("put", "data", "imagenet")

    assert set(plan) == PLAN_KEYS
    assert (plan["next_number"], plan["changed"]) == (0, True)
    assert (plan["new_bytes"], plan["stored_bytes"]) == (done["new_bytes"], done["stored_bytes"])
    assert plan["totals"] == done["totals"]
    assert all(set(file) == {"path", "size", "new_bytes"} for file in plan["files"])


def test_a_dry_run_of_nothing_new_says_so(cas, data):
    """Where nothing changed there is nothing to send."""
    cas("put", "data", "imagenet")

    assert cas("put", "data", "imagenet", "--dry-run").out.startswith("unchanged: imagenet:v0")


def test_a_get_tells_what_it_did_as_json(cas, data):
    """The document holds every number of the outcome; what is there already is not fetched."""
    cas("put", "data", "imagenet")
    first = cas.json("get", "imagenet", "back")
    again = cas.json("get", "imagenet", "back")

    assert set(first) == GET_KEYS
    assert (first["ref"], first["files"], first["size"]) == ("imagenet:v0", 4, 11016)
    assert (again["unchanged_files"], again["written_bytes"]) == (4, 0)


def test_a_get_without_a_target_makes_a_folder_of_its_own(cas, data, tree):
    """The folder is named by artifact and version, without a colon, so versions do not mix."""
    cas("put", "data", "team/bert", "-a", "best")

    assert cas("get", "team/bert:best", "-q").out == "bert-v0\n"
    assert tree(cas.cwd / "bert-v0") == tree(data)


def test_a_get_takes_a_part(cas, data, tree):
    """A path after the version, and patterns, choose what is written."""
    cas("put", "data", "imagenet")

    cas("get", "imagenet:v0/train", "part")
    cas("get", "imagenet", "some", "--include", "*.txt", "--exclude", "b.txt")

    assert "alpha" in "".join(str(value) for value in tree(cas.cwd / "part").values())
    assert list(tree(cas.cwd / "some")) == ["train/a.txt"]


def test_a_changed_file_is_not_overwritten(cas, data):
    """A get refuses to replace what the user changed, and --overwrite does it."""
    cas("put", "data", "imagenet")
    (data / "readme.md").write_text("mine\n")

    failed = cas.json("get", "imagenet", "data", code=4)
    assert failed["error"]["code"] == "target-exists"
    assert (data / "readme.md").read_text() == "mine\n"
    cas("get", "imagenet", "data", "--overwrite")

    assert (data / "readme.md").read_text() == "about\n"


def test_a_seed_saves_fetching_and_the_answer_says_so(cas, data, tree):
    """--seed takes bytes from local files, by whatever names; several may be given."""
    content = os.urandom(500_000)
    (data / "big").write_bytes(content)
    cas("put", "data", "imagenet")
    (cas.cwd / "elsewhere").mkdir()
    (cas.cwd / "elsewhere" / "other").write_bytes(content)

    got = cas("get", "imagenet", "back", "--seed", "elsewhere", "--seed", "data/train")
    document = cas.json("get", "imagenet", "again", "--seed", "elsewhere")

    assert re.search(r"^copied [0-9.]+ KiB from local files$", got.out, re.MULTILINE)
    assert tree(cas.cwd / "back") == tree(data) == tree(cas.cwd / "again")
    assert (document["copied_bytes"], document["resumed_bytes"]) == (500_000, 0)
    assert cas.json("get", "imagenet", "x", "--seed", "no", code=3)["error"]["code"] == (
        "path-not-found"
    )


def test_a_link_that_leads_out_is_left_out(cas, data):
    """Such a link is reported with exit code 9, and made only when asked for."""
    (data / "out").symlink_to("/etc/passwd")
    cas("put", "data", "imagenet")

    skipped = cas.json("get", "imagenet", "back", code=9)["skipped"]
    cas("get", "imagenet", "all", "--outside-links")

    assert [item["path"] for item in skipped] == ["out"]
    assert not (cas.cwd / "back" / "out").is_symlink()
    assert (cas.cwd / "all" / "out").is_symlink()


@pytest.mark.parametrize("url", ["{}/other", "file://{}/other"])
def test_a_store_may_be_named_by_path_or_url(cas, data, url):
    """--store counts more than CAS_STORE, and a path is as good as a URL."""
    store = url.format(cas.cwd)
    cas("init", store)
    cas("put", "data", "imagenet", "--store", store)

    assert cas.json("ls") == {"artifacts": []}
    assert [item["name"] for item in cas.json("ls", "-s", store)["artifacts"]] == ["imagenet"]


def test_a_store_can_be_moved(cas, data, tree):
    """A folder that holds a store can be renamed or copied as a whole."""
    cas("put", "data", "imagenet")
    moved = cas.cwd / "moved"
    shutil.move(cas.environ["CAS_STORE"], moved)

    cas("get", "imagenet", "back", "--store", moved)

    assert tree(cas.cwd / "back") == tree(data)
