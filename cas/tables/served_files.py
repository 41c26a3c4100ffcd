"""Files for the database, under names of our own: it sees no path, and can open nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import get_ident
from typing import Any, Protocol

from fsspec import AbstractFileSystem

SCHEME = "cas-table"


class Readable(Protocol):
    """Bytes that can be read anywhere, by several threads."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`, fewer if the content ends before."""
        ...


class ServedFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """A filesystem of fsspec that has what it was given.

    Attributes:
        failure: what a failed read raised; the database tells only its text.
    """

    protocol = SCHEME
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, Readable] = {}
        self._served = 0
        self.failure: BaseException | None = None

    def serve(self, content: Readable) -> str:
        """Add a file, and return its URL. URLs are never used again, so caches cannot be wrong."""
        name = f"{SCHEME}://{self._served}"
        self._served += 1
        self._files[name] = content
        return name

    def release(self) -> None:
        """Forget the files that were added."""
        self._files.clear()

    # What the database calls.

    def open(self, path: str, mode: str = "rb", **_: Any) -> ServedFile:
        """Return an open file."""
        return ServedFile(self._find(path), self._read)

    def details(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size and type of a file."""
        return {"name": path, "size": self._find(path).size, "type": "file"}

    info = details  # as fsspec calls it

    def glob(self, path: str, **_: Any) -> list[str]:
        """Return the file of that name, if there is one."""
        return [path] if path in self._files else []

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether there is such a file."""
        return path in self._files

    def modified(self, path: str) -> datetime:
        """Return one time for all: they never change."""
        return datetime.fromtimestamp(0, UTC)

    def _find(self, path: str) -> Readable:
        content = self._files.get(path)
        if content is None:
            raise FileNotFoundError(path)
        return content

    def _read(self, content: Readable, start: int, stop: int) -> bytes:
        try:
            return content.read(start, stop)
        except BaseException as error:
            self.failure = error
            raise


class ServedFile:
    """A file that threads of the database seek and read side by side: what a thread reads next is
    what lies where it sought; one that did not seek goes on where the last one stopped.
    """

    def __init__(self, content: Readable, read: Callable[[Readable, int, int], bytes]) -> None:
        self._content = content
        self._read = read
        self._sought: dict[int, int] = {}  # by thread, until it reads
        self._next = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position of this thread."""
        base = (0, self.tell(), self._content.size)[whence]
        self._sought[get_ident()] = self._next = base + offset
        return self._next

    def tell(self) -> int:
        """Return the position of this thread."""
        return self._sought.get(get_ident(), self._next)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        start = self._sought.pop(get_ident(), self._next)
        content = self._read(self._content, start, self._content.size if size < 0 else start + size)
        self._next = start + len(content)
        return content

    def seekable(self) -> bool:
        """Tell that any position can be read."""
        return True

    def close(self) -> None:
        """Do nothing: the content is served on."""
