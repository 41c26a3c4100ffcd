"""What an examination finds, whatever state a store is in."""

from __future__ import annotations

import os
import uuid

import pytest

import cas
from cas.backend.base import Capabilities
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.errors import BackendError, ErrorCode
from cas.format import keys
from cas.operations.diagnose_machine import check_cache, check_driver, check_software
from cas.operations.diagnosis import CheckState, Role
from cas.operations.examine_store import STORE_CHECKS, StoreExamination
from cas.operations.init import init_store

ALL_CHECKS = (
    "settings",
    "software",
    "driver",
    *STORE_CHECKS,
    "clock",
    "uploads",
    "bucket",
    "cache",
)
OK, FAILED, SKIPPED = CheckState.OK, CheckState.FAILED, CheckState.SKIPPED


@pytest.fixture
def options(tmp_path):
    return cas.DiagnoseOptions(cache_dir=str(tmp_path / "cache"), origin="named by a test")


def states(diagnosis: cas.Diagnosis) -> dict[str, CheckState]:
    return {check.name: check.state for check in diagnosis.checks}


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_healthy_folder_passes_everything(tmp_path, options):
    """Each check is made once, and nothing is left behind."""
    cas.Store.create(tmp_path / "store").close()
    before = files_below(tmp_path)

    diagnosis = cas.Store.diagnose(tmp_path / "store", options=options)

    assert tuple(states(diagnosis)) == ALL_CHECKS
    assert {name for name, state in states(diagnosis).items() if state is not OK} == {
        "clock",
        "uploads",
        "bucket",
    }
    assert diagnosis.is_healthy
    assert diagnosis.roles == (Role.READER, Role.WRITER, Role.COLLECTOR)
    assert "named by a test" in diagnosis.checks[0].text
    assert files_below(tmp_path) == before


def test_a_missing_folder_is_told_and_not_made(tmp_path, options):
    """The hint makes the store."""
    diagnosis = cas.Store.diagnose(tmp_path / "nowhere", options=options)

    found = {check.name: check for check in diagnosis.checks}
    assert not diagnosis.is_healthy
    assert (found["store"].state, found["store"].hint) == (
        FAILED,
        f"cas init file://{tmp_path}/nowhere",
    )
    assert found["put"].state is FAILED
    assert not (tmp_path / "nowhere").exists()


def test_read_only_writes_nothing(tmp_path, options):
    """The rights to write are then unknown, which is no failure."""
    url = f"memory://doctor-{uuid.uuid4().hex}"
    cas.Store.create(url).close()

    diagnosis = cas.Store.diagnose(
        url, options=cas.DiagnoseOptions(read_only=True, cache_dir=str(tmp_path))
    )

    assert diagnosis.is_healthy
    assert states(diagnosis)["put"] is states(diagnosis)["race"] is SKIPPED
    assert diagnosis.roles == (Role.READER,)


@pytest.mark.parametrize("content", [b"not json", b'{"format": "other"}'])
def test_a_store_that_cannot_be_read_is_a_failed_check(content):
    """The rest is looked at all the same."""
    backend = MemoryBackend()
    backend.put(keys.CONFIG, [content])

    found = {check.name: check for check in StoreExamination(backend, read_only=False).run()}

    assert found["store"].state is FAILED
    assert found["put"].state is OK


def test_a_url_that_opens_nothing_is_a_failed_check(options):
    """Nothing is raised, and nothing else is tried."""
    diagnosis = cas.Store.diagnose("nothing-has-this-scheme://x", options=options)

    assert states(diagnosis)["driver"] is FAILED
    assert states(diagnosis)["reachable"] is SKIPPED
    assert tuple(states(diagnosis)) == ALL_CHECKS


@pytest.mark.parametrize(
    "code", [ErrorCode.UNREACHABLE, ErrorCode.NO_CREDENTIALS, ErrorCode.STALLED]
)
def test_a_silent_server_is_asked_once(code):
    """What follows could only fail the same way."""

    class Silent(MemoryBackend):
        asked = 0

        def get(self, key, start=0, stop=None):
            self.asked += 1
            raise BackendError("no answer", code=code, hint="look")

    backend = Silent()

    first, *others = StoreExamination(backend, read_only=False).run()

    assert (first.name, first.state, first.text, first.hint) == (
        "reachable",
        FAILED,
        "no answer",
        "look",
    )
    assert {check.state for check in others} == {SKIPPED}
    assert backend.asked == 1


class Overwriting(MemoryBackend):
    """A server that ignores the condition of a create."""

    capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=False)

    def create(self, key, content):
        self.put(key, [content])


def test_a_server_that_breaks_a_promise_is_found_out():
    """The store was made where one racing writer won, and lies on another server now."""
    made = MemoryBackend()
    init_store(made, SystemClock(), chunk_average=1 << 16)
    moved = Overwriting()
    moved.put(keys.CONFIG, [made.get(keys.CONFIG)])

    found = {check.name: check for check in StoreExamination(moved, read_only=False).run()}

    assert found["race"].state is FAILED


def test_a_store_that_never_promised_is_well():
    """It is for one writer at a time, and says so."""
    backend = Overwriting()
    init_store(backend, SystemClock(), chunk_average=1 << 16)

    found = {check.name: check for check in StoreExamination(backend, read_only=False).run()}

    assert found["race"].state is OK
    assert "one writer at a time" in found["race"].text


def test_credentials_in_a_projects_file_are_a_failed_check(tmp_path):
    """As every other command warns about them."""
    options = cas.DiagnoseOptions(cache_dir=str(tmp_path), warnings=("cas.toml holds credentials",))

    diagnosis = cas.Store.diagnose(tmp_path, options=options)

    assert states(diagnosis)["settings"] is FAILED


def test_versions_are_listed():
    """What a report of a bug needs."""
    assert "cas " in check_software().text
    assert "botocore" in check_driver("s3://b", MemoryBackend()).text
    assert "fsspec" in check_driver("memory://b", MemoryBackend()).text


def test_a_cache_that_others_may_write_is_refused(tmp_path):
    """What lies in it is taken for one's own."""
    tmp_path.chmod(0o777)

    found = check_cache(tmp_path)

    assert (found.state, found.hint) == (FAILED, f"chmod 700 {tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_cache_that_cannot_be_made_is_told(tmp_path):
    """And how to have it elsewhere."""
    tmp_path.chmod(0o500)

    assert check_cache(tmp_path / "cache").state is FAILED
