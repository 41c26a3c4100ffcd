"""What killed writers left is removed; what live writers hold is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cas.backend import staging
from cas.backend.local import LocalBackend
from cas.backend.staging import StagedFile, sweep_staged

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks that survive nobody")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_that_a_writer_holds_is_not_swept(tmp_path: Path):
    """Its lock says that it is needed, until the block ends."""
    with StagedFile(str(tmp_path)) as staged:
        os.write(staged.descriptor, b"x")
        assert sweep_staged(str(tmp_path)) == 0
        staged.seal()
        assert sweep_staged(str(tmp_path)) == 0
        assert names(tmp_path) == [Path(staged.path).name]
    assert names(tmp_path) == []


def test_a_file_of_a_killed_writer_is_swept(tmp_path: Path):
    """The system drops the lock of a process that is killed."""
    script = (
        "import sys; from cas.backend.staging import StagedFile; "
        "staged = StagedFile(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        assert sweep_staged(str(tmp_path)) == 0
        writer.kill()

    assert sweep_staged(str(tmp_path)) == 1
    assert names(tmp_path) == []


def test_a_writer_that_was_swept_before_it_held_the_lock_begins_anew(tmp_path: Path, monkeypatch):
    """The one moment in which a live file looks left costs a second `open`, not an object."""
    real = staging.lock_alone
    swept = []

    def late(descriptor: int, *, wait: bool = False) -> bool:
        if wait and not swept:
            swept.append(sweep_staged(str(tmp_path)))
        return real(descriptor, wait=wait)

    monkeypatch.setattr(staging, "lock_alone", late)
    with StagedFile(str(tmp_path)) as staged:
        assert swept == [1]
        assert names(tmp_path) == [Path(staged.path).name]


def test_the_first_write_of_a_backend_sweeps(tmp_path: Path):
    """Nobody needs to think of it."""
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "left").write_bytes(b"x")
    backend = LocalBackend(tmp_path)
    list(backend.list_objects(""))
    assert names(tmp_path / ".tmp") == ["left"]

    backend.put("key", [b"x"])

    assert names(tmp_path / ".tmp") == []


def test_a_folder_that_is_not_there_needs_no_sweep(tmp_path: Path):
    """A new store has nothing to remove."""
    assert sweep_staged(str(tmp_path / "absent")) == 0
