"""A file of a version opened through the filesystem: what Python and fsspec expect of one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn

from cas.errors import ErrorCode, UnsupportedError
from cas.transfer.reading import BUFFER_BYTES, ContentReader
from cas.transfer.seekable_file import SeekableFile

if TYPE_CHECKING:
    from cas.filesystem.versions import CasFileSystem


class _ForkedFile(io.RawIOBase):
    """A stored file that is opened anew in a forked child, whose threads and connections are gone."""

    def __init__(self, open_reader: Callable[[], ContentReader], name: str) -> None:
        super().__init__()
        self._open_reader = open_reader
        self._reader = open_reader()
        self._file = SeekableFile(self._reader, name)
        self._opened_in = os.getpid()
        self._left: list[SeekableFile] = []
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

    def read_at(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`, wherever the position is and whoever else reads."""
        self._here()
        return self._reader.read(start, stop)

    def close(self) -> None:
        """Let go of what was fetched ahead."""
        if self._opened_in == os.getpid():
            self._file.close()
        super().close()

    def _here(self) -> SeekableFile:
        if self._opened_in != os.getpid():
            position = self._file.tell()
            self._left.append(self._file)  # closing it would wait for threads of the parent
            self._reader = self._open_reader()
            self._file = SeekableFile(self._reader, self.name)
            self._file.seek(position)
            self._opened_in = os.getpid()
        return self._file


class CasFile(io.BufferedReader):
    """A file of a version: binary, buffered, seekable, picklable; fetches only what is read.

    DuckDB seeks and reads one file from several threads of its own with nothing between them that
    would keep these pairs together; it was seen to compute with bytes of other places. So where a
    thread that runs no Python seeks, what it reads next is what lies there, whatever others do
    meanwhile. Threads of Python share one position, as with any file.

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
        self._sought: dict[int, int] = {}  # by native thread, until it reads
        self._native: int | None = None  # where a native thread goes on that has not sought

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; it may lie past the end."""
        if sys._getframe().f_back is not None:  # noqa: SLF001 - called by Python
            self._native = None
            return super().seek(offset, whence)
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._native_position(), os.SEEK_END: self.size}
        position = bases[whence] + offset
        self._sought[get_ident()] = self._native = position
        return position

    def tell(self) -> int:
        """Return the position."""
        if sys._getframe().f_back is not None:  # noqa: SLF001 - called by Python
            return super().tell()
        return self._native_position()

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end; all that is left without a size."""
        if sys._getframe().f_back is not None:  # noqa: SLF001 - called by Python
            return super().read(size)
        at = self._sought.pop(get_ident(), None)
        if at is None:
            self._sought.clear()  # threads that take turns
            at = self._native
            if at is None:
                return super().read(size)
        content = self._raw.read_at(at, self.size if size is None or size < 0 else at + size)
        self._native = at + len(content)
        return content

    def _native_position(self) -> int:
        position = self._sought.get(get_ident(), self._native)
        return super().tell() if position is None else position

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._raw.size

    @property
    def blocksize(self) -> int:
        """How many bytes are read at least."""
        return BUFFER_BYTES

    @property
    def _fetch_range(self) -> NoReturn:
        # What `blockcache::` asks every file for; it reads, and closes, in fsspec's own way alone.
        raise UnsupportedError(
            "blockcache:: cannot keep blocks of files of cas://",
            code=ErrorCode.UNSUPPORTED_FEATURE,
            hint="cas cache limit 20GB keeps what is read, verified; filecache:: keeps whole files",
        )

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
