"""Typed reading of the fields of a record. What nobody asked for is kept and written again.

Spec: specs/format/02-encoding.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cas.errors import InvalidInputError
from cas.format.encoding import (
    ID_BYTES,
    array_field,
    find_foreign,
    ids_field,
    malformed,
    unsupported,
)
from cas.model.entry import PageLocation
from cas.model.ids import SESSION_ID_BYTES, BlobId, PageId, SessionId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_INTEGER = (1 << 63) - 1
CRITICAL = "critical"


class FieldReader:
    """Reads the fields of one decoded map; all errors name the object they stand in.

    Every method raises `CorruptionError` if the field is missing or not what it asks for.
    """

    def __init__(self, fields: dict[str, Any], what: str) -> None:
        self._fields = fields
        self._what = what
        self._asked: set[str] = set()

    def _take(self, name: str) -> Any:
        self._asked.add(name)
        return self._fields.get(name)

    def has_any(self, names: Sequence[str]) -> bool:
        """Tell whether one of these fields is there; all of them are known then."""
        self._asked.update(names)
        return any(name in self._fields for name in names)

    def integer(self, name: str, *, low: int = 0, high: int = MAX_INTEGER) -> int:
        """Return an integer between `low` and `high`, both included."""
        value = self._take(name)
        if type(value) is not int or not low <= value <= high:
            raise malformed(self._what, f"{name} is not an integer from {low} to {high}")
        return value

    def optional_integer(self, name: str) -> int | None:
        """Return an integer that is not negative, or None."""
        return None if self._take(name) is None else self.integer(name)

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._take(name)
        if type(value) is not bool:
            raise malformed(self._what, f"{name} is neither true nor false")
        return value

    def flag(self, name: str) -> bool:
        """Return true or false; false if the field is missing."""
        return False if self._take(name) is None else self.boolean(name)

    def text(self, name: str) -> str:
        """Return text."""
        value = self._take(name)
        if type(value) is not str:
            raise malformed(self._what, f"{name} is not text")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return text, or None."""
        return None if self._take(name) is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._take(name)
        if type(value) is not list or any(type(item) is not str for item in value):
            raise malformed(self._what, f"{name} is not a list of texts")
        return tuple(value)

    def octets(self, name: str, size: int | None = None) -> bytes:
        """Return bytes, exactly `size` of them if it is given."""
        value = self._take(name)
        if type(value) is not bytes or (size is not None and len(value) != size):
            raise malformed(self._what, f"{name} is not {'' if size is None else size} bytes")
        return value

    def id(self, name: str) -> bytes:
        """Return the 32 bytes of an id."""
        return self.octets(name, ID_BYTES)

    def session(self, name: str = "session") -> SessionId:
        """Return a session id."""
        return SessionId(self.octets(name, SESSION_ID_BYTES))

    def json_map(self, name: str) -> dict[str, Any]:
        """Return a map of values that JSON could hold."""
        value = self._take(name)
        if type(value) is not dict or find_foreign(value, allow_bytes=False):
            raise malformed(self._what, f"{name} is not a map of plain values")
        return value

    def reader(self, name: str) -> FieldReader:
        """Return a reader of a map inside."""
        value = self._take(name)
        if type(value) is not dict:
            raise malformed(self._what, f"{name} is not a map")
        return FieldReader(value, f"{self._what} {name}")

    def readers(self, name: str) -> list[FieldReader]:
        """Return a reader for each map of a list."""
        value = self._take(name)
        if type(value) is not list or any(type(item) is not dict for item in value):
            raise malformed(self._what, f"{name} is not a list of maps")
        return [FieldReader(item, f"{self._what} {name}") for item in value]

    def location(self, name: str) -> PageLocation:
        """Return where a page or root lies."""
        inner = self.reader(name)
        location = PageLocation(
            page_id=PageId(inner.id("page_id")),
            blob_id=BlobId(inner.id("blob_id")),
            blob_size=inner.integer("blob_size", high=0xFFFFFFFF),
            offset=inner.integer("offset", high=0xFFFFFFFF),
            length=inner.integer("length", high=0xFFFFFFFF),
        )
        inner.rest()
        return location

    def column(self, name: str, dtype: type[Any], count: int | None) -> NDArray[Any]:
        """Return a column of numbers; see `array_field`."""
        self._asked.add(name)
        return array_field(self._fields, name, dtype, count, self._what)

    def ids(self, name: str, count: int | None) -> NDArray[np.uint8]:
        """Return a column of ids, shape (count, 32); see `ids_field`."""
        self._asked.add(name)
        return ids_field(self._fields, name, count, self._what)

    def rest(self) -> dict[str, Any]:
        """Return the fields that nobody asked for. Call it last.

        Raises:
            UnsupportedError: one of them is among those that a reader must know.
        """
        critical = self._fields.get(CRITICAL, [])
        if type(critical) is not list or any(type(item) is not str for item in critical):
            raise malformed(self._what, f"{CRITICAL} is not a list of texts")
        for name in critical:
            if name not in self._asked:
                raise unsupported(self._what, f"this cas does not know its field {name!r}")
        return {name: value for name, value in self._fields.items() if name not in self._asked}


def location_fields(location: PageLocation) -> dict[str, Any]:
    """Return what `FieldReader.location` reads."""
    return {
        "page_id": location.page_id.raw,
        "blob_id": location.blob_id.raw,
        "blob_size": location.blob_size,
        "offset": location.offset,
        "length": location.length,
    }


def check_json_map(value: dict[str, Any], name: str) -> None:
    """Refuse values that a record cannot hold.

    Raises:
        InvalidInputError: something in `value` is not what JSON could hold, or is nested deeply.
    """
    problem = find_foreign(value, allow_bytes=False, depth=2)
    if problem:
        raise InvalidInputError(f"{name}: {problem} cannot be stored")
