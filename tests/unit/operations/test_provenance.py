"""What is recorded of the producer, and what never is."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess

import pytest

from cas.operations.provenance import HIDDEN, MAXIMUM_COMMAND_BYTES, find_provenance, hide_secrets

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["--password", SECRET], ["--password", HIDDEN]),
        (["--password=" + SECRET], ["--password=" + HIDDEN]),
        (["--db-passwd", SECRET, "data"], ["--db-passwd", HIDDEN, "data"]),
        (["--API_KEY", SECRET], ["--API_KEY", HIDDEN]),
        (["--token", "--force"], ["--token", "--force"]),
        (["AWS_SECRET_ACCESS_KEY=" + SECRET], ["AWS_SECRET_ACCESS_KEY=" + HIDDEN]),
        (["--set=db.password=" + SECRET], ["--set=db.password=" + HIDDEN]),
        (
            ["AZURE_STORAGE_CONNECTION_STRING=Name=a;AccountKey=" + SECRET],
            ["AZURE_STORAGE_CONNECTION_STRING=" + HIDDEN],
        ),
        (["Name=a;AccountKey=" + SECRET], ["Name=a;AccountKey=" + HIDDEN]),
        (["-H", "Authorization: Bearer " + SECRET], ["-H", "Authorization: " + HIDDEN]),
        (["-H", "authorization:Basic " + SECRET], ["-H", "authorization:" + HIDDEN]),
        (["-H", "X-Api-Key:" + SECRET], ["-H", "X-Api-Key:" + HIDDEN]),
        (["-H", "Cookie: sid=" + SECRET], ["-H", "Cookie: " + HIDDEN]),
        (
            ['{"user": "me", "password": "' + SECRET + '"}'],
            ['{"user": "me", "password": ' + HIDDEN],
        ),
        (['{"token":"' + SECRET + '"}'], ['{"token":' + HIDDEN]),
        ([f"https://me:{SECRET}@host:80/a/b"], ["https://host:80/a/b"]),
        ([f"s3://bucket/key?X-Amz-Signature={SECRET}#x"], ["s3://bucket/key"]),
        ([f"--store=https://{SECRET}@host/a?sig={SECRET}"], ["--store=https://host/a"]),
        ([f"https://me:{SECRET}/x@host/a"], ["https://" + HIDDEN]),
    ],
)
def test_secrets_of_a_command_line_are_hidden(command, shown):
    """Options, assignments, headers, members of JSON, and parts of URLs."""
    assert hide_secrets(["train.py", *command]) == ["train.py", *shown]


@pytest.mark.parametrize(
    "command",
    [
        ["cas", "put", "data", "auth-model:v3", "-m", "nothing: special"],
        ["s3://bucket/tokens/date=2024-01-01", "--lr=0.1", "C:\\data"],
        ["http://host:8080/path", "--number", "1"],
    ],
)
def test_what_is_no_secret_is_recorded_as_it_is(command):
    """A record that says too little is no use."""
    assert hide_secrets(command) == command


def test_a_long_command_is_cut_short():
    """A list of a million files is not worth a record that cannot be stored."""
    shown = hide_secrets(["word" * 100] * 1000)

    assert shown[-1] == "..."
    assert sum(map(len, shown)) <= MAXIMUM_COMMAND_BYTES + 3


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder in no repository."""
    monkeypatch.chdir(tmp_path)
    if any((parent / ".git").exists() for parent in tmp_path.parents):
        pytest.skip("the temporary folder lies in a repository")
    return tmp_path


def test_the_machine_the_user_and_python_are_named(outside):
    """And the command, if there is one to name."""
    found = find_provenance(["train.py", "--token", SECRET])

    assert found["python"] == platform.python_version()
    assert found["host"]
    assert found["command"] == ["train.py", "--token", HIDDEN]
    assert not {"git_commit", "git_dirty"} & found.keys()
    assert "command" not in find_provenance(None)


def test_a_user_that_nobody_knows_is_left_out(outside, monkeypatch):
    """Containers run as numbers without names."""

    def fail():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)

    assert "user" not in find_provenance(None)


def git(*words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(outside, monkeypatch):
    """A repository with one commit, its folder being the working folder."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git("init", "-q")
    (outside / "tracked").write_text("1")
    git("add", "tracked")
    git("commit", "-q", "-m", "first")
    return outside


def head():
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def git_state():
    found = find_provenance(None)
    return found.get("git_commit"), found.get("git_dirty")


def test_the_commit_is_named_and_clean(repository, monkeypatch):
    """From a folder below too; files that git does not know do not count."""
    (repository / "untracked").write_text("2")
    (repository / "below").mkdir()
    monkeypatch.chdir(repository / "below")

    assert git_state() == (head(), False)


@pytest.mark.parametrize("staged", [True, False])
def test_changes_of_tracked_files_are_told(repository, staged):
    """Staged or not: the commit alone would not give the same code."""
    (repository / "tracked").write_text("2")
    if staged:
        git("add", "tracked")

    assert git_state() == (head(), True)


def test_a_detached_head_is_a_commit_too(repository):
    """As in most CI jobs."""
    git("checkout", "-q", "--detach")

    assert git_state() == (head(), False)


def test_a_repository_without_commits_has_nothing_to_name(outside, repository):
    """No commit, no word of git."""
    (outside / "new").mkdir()
    os.chdir(outside / "new")
    git("init", "-q")

    assert git_state() == (None, None)


def test_without_git_nothing_is_said_of_it(repository, monkeypatch):
    """A repository that was copied to a machine without git stops no put."""
    monkeypatch.setenv("PATH", str(repository / "empty"))

    assert git_state() == (None, None)


def test_a_git_that_hangs_is_not_waited_for(repository, monkeypatch):
    """A slow network folder costs a moment, not the put."""

    def hang(words, *, timeout, **_options):
        raise subprocess.TimeoutExpired(words, timeout)

    monkeypatch.setattr(subprocess, "run", hang)

    assert git_state() == (None, None)


def test_no_filter_of_the_repository_is_run_to_show_differences(repository):
    """A repository from elsewhere cannot name a program that recording would start."""
    (repository / "tracked").write_text("2")
    (repository / ".gitattributes").write_text("tracked diff=evil\n")
    git("config", "diff.evil.command", f"touch {repository}/ran")
    git("config", "diff.external", f"touch {repository}/ran")

    assert git_state() == (head(), True)
    assert not (repository / "ran").exists()


def test_a_working_folder_that_was_removed_stops_nothing(outside, monkeypatch):
    """Nor need it be in a repository."""
    (outside / "gone").mkdir()
    monkeypatch.chdir(outside / "gone")
    (outside / "gone").rmdir()

    assert git_state() == (None, None)
