"""What a command loads before it does anything, and what it leaves to those that need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each of these takes as long as a good part of a round trip to a bucket.
HEAVY = {"asyncio", "cas.chunk_cache.cache", "fsspec", "numpy.ma", "secrets", "tenacity"}
# What only drafts, filesystems, comparisons, tensors, previews and notebooks need.
EXTRAS = {
    "PIL",
    "cas.as_files",
    "cas.cli.previews",
    "cas.drafts",
    "cas.filesystem",
    "cas.model.html",
    "cas.operations.notebook",
    "cas.tables",
    "cas.tensors",
    "duckdb",
    "pyarrow",
    "torch",
}
PUT_ONLY = {"cas.operations.compare_folder", "cas.operations.put", "cas.transfer.upload", "sqlite3"}
GET_ONLY = {"cas.operations.get", "cas.transfer.download"}
DRAFT_ONLY = {"cas.operations.store_copy", "cas.operations.store_draft", "cas.transfer.carrying"}
UPKEEP = {"cas.objects.examine_blob", "cas.operations.plan_collection", "cas.operations.repair"}
SCRIPT = """
import sys
from cas.cli.main import main
code = main(sys.argv[2:])
sys.exit(code or ", ".join(sorted(set(sys.argv[1].split()) & set(sys.modules))) or 0)
"""


@pytest.fixture
def check(cas):
    """A function that runs a command, which must load none of these modules."""

    def check(unneeded, *arguments):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                SCRIPT,
                " ".join(unneeded | HEAVY | EXTRAS | UPKEEP),
                *arguments,
            ],
            cwd=cas.cwd,
            env=cas.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    return check


def test_getting_a_file_loads_nothing_that_only_others_need(cas, data, check):
    """Neither what puts files nor the journal."""
    cas("put", "data", "pets")

    check(PUT_ONLY, "get", "pets:latest/readme.md", "out", "-q")

    assert (cas.cwd / "out" / "readme.md").exists()


def test_putting_something_new_loads_nothing_that_only_others_need(cas, data, check):
    """A file is added to a version, and chunks of it are looked up, stored and published."""
    cas("put", "data", "pets")
    (cas.cwd / "data" / "new.bin").write_bytes(bytes(range(256)) * 2000)

    check(GET_ONLY | DRAFT_ONLY, "put", "data", "pets", "-q")

    assert cas.json("show", "pets")["number"] == 1


def test_listing_loads_neither_what_puts_nor_what_gets(cas, data, check):
    """Artifacts are listed by their slots, and files by pages."""
    cas("put", "data", "pets")

    check(PUT_ONLY | GET_ONLY, "ls", "-q")
    check(PUT_ONLY | GET_ONLY, "ls", "pets", "-q")


def test_help_loads_no_part_of_the_library(check):
    """It prints what stands in the tool."""
    check(PUT_ONLY | GET_ONLY | {"cas.store", "numpy"}, "--help")
