"""Reading a record. One that looks damaged is read once more before that is believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from cas.backend.base import Backend
from cas.backend.caching import CachingBackend
from cas.errors import CorruptionError

_Record = TypeVar("_Record")


def read_record(backend: Backend, key: str, decode: Callable[..., _Record]) -> _Record:
    """Return what `decode(content, what=key)` makes of an object.

    Raises:
        NotFoundError: there is no such object.
        CorruptionError: `decode` says so twice, the second time of what was read past any cache:
            what went wrong on the way, or in a cache, is no damage of the store.
    """
    content = backend.get(key)
    with suppress(CorruptionError):
        return decode(content, what=key)
    return decode(read_anew(backend, key), what=key)


def read_anew(backend: Backend, key: str, start: int = 0, stop: int | None = None) -> bytes:
    """Return bytes of an object as the storage gives them now, whatever a cache holds."""
    anew = backend.get_anew if isinstance(backend, CachingBackend) else backend.get
    return anew(key, start, stop)
