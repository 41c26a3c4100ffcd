"""The servers as fixtures of pytest, one of each kind for a whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from servers import azure, gcs, s3
from servers import sftp as sftp_server
from servers.place import FolderPlaces, MemoryPlaces, StoreServer


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FolderPlaces:
    """Local folders."""
    return FolderPlaces(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="session")
def memory() -> MemoryPlaces:
    """Fsspec's memory filesystem."""
    return MemoryPlaces()


Server = Callable[[Path], AbstractContextManager[StoreServer]]


def _runs(server: Server) -> Any:
    """Return a fixture that runs a server, which keeps what it needs in a folder."""

    @pytest.fixture(scope="session")
    def run(server_folder: Path) -> Iterator[StoreServer]:
        with server(server_folder) as started:
            yield started

    return run


ministack = _runs(s3.ministack)
moto = _runs(s3.moto)
weed = _runs(s3.weed)
fauxqs = _runs(s3.fauxqs)
s3rver = _runs(s3.s3rver)
fake_gcs = _runs(gcs.fake_gcs)
azurite = _runs(azure.azurite)
sftp = _runs(sftp_server.sftp)


@pytest.fixture(scope="session")
def forgetful(ministack: s3.S3Server) -> Iterator[s3.S3Server]:
    """S3 that overwrites although asked not to."""
    with s3.forgetful(ministack) as server:
        yield server


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers keep what they store and say."""
    return tmp_path_factory.mktemp("servers")
