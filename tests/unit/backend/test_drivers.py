"""What drivers of fsspec answer, in the shapes that were seen."""

from __future__ import annotations

import errno
from unittest.mock import Mock

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cas.backend.drivers import is_past_the_end, is_refused, sends_conditions
from cas.backend.fsspec_backend import FsspecBackend
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, NotFoundError


class ClientError(Exception):
    """Like botocore's: the server's answer in a dictionary."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class StatusError(Exception):
    """Like those of gcsfs and adlfs: the status under a name of their own."""

    def __init__(self, **status: object) -> None:
        super().__init__(", 416")
        self.__dict__.update(status)


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


PRECONDITION = "At least one of the pre-conditions you specified did not hold"


@pytest.mark.parametrize(
    "error",
    [
        FileExistsError(PRECONDITION),
        OSError(errno.EINVAL, PRECONDITION),
        caused_by(OSError(errno.EINVAL, "something"), ClientError("PreconditionFailed")),
    ],
)
def test_a_refused_create_is_recognised(error):
    """Servers name the header or do not; either way the key is said to exist."""
    assert is_refused(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBUSY, "conflict"),
        OSError(errno.EINVAL, "bad argument"),
        caused_by(OSError(errno.EINVAL, "x"), ClientError("InvalidRequest")),
        PermissionError("Forbidden"),
        TimeoutError(),
    ],
)
def test_other_failures_of_a_create_say_nothing(error):
    """409 is "try again", a time-out is unknown: neither is "exists"."""
    assert not is_refused(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EINVAL, "The requested range is not satisfiable"),
        StatusError(code=416),
        StatusError(code="416"),
        StatusError(status_code=416),
        StatusError(status=416),
    ],
)
def test_a_range_past_the_end_is_recognised(error):
    """Each driver says 416 in its own way."""
    assert is_past_the_end(error)


@pytest.mark.parametrize(
    "error", [FileNotFoundError("bucket/41600416"), OSError("blobs/416"), StatusError(code=500)]
)
def test_a_key_with_416_in_it_is_no_range_error(error):
    """A missing object must never read as an empty one."""
    assert not is_past_the_end(error)


def test_a_driver_from_before_the_condition_claims_nothing():
    """It would swallow the parameter among its keywords and overwrite."""

    class Old(AbstractFileSystem):
        protocol = "gs"

        def pipe_file(self, path, value, **kwargs):
            raise AssertionError

    assert not sends_conditions(Old(), frozenset({"gs"}))
    assert sends_conditions(MemoryFileSystem(), frozenset({"memory"}))
    assert not FsspecBackend(Old(), "bucket", url="gs://bucket").capabilities.create_if_absent


class Scripted(AbstractFileSystem):
    """A filesystem whose every answer is one exception or value."""

    protocol = "s3"
    cachable = False
    answer: object = None

    def _give(self, *_: object, **__: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    cat_file = rm_file = find = ls = _give

    def pipe_file(self, path, value, mode="overwrite", **_):
        self._give()


@pytest.fixture
def filesystem():
    return Scripted()


@pytest.fixture
def backend(filesystem):
    return FsspecBackend(filesystem, "bucket/root", url="s3://bucket/root")


def test_a_range_past_the_end_is_empty(backend, filesystem):
    """What is an error on object stores is an answer here."""
    filesystem.answer = OSError(errno.EINVAL, "The requested range is not satisfiable")

    assert backend.get("key", 100, 200) == b""


def test_a_missing_object_is_missing_in_part_too(backend, filesystem):
    """The key in the driver's message is not taken for a status."""
    filesystem.answer = FileNotFoundError("bucket/root/416")

    with pytest.raises(NotFoundError):
        backend.get("416", 1, 2)


def test_a_server_that_ignores_ranges_is_found_out(backend, filesystem):
    """More bytes than asked for are refused, not cut: they may be from anywhere."""
    filesystem.answer = b"the whole object"

    with pytest.raises(BackendError, match="4 bytes asked for, 16 sent"):
        backend.get("key", 2, 6)


def test_a_conflict_is_an_unknown_outcome(backend, filesystem):
    """409 comes as EBUSY and says nothing about the key."""
    filesystem.answer = OSError(errno.EBUSY, "conflict")

    with pytest.raises(BackendError):
        backend.create("key", b"x")


def test_a_refusal_without_the_headers_name_is_a_refusal(backend, filesystem):
    """Most servers do not name the header in the body."""
    filesystem.answer = OSError(errno.EINVAL, PRECONDITION)

    with pytest.raises(AlreadyExistsError):
        backend.create("key", b"x")


