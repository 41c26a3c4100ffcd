from __future__ import annotations

import json
import os

import pytest

# What is typed, the exit code, the error's code, and what the one line or its hint says.
MISTAKES = [
    (["frobnicate"], 2, "invalid-option", "there is no command 'frobnicate'"),
    (["put", "data"], 2, "invalid-option", "cas put data NAME"),
    (["put"], 2, "invalid-option", "cas put --help"),
    (["put", "data", "bad name"], 2, "invalid-name", "'bad name'"),
    (["put", "data", "-n", "../x"], 2, "invalid-name", "'../x'"),
    (["put", "data", "imagenet:v3"], 2, "invalid-name", "imagenet:v3"),
    (["put", "missing", "imagenet"], 3, "path-not-found", "missing"),
    (["put", "imagenet", "data"], 2, "invalid-option", "cas put data imagenet"),
    (["put", "-", "imagenet"], 2, "invalid-option", "--path"),
    (["put", "-", "data", "-n", "x", "--path", "y"], 2, "invalid-option", "standard input"),
    (["put", "data", "x", "--path", "y"], 2, "invalid-option", "--path"),
    (["put", "data", "x", "--metadata", "novalue"], 2, "invalid-option", "key=value"),
    (["put", "data", "x", "--metadata", "@none.json"], 3, "path-not-found", "none.json"),
    (["put", "data", "x", "-a", "latest"], 2, "invalid-name", "latest"),
    (["put", "data", "x", "-a", "v3"], 2, "invalid-name", "v3"),
    (["put", "data", "x", "--input", "nothing:v0"], 3, "artifact-not-found", "nothing"),
    (["put", "data", "x", "--jobs", "0"], 2, "invalid-option", "--jobs"),
    (["put", "data", "x", "--rm", "a"], 2, "invalid-option", "--from-version"),
    (["put", "data", "x", "--to", "a"], 2, "invalid-option", "--from-version"),
    (["put", "x", "--from-version", "imagenet"], 2, "invalid-option", "cas put x NAME"),
    (["put", "data", "x", "--from-version", "nothing"], 3, "artifact-not-found", "nothing"),
    (["init", "other", "--chunk-size", "big"], 2, "invalid-option", "64KiB"),
    (["init", "other", "--chunk-size", "1000"], 2, "invalid-option", "1000"),
    (["init"], 4, "store-exists", "store"),
    (["get", "imagnet"], 3, "artifact-not-found", "imagenet"),
    (["get", "imagenet:v9"], 3, "version-not-found", "v9"),
    (["get", "imagenet:producton"], 3, "alias-not-found", "production"),
    (["get", "imagenet:"], 2, "invalid-ref", "imagenet:"),
    (["get", "imagenet:ffffffffffff"], 3, "version-not-found", "ffffff"),
    (["get", "imagenet:v0/nothing"], 3, "path-not-found", "nothing"),
    (["ls", "imagenet:v0/nothing"], 3, "path-not-found", "nothing"),
    (["show", "nothing"], 3, "artifact-not-found", "nothing"),
    (["log", "imagnet"], 3, "artifact-not-found", "imagenet"),
    (["diff", "imagenet:v0", "imagenet:v7"], 3, "version-not-found", "v7"),
    (["diff", "imagenet:v0", "./nowhere"], 3, "path-not-found", "nowhere"),
    (["status", "imagenet", "nowhere"], 3, "path-not-found", "nowhere"),
    (["tag", "imagenet:v0", "latest"], 2, "invalid-name", "latest"),
    (["tag", "imagenet:v0", "v1"], 2, "invalid-name", "v1"),
    (["tag", "imagenet:v5", "best"], 3, "version-not-found", "v5"),
    (["tag", "--remove", "imagenet", "best"], 3, "alias-not-found", "best"),
    (["tag", "--remove", "imagenet"], 2, "invalid-option", "no alias"),
    (["cat", "imagenet:v0"], 2, "invalid-ref", "names no file"),
    (["cat", "imagenet:v0/train"], 2, "invalid-path", "cas ls imagenet:v0/train"),
    (["cat", "imagenet:v0/nothing"], 3, "path-not-found", "nothing"),
    (["rm", "nothing", "-y"], 3, "artifact-not-found", "nothing"),
    (["rm", "imagenet:v0/train", "-y"], 2, "invalid-ref", "cas rm imagenet:v0"),
    (["rm", "imagenet:v0", "-y"], 10, "brake", "production"),
    (["restore", "nothing"], 3, "artifact-not-found", "nothing"),
    (["du", "nothing"], 3, "artifact-not-found", "nothing"),
    (["ls", "--store", "nowhere"], 3, "store-not-found", "cas init"),
    (["ls", "--store", "data"], 3, "store-not-found", "cas init"),
    (["ls", "--store", "frob://bucket/x"], 2, "invalid-url", "frob"),
    (["ls", "--store", "gss://bucket/x"], 2, "invalid-url", "perhaps gs://bucket/x is meant"),
    (["ls", "--store", "s3:/bucket/x"], 2, "invalid-url", "two slashes: s3://bucket/x;"),
    (["init", "s3:/bucket/x"], 2, "invalid-url", "two slashes: s3://bucket/x;"),
    (["ls", "--store", "a::b://c"], 2, "invalid-url", "a::b"),
    (["completion", "tcsh"], 2, "invalid-option", "bash"),
]


