"""What a command loads before it does anything, and what it leaves to those that need it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from cas.cli.main import main
code = main(sys.argv[1:])
unneeded = {
    "asyncio", "cas.operations.compare_folder", "cas.operations.put", "cas.transfer.upload",
    "fsspec", "numpy.ma", "secrets", "sqlite3", "tenacity",
}
sys.exit(code or ", ".join(sorted(unneeded & set(sys.modules))) or 0)
"""


def test_getting_a_file_loads_nothing_that_only_others_need(cas, data):
    """Each of these takes as long as a good part of a round trip to a bucket."""
    cas("put", "data", "pets")

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "get", "pets:latest/readme.md", "out", "-q"],
        cwd=cas.cwd,
        env=cas.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (cas.cwd / "out" / "readme.md").exists()
