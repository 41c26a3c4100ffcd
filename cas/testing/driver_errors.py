"""What drivers of fsspec raise when a request fails, made without any of the drivers.

Names, attributes and texts are those of s3fs with aiobotocore, gcsfs, adlfs and aiohttp as they
were seen, so that whatever tells such errors apart can be tried on them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

# Not every system has it; s3fs falls back in the same way.
_REMOTE_IO = getattr(errno, "EREMOTEIO", errno.EIO)
_PRECONDITION = "At least one of the pre-conditions you specified did not hold"


class ClientError(Exception):
    """Like botocore's: the server's answer stands in `response`."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"An error occurred ({code}) when calling an operation: {message}")
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }


class ReadTimeoutError(Exception):
    """Like botocore's, which is no OSError."""


class ClientPayloadError(Exception):
    """Like aiohttp's: the connection broke before the whole body was there."""


class ServerDisconnectedError(Exception):
    """Like aiohttp's."""


class HttpError(Exception):
    """Like gcsfs's: the status stands in `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message}, {code}")
        self.code = code


class HttpResponseError(Exception):
    """Like azure.core's: the status stands in `status_code`."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


def _from_server(number: int, code: str, status: int, message: str) -> OSError:
    """An answer of S3 as s3fs translates it, botocore's exception being the cause."""
    error = OSError(number, message)
    error.__cause__ = ClientError(code, status, message)
    return error


TIMEOUTS: dict[str, Callable[[], Exception]] = {
    "timed out": TimeoutError,
    "read timed out": lambda: ReadTimeoutError('Read timeout on endpoint URL: "None"'),
    "request timed out": lambda: TimeoutError("Your socket connection to the server was idle."),
}

CONNECTION_ERRORS: dict[str, Callable[[], Exception]] = {
    "reset": lambda: ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "disconnected": lambda: ServerDisconnectedError("Server disconnected"),
    "payload cut": lambda: ClientPayloadError(
        "Response payload is not completed: Not enough data to satisfy content length header."
    ),
}

THROTTLES: dict[str, Callable[[], Exception]] = {
    "slow down": lambda: _from_server(
        errno.EBUSY, "SlowDown", 503, "Please reduce your request rate."
    ),
    "slow down, untranslated": lambda: ClientError(
        "SlowDown", 503, "Please reduce your request rate."
    ),
    "too many requests": lambda: HttpError(429, "Rate limit exceeded"),
    "server busy": lambda: HttpResponseError(503, "The server is busy."),
}

SERVER_ERRORS: dict[str, Callable[[], Exception]] = {
    "internal error": lambda: _from_server(
        _REMOTE_IO, "InternalError", 500, "We encountered an internal error. Please try again."
    ),
    "conflict": lambda: _from_server(
        errno.EBUSY,
        "ConditionalRequestConflict",
        409,
        "A conflicting conditional operation is currently in progress.",
    ),
    "bad gateway": lambda: HttpError(502, "Bad Gateway"),
}

# All after which another try may succeed, by a name for each.
TRANSIENT_ERRORS = TIMEOUTS | CONNECTION_ERRORS | THROTTLES | SERVER_ERRORS

# How a refused create looks: it depends on whether the server names the header in its answer.
REFUSALS: dict[str, Callable[[], Exception]] = {
    "exists": lambda: FileExistsError(_PRECONDITION),
    "pre-condition failed": lambda: _from_server(
        errno.EINVAL, "PreconditionFailed", 412, _PRECONDITION
    ),
}
