"""What obstore says, brought to what every other driver says."""

from __future__ import annotations

import pytest

from cas.backend.failures import as_cas_error
from cas.backend.obstore_failures import (
    explain,
    is_missing_bucket,
    is_past_the_end,
    is_wrong_region,
)
from cas.errors import BackendError, ErrorCode, NotFoundError

WHERE = "s3://bucket/store"
START = "Generic S3 error: Error performing PUT http://127.0.0.1:9/bucket/x in 0.8ms - "
DEBUG = '\n\nDebug source:\nGeneric {\n    store: "S3",\n'


def refusal(status: str, code: str, message: str = "No.") -> str:
    """A text of obstore about an answer of the server."""
    return (
        f"{START}Server returned non-2xx status code: {status}: <?xml version='1.0'?>\n"
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>REQ7</RequestId></Error>{DEBUG}"
    )


def without_answer(inner: str) -> str:
    """A text of obstore about a request that had none."""
    return f"{START}HTTP error: error sending request{DEBUG}inner: {inner}"


CONNECT = (
    'HttpError {\n kind: Connect, ConnectError(\n "tcp connect error",\n Os {\n code: 111,\n'
    ' kind: ConnectionRefused,\n message: "Connection refused",\n },'
)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (refusal("403 Forbidden", "AccessDenied"), ErrorCode.ACCESS_DENIED, "access denied"),
        (refusal("403 Forbidden", "SignatureDoesNotMatch"), ErrorCode.ACCESS_DENIED, "the secret"),
        (refusal("503 Service", "SlowDown"), ErrorCode.THROTTLED, "fewer requests"),
        (refusal("429 Too Many", "TooManyRequests"), ErrorCode.THROTTLED, "fewer requests"),
        (refusal("500 Internal", "InternalError"), ErrorCode.BACKEND_FAILED, "No."),
        (without_answer("kind: Timeout,"), ErrorCode.STALLED, "no answer in time"),
        (without_answer(CONNECT), ErrorCode.UNREACHABLE, "the connection is refused"),
        (without_answer('"dns error", Custom {'), ErrorCode.UNREACHABLE, "no server of this name"),
        (without_answer("invalid peer certificate"), ErrorCode.UNREACHABLE, "not trusted"),
        (without_answer("kind: Request, nothing known"), ErrorCode.BACKEND_FAILED, "error sending"),
    ],
)
def test_a_failure_is_told_as_of_any_driver(text: str, code: ErrorCode, says: str) -> None:
    """One line with the same code, whatever client met it."""
    told = as_cas_error(explain(RuntimeError(text)), WHERE)

    assert isinstance(told, BackendError)
    assert (told.code, says in str(told), "\n" in str(told)) == (code, True, False)
    assert "Debug" not in str(told)


def test_the_request_id_is_passed_on() -> None:
    """Whoever runs the server finds the request by it."""
    told = as_cas_error(explain(RuntimeError(refusal("500 x", "InternalError"))), WHERE)

    assert str(told) == f"{WHERE}: No. (request id REQ7)"


def test_a_missing_bucket_is_not_a_missing_object() -> None:
    """The one is a mistake of the user, the other an answer."""
    bucket = FileNotFoundError(refusal("404 Not Found", "NoSuchBucket"))
    key = FileNotFoundError(refusal("404 Not Found", "NoSuchKey"))
    listing = RuntimeError(refusal("404 Not Found", "NoSuchBucket"))

    told = [as_cas_error(explain(error), WHERE) for error in (bucket, key, listing)]

    assert [type(error) for error in told] == [NotFoundError] * 3
    assert [error.code for error in told] == [
        ErrorCode.STORE_NOT_FOUND,
        ErrorCode.OBJECT_NOT_FOUND,
        ErrorCode.STORE_NOT_FOUND,
    ]
    assert [is_missing_bucket(error) for error in (bucket, key, listing)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (START + "Received redirect without LOCATION, an incorrectly configured region", True),
        (refusal("301 Moved", "PermanentRedirect"), True),
        (refusal("400 Bad Request", "AuthorizationHeaderMalformed"), True),
        (refusal("403 Forbidden", "AccessDenied"), False),
    ],
)
def test_a_bucket_in_another_region_is_recognised(text: str, expected: bool) -> None:
    """That is where another driver takes over."""
    assert is_wrong_region(RuntimeError(text)) is expected


def test_a_range_behind_the_end_is_recognised() -> None:
    """By its status."""
    assert is_past_the_end(RuntimeError(refusal("416 Range Not Satisfiable", "InvalidRange")))
    assert not is_past_the_end(RuntimeError(refusal("404 Not Found", "NoSuchKey")))
