"""What can be read off a driver's exception without knowing the driver.

Drivers wrap one exception in another and give each a class of their own. Classes are compared by
name, so nothing is imported for it: `botocore`, `aiohttp`, `google.auth`, `azure` and `paramiko`
are there or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MAXIMUM_LINKS = 16  # an exception may be its own context
_HTTP_URL = re.compile(r"https?://[^\s\"'<>()/?]+")
_LISTED_BUCKET = re.compile(r"b/[^/]+/o")
_MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_FORBIDDEN = "Forbidden:"  # gcsfs raises a bare OSError with this for a 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an exception and its causes say, the outermost first.

    Attributes:
        links: the exceptions themselves.
        names: of their classes and those classes' bases, builtins left out.
        code: what the server calls it, such as `NoSuchBucket`; empty if it did not answer.
        status: of the server's HTTP answer, or None.
        request_id: by which whoever runs the server finds the request, or None.
        region: where the bucket is, if the answer tells.
        endpoint: the server that was asked, `host:port` or URL, if an exception tells.
    """

    links: tuple[BaseException, ...]
    names: tuple[str, ...]
    code: str
    status: int | None
    request_id: str | None
    region: str | None
    endpoint: str | None


def gather_evidence(error: BaseException) -> Evidence:
    """Read an exception and what caused it."""
    links = tuple(_iter_links(error))
    answers = [_answer_of(link) for link in links]
    names = [
        kind.__name__
        for link in links
        for kind in type(link).__mro__
        if kind.__module__ != "builtins"
    ]
    return Evidence(
        links=links,
        names=tuple(names),
        code=next((answer.code for answer in answers if answer.code), ""),
        status=next((answer.status for answer in answers if answer.status), None),
        request_id=next((answer.request_id for answer in answers if answer.request_id), None),
        region=next((answer.region for answer in answers if answer.region), None),
        endpoint=next(filter(None, map(_endpoint_of, links)), None),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    code: str = ""
    status: int | None = None
    request_id: str | None = None
    region: str | None = None


def _iter_links(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_MAXIMUM_LINKS):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _answer_of(link: BaseException) -> _Answer:
    response = getattr(link, "response", None)
    if isinstance(response, dict):
        return _answer_of_botocore(response)
    headers = getattr(response, "headers", None)
    request_id = headers.get("x-ms-request-id") if isinstance(headers, Mapping) else None
    status = status_of(link)
    if status is None:
        status = _status(response, "status_code")
    if status is None and isinstance(link, OSError) and str(link).startswith(_FORBIDDEN):
        status = 403
    code = getattr(link, "error_code", None)
    return _Answer(str(getattr(code, "value", code) or ""), status, request_id)


def status_of(link: BaseException) -> int | None:
    """Return the HTTP status that an exception itself tells, or None."""
    # aiohttp: status, and its deprecated `code` must not be touched; azure: status_code, and the
    # server's own word in error_code; gcsfs: code.
    names = ("status", "status_code", "code")
    return next(filter(None, (_status(link, name) for name in names)), None)


def is_missing_bucket(error: Exception) -> bool:
    """Tell whether a driver says that not just the object but its bucket is absent."""
    if gather_evidence(error).code in _MISSING_BUCKET:
        return True
    # gcsfs names what it asked for: of a listing that is the bucket alone.
    return isinstance(error, FileNotFoundError) and bool(_LISTED_BUCKET.fullmatch(str(error)))


def _answer_of_botocore(response: dict[str, Any]) -> _Answer:
    error, about = response.get("Error") or {}, response.get("ResponseMetadata") or {}
    headers = about.get("HTTPHeaders") or {}
    return _Answer(
        code=str(error.get("Code") or ""),
        status=about.get("HTTPStatusCode"),
        request_id=about.get("RequestId") or headers.get("x-amz-request-id"),
        region=error.get("Region") or headers.get("x-amz-bucket-region"),
    )


def _status(thing: object, name: str) -> int | None:
    try:
        number = int(getattr(thing, name, None) or 0)
    except (TypeError, ValueError):
        return None
    return number if 300 <= number < 600 else None


def _endpoint_of(link: BaseException) -> str | None:
    host, port = getattr(link, "host", None), getattr(link, "port", None)
    if isinstance(host, str) and isinstance(port, int):
        return f"{host}:{port}"
    found = _HTTP_URL.search(str(link))
    return found.group() if found else None
