"""One stored file as a seekable binary file, of which what is read next is fetched ahead."""

from __future__ import annotations

import io
import os
from collections.abc import Generator

from cas.transfer.pieces import PIECE_BYTES
from cas.transfer.reading import BUFFER_BYTES, ContentReader


class SeekableFile(io.RawIOBase):
    """A stored file opened for reading; wrapped in `io.BufferedReader` for users."""

    def __init__(self, reader: ContentReader, name: str) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0
        self._run_start = 0  # where the reads began that went on one after another
        self._pieces: Generator[bytes] | None = None
        self._rest = memoryview(b"")
        self.name = name
        self.mode = "rb"

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._reader.size

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any position can be read."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; it may lie past the end."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError(f"whence is {whence}, not 0, 1 or 2")
        base = bases[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        if base + offset != self._position:
            self._end_pieces()
            self._position = self._run_start = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; return how many bytes, 0 at the end."""
        content = self._take(len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def readall(self) -> bytes:
        """Return the bytes from the position to the end."""
        content = self._reader.read(self._position, self.size)
        self.seek(max(self._position, self.size))
        return content

    def close(self) -> None:
        """Let go of what was fetched ahead."""
        self._end_pieces()
        super().close()

    def _take(self, size: int) -> bytes | memoryview:
        """Return up to `size` bytes at the position; fetched ahead once a long run is read."""
        if self._pieces is None:
            start, stop = self._position, self._position + size
            if start - self._run_start < PIECE_BYTES or self.size - start <= PIECE_BYTES:
                kept = self._reader.read_kept(start, stop)
                return self._reader.read(start, stop) if kept is None else kept
            self._pieces = self._reader.pieces(start, self.size)
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _end_pieces(self) -> None:
        if self._pieces is not None:
            self._pieces.close()
        self._pieces, self._rest = None, memoryview(b"")


def open_buffered(reader: ContentReader, name: str) -> io.BufferedReader:
    """Return a seekable, buffered binary file."""
    return io.BufferedReader(SeekableFile(reader, name), BUFFER_BYTES)
