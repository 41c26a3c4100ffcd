"""How an object of a place is written in parts, so that nobody sees it before it is whole."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Protocol

from fsspec import AbstractFileSystem

from cas.backend.base import Buffer
from cas.backend.pipelined import write_pipelined

if TYPE_CHECKING:
    from cas.backend.places import Place


class ObjectWriter(Protocol):
    """An object being written in order, by one thread. Nobody sees it before `commit` returns.

    Ended by `commit`, or by `discard`, also after any of the others failed.
    """

    def write(self, content: Buffer) -> None:
        """Add bytes."""
        ...

    def commit(self) -> None:
        """Let the object appear, whole."""
        ...

    def discard(self) -> None:
        """Remove what was written; never raises."""
        ...


class MultipartWriter:
    """Parts go out as they fill, and count only once all are named. See `ObjectWriter`."""

    def __init__(self, place: Place, path: str, file: Any) -> None:
        self._place = place
        self._path = path
        self._file = file
        self._sent_bytes = 0

    def write(self, content: Buffer) -> None:
        """Add bytes."""
        size = memoryview(content).nbytes
        self._place.tally.count("sent_bytes", size)
        self._place.tally.count("put", self._parts_with(size) - self._parts_with(0))
        self._sent_bytes += size
        try:
            self._file.write(content)
        except Exception as error:
            raise self._place.as_error(error, self._path, writing=True) from error

    def commit(self) -> None:
        """Let the object appear, whole."""
        try:
            # To begin it, for what is left, and to name the parts.
            self._place.tally.count("put", 3)
            self._file.close()
            self._file.commit()
        except Exception as error:
            raise self._place.as_error(error, self._path, writing=True) from error

    def _parts_with(self, more: int) -> int:
        return int((self._sent_bytes + more) // self._file.blocksize)

    def discard(self) -> None:
        """Remove what was written; never raises."""
        # Parts that stay are swept away by the bucket's rules; nobody sees them.
        with suppress(Exception):
            self._file.discard()
        # Closing would finish the object on drivers that know no `autocommit`.
        self._file.closed = True


class MovingWriter:
    """Written beside its target, then moved there. See `ObjectWriter`.

    Takes the place's channel with it, and gives it back in the end: another thread would take
    answers to what this one asked for.
    """

    def __init__(
        self,
        place: Place,
        path: str,
        file: Any,
        filesystem: AbstractFileSystem,
        names: tuple[str, str],
        channel: ExitStack,
    ) -> None:
        self._place = place
        self._path = path
        self._file = file
        self._filesystem = filesystem
        self._staged, self._target = names
        self._channel = channel

    def write(self, content: Buffer) -> None:
        """Add bytes."""
        self._place.tally.count("sent_bytes", memoryview(content).nbytes)
        try:
            write_pipelined(self._file, content)
        except Exception as error:
            raise self._place.as_error(error, self._path, writing=True) from error

    def commit(self) -> None:
        """Let the object appear, whole."""
        self._place.tally.count("put")
        try:
            self._file.close()
            self._move()
        except Exception as error:
            raise self._place.as_error(error, self._path, writing=True) from error
        self._channel.close()

    def discard(self) -> None:
        """Remove what was written; never raises."""
        with self._channel:
            with suppress(Exception):
                self._file.close()
            with suppress(Exception):
                self._filesystem.rm_file(self._staged)

    def _move(self) -> None:
        filesystem = self._filesystem
        if type(filesystem).mv is not AbstractFileSystem.mv:
            filesystem.mv(self._staged, self._target)
            return
        # The inherited one takes brackets and stars in names for patterns.
        filesystem.cp_file(self._staged, self._target)
        filesystem.rm_file(self._staged)
