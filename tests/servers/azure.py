"""A server that speaks Azure Blob Storage: azurite, from npm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.launch import find_program, free_ports, install_from_npm, running
from servers.place import Place, fresh_name

ACCOUNT = "devstoreaccount1"
# The public key of every azurite, from its documentation.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A server that speaks Azure Blob Storage."""

    endpoint: str

    @property
    def connection_string(self) -> str:
        """What a client needs to get there."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={self.endpoint}/{ACCOUNT};"
        )

    def new_place(self) -> Place:
        """Make a container and return a prefix in it."""
        from azure.storage.blob import BlobServiceClient  # comes with adlfs, which may be missing

        container = fresh_name()
        with BlobServiceClient.from_connection_string(self.connection_string) as client:
            client.create_container(container)
        options = {"connection_string": self.connection_string}
        return Place(f"az://{container}/some/prefix", options)


@contextmanager
def azurite(folder: Path) -> Iterator[AzureServer]:
    """Keep conditions as Azure does; check signatures."""
    pytest.importorskip("adlfs", reason="adlfs is not installed: pip install 'cas-store[servers]'")
    program = find_program("azurite-blob", install=install_from_npm("azurite"))
    (port,) = free_ports(1)
    command = [
        *(program, "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
    ]
    with running(command, port, folder / "azurite.log"):
        yield AzureServer(f"http://127.0.0.1:{port}")
