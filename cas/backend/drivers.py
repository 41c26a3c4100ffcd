"""How the drivers of fsspec differ: whether they can create, and how they say no."""

from __future__ import annotations

import errno
import inspect
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cas.backend.driver_options import S3_SCHEMES

# Older botocore drops the condition from the request without a word.
_FIRST_CONDITIONAL_BOTOCORE = (1, 35, 21)
_REFUSED = "PreconditionFailed"
_RANGE_NOT_SATISFIABLE = 416


def sends_conditions(filesystem: Any, protocols: frozenset[str]) -> bool:
    """Tell whether the installed driver passes the condition of a `create` on."""
    if "memory" in protocols:  # our own create, no matter how old the driver
        return True
    method = getattr(filesystem, "_pipe_file", None) or filesystem.pipe_file
    # Drivers from before the parameter swallow it among their keywords and overwrite.
    if "mode" not in inspect.signature(method).parameters:
        return False
    if protocols & S3_SCHEMES:
        try:
            numbers = tuple(map(int, re.findall(r"\d+", version("botocore"))[:3]))
        except PackageNotFoundError:
            return False
        return numbers >= _FIRST_CONDITIONAL_BOTOCORE
    return True


def is_refused(error: Exception) -> bool:
    """Tell whether a `create` was answered with "exists", as drivers put it.

    s3fs raises FileExistsError only if the body names the header, else OSError(EINVAL) with the
    server's sentence; a wrong guess costs the caller one read.
    """
    if isinstance(error, FileExistsError):
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
    # gcsfs, adlfs and aiohttp each have a name of their own for the status.
    for name in ("code", "status_code", "status"):
        if str(getattr(error, name, "")) == str(_RANGE_NOT_SATISFIABLE):
            return True
    return "range is not satisfiable" in str(error).lower()
