from __future__ import annotations

import os
import subprocess

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
