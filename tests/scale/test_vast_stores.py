"""Collecting and verifying in a store of 100 TB: memory, requests and time, shown without its data.

    pytest -m scale -s --basetemp=/big/disk/folder tests/scale/test_vast_stores.py

Needs 3 GB of disk, and some minutes. Prints what each step cost.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from scale.vast_store import Shape, make_vast_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.scale,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform == "win32", reason="measures memory as POSIX systems do"),
]
PEAK_BYTES = 1 << 30
# Versions of a million files, 96 TiB in a million and a half blobs.
VAST = Shape(versions=1000, pages=250, files=4000, changed=20, fresh=50, dead=100_000)
# More garbage than one run can take.
LITTERED = Shape(versions=2, pages=10, files=4000, changed=2, fresh=50, dead=1_100_000)


@pytest.fixture(scope="module")
def vast(tmp_path_factory):
    """Return a folder with the vast store in it."""
    folder = tmp_path_factory.mktemp("vast")
    make_vast_store(folder / "store", VAST)
    return folder


def run(folder: Path, shape: Shape, *steps: str) -> dict[str, dict[str, int]]:
    """Do steps in a process of their own, which prints what each cost; return that."""
    script = Path(__file__).with_name("collect_vast_store.py")
    words = [sys.executable, script, folder / "store", folder / "state", json.dumps(asdict(shape))]
    done = subprocess.run([*map(str, words), *steps], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def pages_read(cost) -> int:
    return cost["requests"].get("get meta", 0)


def test_a_vast_store_is_collected_within_a_gibibyte(vast):
    """Each distinct page is read once, and never again; nothing else is read for each blob."""
    told = run(vast, VAST, "plan", "plan again", "measure", "collect")

    assert all(cost["peak_bytes"] < PEAK_BYTES for cost in told.values())
    assert pages_read(told["plan"]) == VAST.distinct_pages + VAST.versions
    assert all(pages_read(told[step]) == 0 for step in ("plan again", "measure", "collect"))
    assert [told[step]["garbage"] for step in ("plan", "plan again")] == [VAST.dead] * 2
    assert told["measure"]["versions"] == VAST.versions
    assert (told["collect"]["deleted"], told["collect"]["runs"]) == (VAST.dead, 1)
    for cost in told.values():
        requests = sum(cost["requests"].values()) - pages_read(cost)
        assert requests < 2 * VAST.versions + 2000


def test_a_vast_store_is_verified_within_a_gibibyte(vast):
    """Its structure: each distinct page is read once, however many versions share it."""
    cost = run(vast, VAST, "verify")["verify"]

    assert cost["is_sound"]
    assert cost["peak_bytes"] < PEAK_BYTES
    assert cost["pages"] == VAST.distinct_pages
    assert pages_read(cost) == VAST.distinct_pages + VAST.versions
    assert sum(cost["requests"].values()) - pages_read(cost) < VAST.versions + 2000


def test_a_million_dead_blobs_take_two_runs(tmp_path):
    """As a record of a run has at most 2^20 of them."""
    make_vast_store(tmp_path / "store", LITTERED)

    told = run(tmp_path, LITTERED, "collect", "plan")

    assert (told["collect"]["deleted"], told["collect"]["runs"]) == (LITTERED.dead, 2)
    assert told["plan"]["garbage"] == 0
    assert all(cost["peak_bytes"] < PEAK_BYTES for cost in told.values())
