"""The servers as fixtures of pytest, one of each kind for a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import azure, gcs, s3
from servers import sftp as sftp_server
from servers.place import FolderPlaces, MemoryPlaces


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> FolderPlaces:
    """Local folders."""
    return FolderPlaces(tmp_path_factory.mktemp("folders"))


@pytest.fixture(scope="session")
def memory() -> MemoryPlaces:
    """Fsspec's memory filesystem."""
    return MemoryPlaces()


@pytest.fixture(scope="session")
def ministack(server_folder: Path) -> Iterator[s3.S3Server]:
    """S3 as AWS has it, without a check of credentials."""
    with s3.ministack(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def moto(server_folder: Path) -> Iterator[s3.S3Server]:
    """S3 that names the header in the body of a refusal."""
    with s3.moto(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def weed(server_folder: Path) -> Iterator[s3.S3Server]:
    """S3 that checks signatures."""
    with s3.weed(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def forgetful(ministack: s3.S3Server) -> Iterator[s3.S3Server]:
    """S3 that overwrites although asked not to."""
    with s3.forgetful(ministack) as server:
        yield server


@pytest.fixture(scope="session")
def fake_gcs(server_folder: Path) -> Iterator[gcs.GcsServer]:
    """Google Cloud Storage."""
    with gcs.fake_gcs(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def azurite(server_folder: Path) -> Iterator[azure.AzureServer]:
    """Azure Blob Storage."""
    with azure.azurite(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def sftp(server_folder: Path) -> Iterator[sftp_server.SftpServer]:
    """Files over SSH."""
    with sftp_server.sftp(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where servers keep what they store and say."""
    return tmp_path_factory.mktemp("servers")