@pytest.fixture
def stored(cas, data):
    """A store with one version and an alias."""
    cas("put", "data", "imagenet", "-a", "production")
    return cas


@pytest.fixture(scope="module")
def shared(own_tool, own_files):
    """The same for all tests here that change nothing."""
    own_tool("put", "data", "imagenet", "-a", "production")
    return own_tool


@pytest.mark.parametrize(("words", "code", "name", "said"), MISTAKES)
def test_a_mistake_gets_one_helpful_line(shared, words, code, name, said):
    """One line tells what is wrong, at most one more helps, and the exit code tells its class."""
    failed = shared(*words, "--json", code=code)
    error = json.loads(failed.out)["error"]
    lines = failed.err.splitlines()

    assert (error["code"], set(error)) == (name, {"code", "message", "hint", "problems"})
    assert lines[0] == f"error: {error['message']}"
    assert lines[1:] == ([f"hint: {error['hint']}"] if error["hint"] else [])
    assert said in failed.err


def test_a_secret_in_a_url_is_not_printed(bare):
    """Messages about a store show its URL without user and query."""
    failed = bare("ls", "-s", "s3://key:hunter2@bucket::x?secret=hunter2", code=2)

    assert "hunter2" not in failed.out + failed.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(cas, data):
    """What cannot be read is listed; the rest is not silently taken for everything."""
    (data / "readme.md").chmod(0)

    failed = cas("put", "data", "imagenet", code=9)

    assert "readme.md" in failed.err


def test_a_file_where_a_folder_must_be_is_told(stored):
    """A get whose target is a file says so, and leaves the file alone."""
    target = stored.cwd / "taken"
    target.write_text("mine\n")

    failed = stored("get", "imagenet", "taken", code=2)

    assert "taken" in failed.err
    assert target.read_text() == "mine\n"


def test_a_damaged_store_is_told(stored):
    """A flipped bit ends a get with the exit code of damage, and names the object."""
    blobs = stored.cwd.parent / "store" / "blobs"
    (blob,) = [path for path in blobs.rglob("*") if path.is_file()]
    content = bytearray(blob.read_bytes())
    content[140] ^= 1  # behind the heads, in the bytes of a chunk
    blob.chmod(0o644)
    blob.write_bytes(content)

    failed = stored.json("get", "imagenet", "back", code=8)

    assert blob.name[:12] in failed["error"]["message"]


def test_a_full_disk_is_one_line(stored):
    """Output that cannot be written is an error, not a traceback."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110 a device, not a file
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:  # noqa: PTH123 the same
        process = stored.start("log", "imagenet", stdout=full, stderr=-1)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 7
    assert err.startswith(b"error: ")
    assert b"Traceback" not in err


def test_a_name_that_nearly_is_a_stores_is_told(bare):
    """It would be a folder here; the store of a settings file was meant."""
    (bare.cwd / "cas.toml").write_text('[stores.prod]\nurl = "kept"\n')

    bare("init")

    for words in (["ls", "-s", "prd"], ["push", "--to", "prd"]):
        assert "did you mean prod?" in bare(*words, code=3).err


def test_an_error_names_the_working_folder_though_a_variable_holds_it(bare):
    """PWD is the shell's word for it, and no password."""
    told = bare("ls", "-s", "other", code=3, PWD=str(bare.cwd)).err

    assert f"{bare.cwd}/other" in told
    assert "***" not in told
