"""A store that is in force by `CAS_STORE`, for libraries that read `cas://` by themselves."""

from __future__ import annotations

import fsspec
import pytest

import cas
from cas.filesystem import CasFileSystem


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where all clients are installed, one that cannot be imported is a failure."""
    report = yield
    if report.skipped and item.config.getoption("--need-clients"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {call.excinfo.value}"
    return report


@pytest.fixture(autouse=True)
def _in_force(tmp_path, monkeypatch):
    """`cas://` is known however cas was installed, and nothing of the user's counts."""
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAS_STORE", str(tmp_path / "store"))
    # Where libraries keep what they download.
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    fsspec.register_implementation("cas", CasFileSystem, clobber=True)
    yield
    CasFileSystem.clear_instance_cache()


@pytest.fixture
def store(tmp_path):
    """The store, opened and empty."""
    with cas.Store.create(tmp_path / "store") as store:
        yield store


@pytest.fixture
def put(store, tmp_path):
    """A function that makes a folder, has it filled, and puts it as `data`."""

    def put(fill):
        folder = tmp_path / "made"
        folder.mkdir()
        fill(folder)
        return store.put(folder, "data")

    return put


@pytest.fixture
def options(store):
    """What users write as `storage_options`."""
    return {"store": store.url}
