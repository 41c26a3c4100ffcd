"""The suite on sftp, against a server in this process. Runs where asyncssh and paramiko are installed."""

from __future__ import annotations

import asyncio
import gc
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import cas
from cas.backend.base import Backend
from cas.backend.open import open_backend
from cas.errors import BackendError, ErrorCode
from cas.testing.backend_contract import BackendContract
from cas.testing.trees import write_tree

asyncssh = pytest.importorskip("asyncssh")
pytest.importorskip("paramiko")

PASSWORD = "password-of-the-server"  # of a server that ends with the test

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations of the two libraries


class Guard(asyncssh.SSHServer):
    """Lets in whoever knows the password."""

    connections: ClassVar[set[asyncssh.SSHServerConnection]] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.add(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == PASSWORD


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose root is a folder of the test's own."""
    root = str(tmp_path_factory.mktemp("sftp")).encode()
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            Guard,
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root),
        )

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    yield f"sftp://someone@127.0.0.1:{server.get_port()}"
    asyncio.run_coroutine_threadsafe(end(server), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    gc.collect()  # the clients' sockets, while warnings about them are ignored


async def end(server: asyncssh.SSHAcceptor) -> None:
    """Close what clients left open, so that nothing is collected later and warns."""
    for connection in Guard.connections:
        connection.abort()
        await connection.wait_closed()
    server.close()
    await server.wait_closed()


class TestSftp(BackendContract):
    @pytest.fixture
    def backend(self, address: str) -> Backend:
        return open_backend(f"{address}/{uuid.uuid4().hex}", {"password": PASSWORD})

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

    # A folder in the place of an object is only ever "failure" to a server of sftp, which is an
    # error of the backend; no key of a store is a folder of another (K3).
    @pytest.mark.parametrize("key", ["absent", "folder/absent", "file/below"])
    def test_an_absent_object_is_not_found(self, backend: Backend, key: str) -> None:
        """As everywhere, but for folders."""
        super().test_an_absent_object_is_not_found(backend, key)

    @pytest.mark.parametrize("key", ["absent", "no/such/folder", "file/below"])
    def test_deleting_what_is_not_there_is_fine(self, backend: Backend, key: str) -> None:
        """As everywhere, but for folders."""
        super().test_deleting_what_is_not_there_is_fine(backend, key)


def test_a_store_on_sftp_works(address, tmp_path: Path):
    """From end to end, with the threads of a transfer on a client that is not safe for them."""
    write_tree(tmp_path / "data", {b"%d" % n: b"%d" % n * 5000 for n in range(20)})
    url, options = f"{address}/{uuid.uuid4().hex}", {"password": PASSWORD}
    own = cas.StoreOptions(cache_dir=str(tmp_path / "cache"), jobs=4)

    cas.Store.create(url, storage_options=options).close()
    with cas.Store.open(url, storage_options=options, options=own) as store:
        store.put(tmp_path / "data", "numbers")
        got = store.get("numbers", tmp_path / "copy")

    assert got.files == 20


def test_a_wrong_password_is_told(address):
    """When the store is opened, without the password."""
    with pytest.raises(BackendError) as caught:
        open_backend(f"{address}/x", {"password": "wrong-password"})

    assert caught.value.code is ErrorCode.ACCESS_DENIED
    assert "wrong-password" not in str(caught.value)
