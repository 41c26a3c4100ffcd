"""A preview as a value, and the file that it is made from, of which only so much can be read."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from cas.model.units import MIB

if TYPE_CHECKING:
    from cas.tensors.mapping import Tensors

HEAD_BYTES = 64 << 10
# A photograph fits, and so do a table's footer and the first pages of some columns.
MOST_READ_BYTES = 16 * MIB
_BUFFER_BYTES = 16 << 10


class TooMuchToReadError(Exception):
    """A preview would take more of a file than it may."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with their types, and rows of texts; nothing is escaped yet."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture: pixels of three bytes, row by row."""

    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What can be said and shown of a file.

    Attributes:
        kind: `text`, `json`, `notebook`, `table`, `image`, `archive`, `tensors`, `binary`, `empty`.
        summary: the same in a line for people, with what matters of this kind.
        facts: for programs.
        lines: of text; nothing is escaped yet.
        is_numbered: whether they are the first lines of the file.
        more: what is not shown, in words; empty if nothing is left out.
        remark: why there is not more, such as a library that is missing.
    """

    kind: str
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    is_numbered: bool = False
    table: Table | None = None
    picture: Picture | None = None
    more: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stored file, as previews see it.

    Attributes:
        name: the last part of its path.
        size: in bytes.
        open_file: opens it; only what is read is fetched.
        lines: how many lines or rows are wanted.
        open_tensors: reads its headers as those of a file of tensors.
    """

    name: str
    size: int
    open_file: Callable[[], BinaryIO]
    lines: int
    open_tensors: Callable[[], Tensors]

    @property
    def suffix(self) -> str:
        """The end of the name, in lower case: `.parquet`."""
        return "." + self.name.rpartition(".")[2].lower() if "." in self.name else ""

    def head(self, size: int = HEAD_BYTES) -> bytes:
        """Return the first bytes."""
        with self.open() as file:
            return file.read(min(size, self.size))

    def open(self) -> io.BufferedReader:
        """Open the file for reading at any place, but not for reading all of it."""
        file = BoundedFile(self.open_file(), self.size, MOST_READ_BYTES)
        return io.BufferedReader(file, _BUFFER_BYTES)


class BoundedFile(io.RawIOBase):
    """A file of `size` bytes that gives `limit` of them, and then refuses.

    Reading raises:
        TooMuchToReadError: it would give more.
    """

    def __init__(self, file: BinaryIO, size: int, limit: int) -> None:
        super().__init__()
        self._file = file
        self._size = size
        self._left = limit

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any position can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes."""
        wanted = min(len(buffer), max(0, self._size - self._file.tell()))
        if wanted > self._left:
            raise TooMuchToReadError
        self._left -= wanted
        content = self._file.read(wanted)
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file below, too."""
        self._file.close()
        super().close()
