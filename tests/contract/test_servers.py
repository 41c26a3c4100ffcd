"""The suite on every kind of remote store, against servers of this machine."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator

import pytest
from servers.azure import AzureServer
from servers.gcs import GcsServer
from servers.place import Place, StoreServer
from servers.relay import relay_to
from servers.s3 import S3Server
from servers.sftp import SftpServer

from cas.backend.base import Backend, StoredObject
from cas.backend.open import open_backend
from cas.backend.probe import probe_create_if_absent
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, NotFoundError
from cas.model.units import MIB
from cas.testing.backend_contract import BackendContract, CreateContract, ObjectContract

UNSURE_IN_A_RACE = pytest.mark.skip(
    reason="moto looks for the key and then stores it: two of its threads may both win"
)


class Remote:
    """Where a suite is run: a new place of a server, which a subclass gives as a fixture."""

    @pytest.fixture
    def place(self, server: StoreServer) -> Place:
        return server.new_place()

    @pytest.fixture
    def backend(self, place: Place) -> Iterator[Backend]:
        with place.open() as backend:
            yield backend


class RemoteContract(Remote, BackendContract):
    """The suite, and what a store that is a request away promises beyond it."""

    def test_a_missing_place_is_a_missing_store(self, place: Place) -> None:
        """Where the bucket is not there, reading finds nothing and writing says so."""
        scheme, _, path = place.url.partition("://")
        gone = f"{scheme}://no-such-bucket-{uuid.uuid4().hex[:8]}/{path.partition('/')[2]}"

        with open_backend(gone, place.options) as backend:
            with pytest.raises(NotFoundError):
                backend.get("key")
            for write in (
                lambda: backend.put("key", [b"x"]),
                lambda: backend.create("key", b"x"),
            ):
                with pytest.raises(NotFoundError) as caught:
                    write()
                assert caught.value.code is ErrorCode.STORE_NOT_FOUND

    def test_a_closed_copy_leaves_the_others_open(self, place: Place, backend: Backend) -> None:
        """Each opened backend has connections of its own, and closing twice is fine."""
        backend.put("key", [b"content"])
        other = place.open()
        other.get("key")

        other.close()
        other.close()

        assert backend.get("key") == b"content"


class TestMinistack(RemoteContract):
    """S3 as AWS has it."""

    @pytest.fixture
    def server(self, ministack: S3Server) -> S3Server:
        return ministack

    def test_the_client_is_known_to_send_conditions(self, backend: Backend) -> None:
        """Versions of s3fs and botocore that drop the condition would not claim this."""
        assert backend.capabilities.create_if_absent


class TestMinistackByS3fs(RemoteContract):
    """The same through the driver of fsspec, which is used where obstore is not installed."""

    @pytest.fixture
    def server(self, ministack: S3Server) -> S3Server:
        return ministack

    @pytest.fixture
    def place(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
        # An import of None is one that fails.
        monkeypatch.setitem(sys.modules, "cas.backend.obstore_backend", None)
        return server.new_place()


class TestMoto(Remote, ObjectContract, CreateContract):
    """S3 whose refusal names the header. It lists slowly, and as ministack does."""

    @pytest.fixture
    def server(self, moto: S3Server) -> S3Server:
        return moto

    @UNSURE_IN_A_RACE
    def test_one_of_many_racing_creates_wins(self) -> None: ...

    @UNSURE_IN_A_RACE
    def test_racers_agree_on_what_was_created(self) -> None: ...

    @UNSURE_IN_A_RACE
    def test_the_probe_finds_the_guarantee(self) -> None: ...


class TestWeed(RemoteContract):
    """S3 that checks signatures and makes a bucket when something is written to it."""

    @pytest.fixture
    def server(self, weed: S3Server) -> S3Server:
        return weed

    def test_a_missing_place_is_a_missing_store(self, place: Place) -> None:
        """It is there as soon as something is written."""
        with open_backend(f"s3://new-{uuid.uuid4().hex[:8]}/x", place.options) as backend:
            with pytest.raises(NotFoundError):
                backend.get("key")
            backend.put("key", [b"x"])
            assert backend.get("key") == b"x"

    @pytest.mark.skip(
        reason="racers wait whole seconds for each other; test_racers_agree is one round"
    )
    def test_one_of_many_racing_creates_wins(self) -> None: ...

    def test_wrong_credentials_are_told_in_one_line(self, weed: S3Server, place: Place) -> None:
        """Every method says that access was denied, and none takes it for absence."""
        with open_backend(place.url, weed.options(secret="wrong" * 4)) as backend:
            for call in (
                lambda: backend.get("key"),
                lambda: backend.get("key", 1, 2),
                lambda: backend.put("key", [b"x"]),
                lambda: backend.create("key", b"x"),
                lambda: backend.delete("key"),
                lambda: list(backend.list_objects("")),
                lambda: backend.list_folders(""),
            ):
                with pytest.raises(BackendError) as caught:
                    call()
                assert caught.value.code is ErrorCode.ACCESS_DENIED
                assert "\n" not in str(caught.value)


def test_a_server_that_overwrites_silently_is_found_out(forgetful: S3Server) -> None:
    """The probe finds that the condition is not kept, and leaves nothing behind."""
    with forgetful.new_place().open() as backend:
        assert not probe_create_if_absent(backend, "probe/key")
        assert list(backend.list_objects("")) == []


class TestFakeGcs(RemoteContract):
    """Google Cloud Storage."""

    @pytest.fixture
    def server(self, fake_gcs: GcsServer) -> GcsServer:
        return fake_gcs


class TestAzurite(RemoteContract):
    """Azure Blob Storage."""

    @pytest.fixture
    def server(self, azurite: AzureServer) -> AzureServer:
        return azurite


class TestSftp(RemoteContract):
    """Files over SSH."""

    @pytest.fixture
    def server(self, sftp: SftpServer) -> SftpServer:
        return sftp

    def test_a_missing_place_is_a_missing_store(self, place: Place) -> None:
        """A folder that is not there is empty until something is written."""
        with open_backend(f"{place.url}/not/there", place.options) as backend:
            with pytest.raises(NotFoundError):
                backend.get("key")
            assert list(backend.list_objects("")) == []
            backend.put("key", [b"x"])
            assert backend.get("key") == b"x"

    def test_a_wrong_password_is_told_in_one_line(self, place: Place) -> None:
        """The store cannot be opened, and what is said does not repeat the password."""
        with pytest.raises(BackendError) as caught:
            open_backend(place.url, {**place.options, "password": "hunter2"})

        assert caught.value.code is ErrorCode.ACCESS_DENIED
        assert "\n" not in str(caught.value)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.skip(reason="it is not promised there, and the backend says so")
    def test_one_of_many_racing_creates_wins(self) -> None: ...

    @pytest.mark.skip(reason="it is not promised there, and the backend says so")
    def test_racers_agree_on_what_was_created(self) -> None: ...

    def test_the_probe_finds_the_guarantee(self, backend: Backend) -> None:
        """The probe does not find what is not promised."""
        assert not probe_create_if_absent(backend, "probe/key")
        assert list(backend.list_objects("")) == []


@pytest.mark.parametrize("kind", ["ministack", "fake_gcs", "azurite"])
def test_a_large_create_is_one_request(kind: str, request: pytest.FixtureRequest) -> None:
    """Above what each driver sends in parts by itself, there is still one write and no completion.

    Some servers let several conditional completions of one key succeed.
    """
    server = request.getfixturevalue(kind)
    place = server.new_place()
    content = bytes(60 * MIB)

    with relay_to(server.endpoint) as relay:
        options = {
            name: value.replace(server.endpoint, relay.endpoint)
            for name, value in place.options.items()
        }
        with open_backend(place.url, options) as backend:
            backend.create("large", content)
            with pytest.raises(AlreadyExistsError):
                backend.create("large", content)

    assert [method for method, _ in relay.requests if method in ("PUT", "POST")] == [
        "POST" if kind == "fake_gcs" else "PUT"
    ] * 2
    with place.open() as backend:
        assert list(backend.list_objects("")) == [StoredObject("large", len(content))]
