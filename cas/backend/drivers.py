"""How the drivers of fsspec differ: whether they can create, how they say no, what they need."""

from __future__ import annotations

import errno
import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fsspec.asyn import sync

from cas.backend.driver_options import S3_SCHEMES
from cas.backend.evidence import status_of

# Older botocore drops the condition from the request without a word.
_FIRST_CONDITIONAL_BOTOCORE = (1, 35, 21)
_REFUSED = "PreconditionFailed"
_EXISTS_ON_AZURE = "BlobAlreadyExists"
_NOT_FOUND = 404
_RANGE_NOT_SATISFIABLE = 416
_CLOSE_SECONDS = 2.0


def sends_conditions(filesystem: Any, protocols: frozenset[str]) -> bool:
    """Tell whether the installed driver passes the condition of a `create` on."""
    if "memory" in protocols:  # our own create, no matter how old the driver
        return True
    if not conditional(filesystem):
        return False
    if protocols & S3_SCHEMES:
        try:
            numbers = tuple(map(int, re.findall(r"\d+", version("botocore"))[:3]))
        except PackageNotFoundError:
            return False
        return numbers >= _FIRST_CONDITIONAL_BOTOCORE
    return True


def conditional(filesystem: Any) -> dict[str, Any]:
    """Return what makes `pipe_file` refuse an existing object; nothing if it cannot."""
    # Drivers from before a parameter swallow it among their keywords and overwrite.
    parameters = _parameters_of_put(filesystem)
    if "mode" in parameters:
        return {"mode": "create"}
    return {"overwrite": False} if "overwrite" in parameters else {}  # adlfs


def takes_chunk_size(filesystem: Any) -> bool:
    """Tell whether the driver can be told above how many bytes it sends several requests."""
    return "chunksize" in _parameters_of_put(filesystem)


def close_connections(filesystem: Any) -> None:
    """Close what the driver keeps open, where it is known how. Twice is fine."""
    protocols = filesystem.protocol
    named = {protocols} if isinstance(protocols, str) else set(protocols)
    # Whatever a driver says to that: what stays open is closed when it is collected.
    with suppress(Exception):
        if named & S3_SCHEMES and (creator := getattr(filesystem, "_s3creator", None)):
            sync(filesystem.loop, creator.__aexit__, None, None, None, timeout=_CLOSE_SECONDS)
        elif session := getattr(filesystem, "_session", None):  # gcsfs and http
            sync(filesystem.loop, session.close, timeout=_CLOSE_SECONDS)
        elif client := getattr(filesystem, "service_client", None):  # adlfs
            sync(filesystem.loop, client.close, timeout=_CLOSE_SECONDS)
        elif client := getattr(filesystem, "client", None):  # sftp
            client.close()


def is_absent(error: Exception) -> bool:
    """Tell whether a request was answered with "there is no such object, bucket or folder"."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return True
    # adlfs passes its client's own class on when it writes.
    return getattr(error, "status_code", None) == _NOT_FOUND


def is_refused(error: Exception) -> bool:
    """Tell whether a `create` was answered with "exists", as drivers put it.

    s3fs raises FileExistsError only if the body names the header, else OSError(EINVAL) with the
    server's sentence; a wrong guess costs the caller one read.
    """
    if isinstance(error, FileExistsError):
        return True
    if getattr(error, "error_code", None) == _EXISTS_ON_AZURE:
        return True
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict) and response.get("Error", {}).get("Code") == _REFUSED:
        return True
    is_invalid = isinstance(error, OSError) and error.errno == errno.EINVAL
    return is_invalid and "pre-condition" in str(error).lower()


def is_past_the_end(error: Exception) -> bool:
    """Tell whether a ranged read began behind the last byte, as drivers put it."""
    if isinstance(error, FileNotFoundError):
        return False
    is_told = status_of(error) == _RANGE_NOT_SATISFIABLE
    return is_told or "range is not satisfiable" in str(error).lower()


def _parameters_of_put(filesystem: Any) -> Mapping[str, inspect.Parameter]:
    method = getattr(filesystem, "_pipe_file", None) or filesystem.pipe_file
    return inspect.signature(method).parameters
