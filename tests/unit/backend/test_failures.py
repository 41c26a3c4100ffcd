"""What a storage exception becomes."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import subprocess
import sys

import pytest

from cas.backend.drivers import is_past_the_end
from cas.backend.evidence import gather_evidence
from cas.backend.failures import as_cas_error, describe, missing_place
from cas.errors import AlreadyExistsError, BackendError, ErrorCode, InvalidInputError, NotFoundError


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (FileNotFoundError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (NotADirectoryError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (IsADirectoryError("x"), NotFoundError, ErrorCode.OBJECT_NOT_FOUND),
        (FileExistsError("x"), AlreadyExistsError, ErrorCode.OBJECT_EXISTS),
        (PermissionError("Forbidden"), BackendError, ErrorCode.ACCESS_DENIED),
        (OSError(errno.EROFS, "read-only"), BackendError, ErrorCode.ACCESS_DENIED),
        (OSError(errno.ENOSPC, "full"), BackendError, ErrorCode.DISK_FULL),
        (OSError(errno.EDQUOT, "quota"), BackendError, ErrorCode.DISK_FULL),
        (OSError(errno.EBUSY, "conflict"), BackendError, ErrorCode.BACKEND_FAILED),
        (TimeoutError(), BackendError, ErrorCode.STALLED),
        (ConnectionRefusedError("x"), BackendError, ErrorCode.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "no network"), BackendError, ErrorCode.UNREACHABLE),
        (socket.gaierror(-2, "unknown"), BackendError, ErrorCode.UNREACHABLE),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), BackendError, ErrorCode.UNREACHABLE),
        (ConnectionResetError("x"), BackendError, ErrorCode.BACKEND_FAILED),
        (RuntimeError("odd"), BackendError, ErrorCode.BACKEND_FAILED),
    ],
)
def test_every_exception_has_a_meaning(error, kind, code):
    """Nothing but these three classes comes out, and the place is named."""
    found = as_cas_error(error, "s3://bucket/key")

    assert (type(found), found.code) == (kind, code)
    assert str(found).startswith("s3://bucket/key: ")


class ClientError(Exception):
    """Like botocore's: the server's answer in a dictionary."""

    def __init__(self, code: str, message: str = "server's words", **more: object) -> None:
        super().__init__(f"An error occurred ({code}): {message}")
        headers = more.pop("headers", {})
        self.response = {
            "Error": {"Code": code, "Message": message, **more},
            "ResponseMetadata": {
                "RequestId": "REQ1",
                "HTTPStatusCode": 400,
                "HTTPHeaders": headers,
            },
        }


class HttpError(Exception):
    """Like gcsfs's: a code and the server's sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message}, {code}")
        self.code = code


class AzureError(Exception):
    """Like azure's: the status, the server's word, and the response."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status_code = status
        self.error_code = word
        self.response = type("Response", (), {"headers": {"x-ms-request-id": "REQ2"}})()


def named(name: str, text: str = "words") -> Exception:
    """Return an exception of a client library's class, known by its name alone."""
    return type(name, (Exception,), {"__module__": "library"})(text)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answered(code: str, **more: object) -> Exception:
    """Return what s3fs makes of a server's answer."""
    return caused(OSError(errno.EINVAL, "server's words"), ClientError(code, **more))


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (named("NoCredentialsError"), "no-credentials", "no credentials were found"),
        (named("ProfileNotFound", "profile (x)"), "no-credentials", "profile (x)"),
        (named("DefaultCredentialsError"), "no-credentials", "no credentials were found"),
        (HttpError(401, "Anonymous caller does not have access"), "no-credentials", "no credential"),
        (caused(PermissionError("x"), ClientError("403", "Forbidden")), "access-denied", "access denied"),
        (answered("AccessDenied"), "access-denied", "words"),
        (answered("InvalidAccessKeyId"), "access-denied", "access key is not known"),
        (answered("SignatureDoesNotMatch"), "access-denied", "secret does not belong"),
        (answered("ExpiredToken"), "access-denied", "expired"),
        (answered("RequestTimeTooSkewed"), "access-denied", "clock"),
        (HttpError(403, "no storage.objects.get"), "access-denied", "no storage.objects.get"),
        (OSError("Forbidden: https://x/y\nno right"), "access-denied", "no right"),
        (AzureError(403, "AuthorizationFailure"), "access-denied", "access denied"),
        (named("ClientAuthenticationError"), "access-denied", "access denied"),
        (answered("PermanentRedirect"), "access-denied", "another region"),
        (answered("AuthorizationHeaderMalformed", Region="eu-west-3"), "access-denied", "region eu-west-3"),
        (answered("301", headers={"x-amz-bucket-region": "eu-west-3"}), "access-denied", "region eu-west-3"),
        (answered("SlowDown"), "throttled", "fewer requests"),
        (answered("RequestLimitExceeded"), "throttled", "fewer requests"),
        (answered("503"), "throttled", "fewer requests"),
        (HttpError(429, "rate"), "throttled", "fewer requests"),
        (AzureError(503, "ServerBusy"), "throttled", "fewer requests"),
        (named("ReadTimeoutError"), "stalled", "no answer in time"),
        (named("ConnectTimeoutError"), "stalled", "no answer in time"),
        (named("FSTimeoutError"), "stalled", "no answer in time"),
        (answered("RequestTimeout"), "stalled", "no answer in time"),
        (named("EndpointConnectionError", 'to "http://h:9/b/k?sig=x"'), "unreachable", "http://h:9: "),
        (caused(named("ClientConnectorError"), ConnectionRefusedError(111, "x")), "unreachable", "refused"),
        (caused(named("EndpointConnectionError"), socket.gaierror(-2, "x")), "unreachable", "no server of this name"),
        (caused(named("SSLError"), ssl.SSLCertVerificationError(1, "self-signed")), "unreachable", "not trusted"),
        (answered("InternalError"), "backend-failed", "server's words"),
        (named("ConnectionClosedError"), "backend-failed", "words"),
    ],
)  # fmt: skip
def test_drivers_failures_are_told_apart(error, code, said):
    """By class names, errno, and the server's answer along the chain of causes."""
    found = as_cas_error(error, "s3://bucket/key")

    assert (type(found), found.code.value) == (BackendError, code)
    assert said in str(found)
    assert str(found).startswith("s3://bucket/key: ")
    assert "\n" not in str(found)
    assert (found.hint is None) == (code == "backend-failed")


