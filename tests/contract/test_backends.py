"""Every backend and every wrapper of one passes the same suite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cas.backend.base import Backend
from cas.backend.counting import RequestCounter
from cas.backend.fsspec_backend import FsspecBackend
from cas.backend.local import LocalBackend
from cas.backend.memory import MemoryBackend
from cas.backend.open import open_backend
from cas.testing.backend_contract import BackendContract
from cas.testing.faulty import FaultyBackend
from cas.testing.faulty_filesystem import FaultyFileSystem


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


class TestLocalBackend(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return LocalBackend(tmp_path / "not" / "there yet", create_root=True)


class TestFsspecMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        backend = open_backend(f"memory://contract-{uuid.uuid4().hex}/store")
        yield backend
        for found in backend.list_objects(""):
            backend.delete(found.key)


class TestFsspecThatIsNoObjectStore(BackendContract):
    """fsspec's own local filesystem stands for sftp, smb and the like."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        from fsspec.implementations.local import LocalFileSystem

        return FsspecBackend(LocalFileSystem(), f"{tmp_path}/store", url="test://store")

    def test_one_of_many_racing_creates_wins(self, backend: Backend) -> None:
        """It is not promised there, and the backend says so."""
        assert not backend.capabilities.create_if_absent

    def test_racers_agree_on_what_was_created(self, backend: Backend) -> None:
        """It is not promised there, and the backend says so."""
        assert not backend.capabilities.create_if_absent

    def test_the_probe_finds_the_guarantee(self, backend: Backend) -> None:
        """The probe does not find what is not promised."""
        from cas.backend.probe import probe_create_if_absent

        assert not probe_create_if_absent(backend, "probe/key")


class TestRequestCounter(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return RequestCounter(MemoryBackend())


class TestFaultyBackendWithoutFaults(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return FaultyBackend(MemoryBackend())


class TestFaultyFileSystemWithoutFaults(BackendContract):
    """Around an object store: it claims what the wrapped filesystem does, and keeps it."""

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        from fsspec.implementations.memory import MemoryFileSystem

        filesystem = FaultyFileSystem(MemoryFileSystem())
        root = f"/faulty-{uuid.uuid4().hex}"
        backend = FsspecBackend(filesystem, root, url=f"faulty:/{root}")
        yield backend
        for found in backend.list_objects(""):
            backend.delete(found.key)
