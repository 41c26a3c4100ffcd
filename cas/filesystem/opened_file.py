"""A file of a version opened through the filesystem: what Python and fsspec expect of one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cas.transfer.reading import BUFFER_BYTES, ContentReader, StoredFile

if TYPE_CHECKING:
    from cas.filesystem.versions import CasFileSystem


class _ForkedFile(io.RawIOBase):
    """A stored file that is opened anew in a forked child, whose threads and connections are gone."""

    def __init__(self, open_reader: Callable[[], ContentReader], name: str) -> None:
        super().__init__()
        self._open_reader = open_reader
        self._file = StoredFile(open_reader(), name)
        self._opened_in = os.getpid()
        self._left: list[StoredFile] = []
        self.name = name
        self.mode = "rb"

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any position can be read."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; it may lie past the end."""
        return self._here().seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; return how many bytes, 0 at the end."""
        return self._here().readinto(buffer)

    def readall(self) -> bytes:
        """Return the bytes from the position to the end."""
        return self._here().readall()

    def close(self) -> None:
        """Let go of what was fetched ahead."""
        if self._opened_in == os.getpid():
            self._file.close()
        super().close()

    def _here(self) -> StoredFile:
        if self._opened_in != os.getpid():
            position = self._file.tell()
            self._left.append(self._file)  # closing it would wait for threads of the parent
            self._file = StoredFile(self._open_reader(), self.name)
            self._file.seek(position)
            self._opened_in = os.getpid()
        return self._file


class CasFile(io.BufferedReader):
    """A file of a version: binary, buffered, seekable, picklable; fetches only what is read.

    Attributes:
        fs: the filesystem that it was opened by.
        path: its path there.
    """

    def __init__(
        self, fs: CasFileSystem, path: str, open_reader: Callable[[], ContentReader]
    ) -> None:
        self._raw = _ForkedFile(open_reader, path)
        super().__init__(self._raw, BUFFER_BYTES)
        self.fs = fs
        self.path = path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._raw.size

    @property
    def blocksize(self) -> int:
        """How many bytes are read at least."""
        return BUFFER_BYTES

    @property
    def details(self) -> dict[str, Any]:
        """What the filesystem says of the file."""
        return self.fs.details(self.path)

    @property
    def full_name(self) -> str:
        """The URL of the file."""
        return str(self.fs.unstrip_protocol(self.path))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.fs, self.path, self.tell())


def _reopen(fs: CasFileSystem, path: str, position: int) -> CasFile:
    file: CasFile = fs.open(path)
    file.seek(position)
    return file