@pytest.mark.parametrize(
    ("error", "request_id"),
    [
        (answered("InternalError"), "REQ1"),
        (answered("AccessDenied"), "REQ1"),
        (AzureError(500, "InternalError"), "REQ2"),
    ],
)
def test_the_servers_request_id_is_told(error, request_id):
    """Whoever runs the server finds the request by it."""
    assert str(as_cas_error(error, "s3://b/k")).endswith(f" (request id {request_id})")


@pytest.mark.parametrize(
    ("error", "writing"),
    [
        (caused(FileNotFoundError("x"), ClientError("NoSuchBucket")), False),
        (FileNotFoundError("x"), True),
        (AzureError(404, "ContainerNotFound"), False),
    ],
)
def test_a_missing_bucket_is_a_missing_store(error, writing):
    """The bucket is named, and the hint makes it."""
    found = as_cas_error(error, "s3://bucket/store/cas.json", writing=writing)

    assert (type(found), found.code) == (NotFoundError, ErrorCode.STORE_NOT_FOUND)
    assert "there is no bucket 'bucket'" in str(found)
    assert "aws s3 mb s3://bucket" in (found.hint or "")


def test_a_place_that_has_no_buckets_is_missing_as_a_folder():
    """Servers of sftp and the like have folders."""
    assert "no such bucket or folder" in str(missing_place("sftp://host/store"))


def test_a_request_that_the_driver_refuses_is_invalid_input():
    """Trying again cannot help against a name that no bucket may have."""
    found = as_cas_error(named("ParamValidationError", "Invalid bucket\nname"), "s3://B B/k")

    assert type(found) is InvalidInputError


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "abfs", "sftp"])
def test_missing_credentials_say_how_to_get_them(scheme):
    """Each kind of storage has a way of its own."""
    assert as_cas_error(named("NoCredentialsError"), f"{scheme}://b/k").hint


def test_an_exception_that_is_its_own_context_ends():
    """Chains can be circles."""
    error = RuntimeError("odd")
    error.__cause__ = error

    assert as_cas_error(error, "s3://b/k").code is ErrorCode.BACKEND_FAILED


def test_no_driver_is_imported_to_read_its_exceptions():
    """Every command on a local store would pay for it."""
    script = (
        "import sys, cas.backend.failures as f; f.as_cas_error(OSError(5, 'x'), 'file:///a'); "
        "sys.exit(bool({'botocore', 'aiohttp', 'fsspec', 'ssl', 'asyncio'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_systems_words_are_kept():
    """What went wrong is said once, in one line."""
    assert describe(OSError(errno.EIO, os.strerror(errno.EIO), "/a")) == os.strerror(errno.EIO)
    assert describe(ValueError("two\nlines ")) == "two lines"
    assert describe(TimeoutError()) == "TimeoutError"
    denied = as_cas_error(PermissionError(errno.EACCES, "Permission denied"), "file:///a")
    assert str(denied) == "file:///a: Permission denied"
    assert "permissions" in (denied.hint or "")


def test_signatures_in_urls_are_not_repeated():
    """Drivers quote the URL of a failed request, whose query may open the store."""
    error = OSError("GET 'https://me:pw@h.example/b/k?X-Signature=hunter2&e=1' failed")

    assert describe(error) == "GET 'https://h.example/b/k' failed"


def test_what_a_driver_deprecates_is_not_touched():
    """Aiohttp warns of whoever reads `code` beside `status`."""

    class AnswerError(Exception):
        status = 416

        @property
        def code(self) -> int:
            raise AssertionError

    assert gather_evidence(AnswerError()).status == 416
    assert is_past_the_end(AnswerError())
