"""A listing that is made of many says so when one of them fails."""

from __future__ import annotations

import pytest
from fsspec.implementations.local import LocalFileSystem

from cas.backend.base import StoredObject
from cas.backend.fsspec_backend import FsspecBackend
from cas.errors import BackendError
from cas.testing.fault_plan import Fault, FaultPlan
from cas.testing.faulty_filesystem import FaultyFileSystem

EVERYTHING = [StoredObject(key, 1) for key in ("a/b/c/four", "a/b/three", "a/two", "one")]


@pytest.fixture
def plan():
    return FaultPlan()


@pytest.fixture
def backend(tmp_path, plan):
    """A store of four objects, each a folder deeper than the other."""
    backend = FsspecBackend(
        FaultyFileSystem(LocalFileSystem(), plan=plan), str(tmp_path), url="test://store"
    )
    for stored in EVERYTHING:
        backend.put(stored.key, [b"x"])
    return backend


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_folder_that_cannot_be_listed_fails_the_listing(backend, plan, nth):
    """However deep it lies; fsspec's own walk would leave it out."""
    plan.fail_nth("ls", nth, Fault.FAIL_BEFORE)

    with pytest.raises(BackendError):
        list(backend.list_objects(""))

    assert sorted(backend.list_objects("")) == EVERYTHING


def test_a_folder_that_vanishes_meanwhile_holds_nothing(tmp_path, backend):
    """Somebody deleted its last object after it was seen."""

    class Vanishing(LocalFileSystem):
        """Still lists a folder that is gone."""

        def ls(self, path, detail=False, **kwargs):
            found = super().ls(path, detail=detail, **kwargs)
            gone = {"name": f"{tmp_path}/gone", "type": "directory", "size": 0}
            return [*found, gone] if path == str(tmp_path) else found

    listed = FsspecBackend(Vanishing(), str(tmp_path), url="test://store").list_objects("")

    assert sorted(listed) == EVERYTHING


def test_links_are_neither_listed_nor_followed(tmp_path, backend):
    """One that leads to its own folder would never end."""
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "one")

    assert sorted(backend.list_objects("")) == EVERYTHING
