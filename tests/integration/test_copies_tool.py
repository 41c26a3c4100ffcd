"""`cas copy`, `cas push` and `cas pull` as a user runs them."""

from __future__ import annotations

import pytest

from cas.testing.corpora import random_content


@pytest.fixture
def prod(cas):
    """A second, empty store, called prod in the project's settings."""
    folder = cas.cwd / "prod-store"
    cas("init", folder)
    (cas.cwd / "cas.toml").write_text(f'remote = "prod"\n[stores.prod]\nurl = "{folder}"\n')
    return folder


@pytest.fixture
def two_versions(cas, data, prod):
    """Two versions of pets in the store in force, the second called best."""
    cas("put", data, "pets", "-d", "animals")
    (data / "more.txt").write_text("more\n" * 1000)
    cas("put", data, "pets", "-a", "best", "--metadata", "loss=0.5")


def test_copy_sends_a_version_that_is_the_same_there(cas, two_versions, prod, tree, tmp_path):
    """Got from the other store it is the folder that was put, and says the same of itself."""
    done = cas("copy", "pets", "--to", "prod")

    first, *rest = done.out.splitlines()
    assert first == "pets:v1 → pets:v0"
    assert rest[-1].startswith(f"copied 1 version to file://{prod}: new ")
    cas("get", "pets", tmp_path / "out", "-s", "prod")
    assert tree(tmp_path / "out") == tree(cas.cwd / "data")
    here, there = cas.json("show", "pets"), cas.json("show", "pets", "-s", "prod")
    for key in ("digest", "type", "aliases", "totals", "metadata", "producer", "new_bytes"):
        assert key == "new_bytes" or here[key] == there[key]


def test_push_and_pull_go_to_the_remote_and_back(cas, two_versions, prod):
    """By the names that settings give; again nothing is sent; into an empty store it all returns."""
    push = cas("push", "pets", "--all-versions")
    again = cas("push")
    empty = cas.cwd / "empty"
    cas("init", empty)
    pull = cas("pull", "--all", "-s", empty, "-q")

    lines = [line for line in push.out.splitlines() if "→" in line]
    assert lines == ["pets:v0 → pets:v0", "pets:v1 → pets:v1"]
    assert again.out.splitlines()[0] == "pets:v1 → pets:v1  (already there)"
    assert pull.out == "pets:v0\npets:v1\n"
    assert cas.json("log", "pets", "-s", empty)["versions"][0]["aliases"] == ["best"]


def test_pull_without_names_brings_what_is_known_here(cas, two_versions, prod, data):
    """The newest versions of the artifacts of the store in force, and of no other."""
    cas("put", data, "pets", "-s", "prod")
    cas("put", data / "train", "pets", "-s", "prod")
    cas("put", data, "others", "-s", "prod")

    pull = cas("pull", "-q")

    assert pull.out == "pets:v2\n"
    assert [one["name"] for one in cas.json("ls")["artifacts"]] == ["pets"]


def test_pull_into_a_store_that_knows_nothing_asks_what(cas, data, prod):
    """Nothing says what to bring, and a whole remote is not brought unasked."""
    cas("put", data, "pets", "-s", "prod")

    failed = cas("pull", code=2)

    assert "cas pull NAME" in failed.err


def test_pull_makes_the_default_store(cas, data, prod):
    """As a first put does."""
    cas("put", data, "pets", "-s", "prod")
    fresh = cas.without_store()

    pull = fresh("pull", "pets")

    assert "created the default store" in pull.err
    assert fresh("ls", "-q").out == "pets\n"


def test_the_json_of_a_copy_and_of_its_plan(cas, two_versions, prod):
    """One document each, with the same versions and new bytes."""
    plan = cas.json("push", "pets:v1", "--dry-run")
    done = cas.json("push", "pets:v1")

    (planned,), (copied,) = plan["versions"], done["versions"]
    assert planned["ref"] == copied["ref"] == "pets:v0"
    assert planned["source"] == copied["source"] == "pets:v1"
    assert planned["created"] is copied["created"] is True
    assert planned["new_bytes"] == copied["new_bytes"] == done["new_bytes"] > 0
    assert copied["aliases"] == ["best"]
    assert done["target"] == f"file://{prod}"
    assert {"stored_bytes", "sent_bytes", "fetched_bytes", "warnings", "seconds"} <= done.keys()


def test_a_plan_writes_nothing(cas, two_versions, prod):
    """Said in words, too."""
    plan = cas("push", "--dry-run")

    assert plan.out.splitlines()[-1].startswith("would copy 1 version")
    assert cas.json("ls", "-s", "prod")["artifacts"] == []


def test_an_alias_that_points_elsewhere_is_told_and_moved_on_demand(cas, two_versions, prod, data):
    """The warning names the option that moves it."""
    cas("put", data / "train", "pets", "-a", "best", "-s", "prod")

    kept = cas("push", "pets")
    moved = cas("push", "pets", "--aliases", "move")

    assert "best points to another version of pets there" in kept.err
    assert "--aliases move" in kept.err
    assert "aliases best" in moved.out
    assert cas.json("tag", "pets", "-s", "prod")["aliases"] == {"best": 1}


def test_a_copy_under_another_name_stays_in_its_store(cas, two_versions):
    """With --as; without it the same store is refused."""
    refused = cas("copy", "pets", "--to", cas.environ["CAS_STORE"], code=2)
    done = cas("copy", "pets:v0", "--to", cas.environ["CAS_STORE"], "--as", "cats")

    assert "--as NAME" in refused.err
    assert done.out.splitlines()[0] == "pets:v0 → cats:v0"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("copy", "--to", "prod"), 2, "--all"),
        (("copy", "pets", "--all", "--to", "prod"), 2, "--all"),
        (("copy", "pets"), 2, "--to"),
        (("copy", "dogs", "--to", "prod"), 3, "dogs"),
        (("push", "pets", "--to", "nowhere"), 3, "named by --to"),
        (("push", "pets:v0", "--all-versions"), 2, "pets:v0"),
        (("push", "pets", "--all"), 2, "--all"),
        (("pull", "pets", "--from", "nowhere"), 3, "named by --from"),
    ],
)
def test_mistakes_are_told(cas, two_versions, prod, words, code, told):
    """With the exit code of their kind."""
    assert told in cas(*words, code=code).err


def test_push_without_a_remote_says_how_to_name_one(cas, data):
    """By the option or in the settings."""
    cas("put", data, "pets")

    failed = cas("push", code=2)

    assert "has no remote" in failed.err
    assert "--to" in failed.err
    assert "remote =" in failed.err


def test_a_copy_of_damaged_data_fails_with_its_exit_code(cas, data, prod, tmp_path):
    """And names the file."""
    (data / "big.bin").write_bytes(random_content(1, 400_000))
    cas("put", data, "pets")
    (blob,) = (path for path in (tmp_path / "store" / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o644)
    content = bytearray(blob.read_bytes())
    content[200_000] ^= 1
    blob.write_bytes(content)

    failed = cas("push", code=8)

    assert "big.bin: blobs/" in failed.err
    assert cas.json("ls", "-s", "prod")["artifacts"] == []
