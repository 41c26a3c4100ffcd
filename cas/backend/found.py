"""What drivers say of an object, brought to one form: size, time, and what marks its content."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What changes with every write, or with the content, as drivers call it; the first one counts.
_MARKS = ("generation", "ETag", "etag", "md5Hash", "Content-MD5", "blob_id", "sha", "checksum")
_TIMES = ("LastModified", "last_modified", "mtime", "Last-Modified", "modified", "created")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """An object as a listing or a look at it shows it.

    Attributes:
        path: relative to the place, `/`-separated; empty where the place is a single object.
        is_file: whether it has content; links and devices of some servers do not.
        size: bytes; None if its server does not tell.
        mtime_ns: when it was written, by its server's clock; None if that does not tell.
        mark: its etag, generation or checksum; empty if its server has none.
    """

    path: str
    is_file: bool
    size: int | None
    mtime_ns: int | None
    mark: str


def found_object(path: str, entry: Mapping[str, Any]) -> FoundObject:
    """Read what a driver says of the object at `path`; a field that makes no sense is unknown."""
    size = entry.get("size")
    marks = (_as_mark(entry[name]) for name in _MARKS if name in entry)
    return FoundObject(
        path=path,
        is_file=entry.get("type", "file") == "file",
        size=int(size) if isinstance(size, int | float) else None,
        mtime_ns=found_time(entry),
        mark=next((mark for mark in marks if mark), ""),
    )


def found_time(entry: Mapping[str, Any]) -> int | None:
    """Return when an object was written, in nanoseconds since the epoch, if a driver tells."""
    times = (as_ns(entry[name]) for name in _TIMES if name in entry)
    return next((time for time in times if time is not None), None)


def _as_mark(value: object) -> str:
    """An etag stands in quotes in a header and often without them in a listing."""
    return str(value).removeprefix("W/").strip('"') if isinstance(value, str | int) else ""


def as_ns(value: object) -> int | None:
    """Return a time, as any driver has it, in nanoseconds since the epoch; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value * 1_000_000_000)
    if isinstance(value, str):
        value = _parse_time(value)
    if not isinstance(value, datetime.datetime):
        return None
    since = (value if value.tzinfo else value.replace(tzinfo=datetime.UTC)) - _EPOCH
    return (since // datetime.timedelta(microseconds=1)) * 1000


def _parse_time(text: str) -> datetime.datetime | None:
    # It imports sockets, random numbers and more; S3 by obstore gives no texts.
    from email.utils import parsedate_to_datetime

    for parse in (datetime.datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