@pytest.mark.parametrize("write", ["put", "create"])
def test_a_missing_bucket_is_a_missing_store(backend, filesystem, write):
    """Writing cannot miss an object, only the place for it."""
    filesystem.answer = FileNotFoundError("The specified bucket does not exist")

    with pytest.raises(NotFoundError) as caught:
        getattr(backend, write)("key", b"x" if write == "create" else [b"x"])

    assert caught.value.code is ErrorCode.STORE_NOT_FOUND


@pytest.mark.parametrize("error", [PermissionError("Forbidden"), RuntimeError("closed")])
@pytest.mark.parametrize("call", ["get", "delete", "list_objects", "list_folders"])
def test_whatever_a_driver_raises_becomes_a_backend_error(backend, filesystem, error, call):
    """Drivers raise classes of their own, and a failed listing is never an empty one."""
    filesystem.answer = error

    with pytest.raises(BackendError):
        getattr(backend, call)("key")


def test_running_out_of_memory_is_not_the_storages_fault(backend, filesystem):
    """MemoryError goes through as it is."""
    filesystem.answer = MemoryError()

    with pytest.raises(MemoryError):
        backend.get("key")


@pytest.mark.parametrize("slash", ["", "/"])
def test_names_are_relative_to_the_root_however_the_driver_writes_them(backend, filesystem, slash):
    """Folders, markers and neighbours that only share the prefix's letters are not objects."""
    filesystem.answer = {
        f"{slash}bucket/root/a/one": {"size": 1, "type": "file"},
        f"{slash}bucket/root/a": {"size": 0, "type": "directory"},
        f"{slash}bucket/root/ab": {"size": 9, "type": "file"},
        f"{slash}bucket/root/.tmp/x": {"size": 9, "type": "file"},
        f"{slash}bucket/root/a/none": {"size": None, "type": "file"},
    }

    found = [(entry.key, entry.size) for entry in backend.list_objects("a")]

    assert found == [("a/one", 1), ("a/none", 0)]


def test_a_driver_with_a_word_of_its_own_for_the_condition_is_believed():
    """Adlfs says overwrite=False and raises the exception of its client."""

    class RefusedError(Exception):
        error_code = "BlobAlreadyExists"

    class Azure(Scripted):
        protocol = "abfs"

        def pipe_file(self, path, value, overwrite=True, **_):
            if not overwrite:
                raise RefusedError

    backend = FsspecBackend(Azure(), "container/root", url="az://container/root")

    assert backend.capabilities.create_if_absent
    with pytest.raises(AlreadyExistsError):
        backend.create("key", b"x")


class Files(LocalFileSystem):
    """A filesystem that is no object store, below a folder that may not be listed."""

    def ls(self, path, detail=False, **kwargs):
        if path.endswith("locked"):
            raise PermissionError(path)
        return super().ls(path, detail, **kwargs)


def test_a_folder_that_cannot_be_listed_is_an_error_not_empty(tmp_path):
    """Fsspec's own search leaves such a folder out and says nothing."""
    backend = FsspecBackend(Files(), str(tmp_path), url="files://store")
    backend.put("open/key", [b"x"])
    backend.put("locked/key", [b"x"])

    with pytest.raises(BackendError):
        list(backend.list_objects(""))
    assert [found.key for found in backend.list_objects("open")] == ["open/key"]


def test_a_create_that_cannot_look_stores_nothing(tmp_path, monkeypatch):
    """Where a look and a write are two steps, a failed look is never taken for "absent"."""
    files = Files()
    backend = FsspecBackend(files, str(tmp_path), url="files://store")
    backend.put("key", [b"first"])
    monkeypatch.setattr(files, "info", Mock(side_effect=OSError("connection lost")))

    with pytest.raises(BackendError):
        backend.create("key", b"second")

    monkeypatch.undo()
    assert backend.get("key") == b"first"


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_an_object_is_sent_in_one_request_however_large(scheme):
    """Drivers would cut what is above their own limit into parts, some one after the other."""
    limits = []

    class Cutting(Scripted):
        protocol = scheme

        def pipe_file(self, path, value, chunksize=3, mode="overwrite", **_):
            limits.append(chunksize > len(value))

    backend = FsspecBackend(Cutting(), "bucket", url=f"{scheme}://bucket")

    backend.put("key", [b"more than", b"three bytes"])
    backend.create("other", b"more than three bytes")

    assert limits == [True, True]


def test_a_create_too_large_for_one_request_is_a_mistake_of_the_caller(backend):
    """It would be completed by a second request, whose condition not every server keeps."""
    with pytest.raises(ValueError, match="too many"):
        backend.create("key", bytes((64 << 20) + 1))
