from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress

import pytest

from cas.model.units import MIB

# Enough for several blobs, so that some are stored when it is killed.
CONTENT_BYTES = 320 * MIB
# What is fed after the first blobs were seen: once it is taken, cas has noted them.
FED_AFTERWARDS_BYTES = 128 * MIB


@pytest.fixture
def content():
    """Bytes that nothing compresses."""
    return os.urandom(CONTENT_BYTES)


@pytest.fixture
def killed(cas, content):
    """A put that was killed outright in the middle of its input, when two blobs were stored."""
    process = cas.start("put", "-", "dump", "--path", "x", stdin=-1, stdout=-3, stderr=-3)
    assert process.stdin is not None
    process.stdin.write(content[:-FED_AFTERWARDS_BYTES])
    blobs = cas.cwd.parent / "store" / "blobs"
    while process.poll() is None and len(list(blobs.glob("*/*"))) < 2:
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
    process.stdin.write(content[-FED_AFTERWARDS_BYTES:-1])
    process.kill()
    process.communicate(timeout=60)
    return cas


def test_a_killed_put_loses_nothing(killed, content):
    """No version is seen, and the same command sends only what is missing and says so."""
    assert killed.json("ls") == {"artifacts": []}

    again = killed("put", "-", "dump", "--path", "x", stdin=content)
    document = killed.json("show", "dump")
    killed("get", "dump", "back")

    assert "resumed: " in again.out
    assert "already stored" in again.out
    assert document["new_bytes"] < CONTENT_BYTES
    assert (killed.cwd / "back" / "x").read_bytes() == content


@pytest.fixture
def half_got(cas, content):
    """A get of one big file that was killed outright when a part of it was written, and how much."""
    (cas.cwd / "x").write_bytes(content)
    cas("put", "x", "dump")
    target = cas.cwd / "back"
    for _ in range(5):  # on a busy machine it may be done before it is seen to have begun
        process = cas.start("get", "dump", "back", "-j", "1", stdout=-3, stderr=-3)
        while process.poll() is None and written_below(target) < 48 * MIB:
            try:
                process.wait(timeout=0.002)
            except subprocess.TimeoutExpired:
                continue
        process.kill()
        process.wait(timeout=60)
        if not (target / "x").exists():
            break
        shutil.rmtree(target)
    return cas, written_below(target)


def written_below(folder):
    """Return how many bytes lie in the files of a folder, holes not counted."""
    blocks = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # it was a try of the file system, and is over
            blocks += path.stat().st_blocks
    return blocks * 512


def test_a_killed_get_goes_on_where_it_was(half_got, content):
    """What the dead get wrote is not fetched again, and no trace of it stays."""
    cas, written = half_got
    assert written >= 48 * MIB

    again = cas.json("get", "dump", "back")

    assert again["resumed_bytes"] > 0.9 * written
    assert again["fetched_bytes"] + written < 1.1 * CONTENT_BYTES
    assert [path.name for path in (cas.cwd / "back").iterdir()] == ["x"]
    assert (cas.cwd / "back" / "x").read_bytes() == content
