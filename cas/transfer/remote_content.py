"""Objects behind URLs as an upload reads them: small ones whole, big ones in ranges, many at once."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cas.chunking.cutter import Cutter
from cas.errors import BackendError, ErrorCode, NotFoundError
from cas.transfer.content import Segment
from cas.transfer.cutting import (
    READ_ATTEMPTS,
    SEGMENT_BYTES,
    SMALL_FILE_BYTES,
    Changed,
    CutBatch,
    SmallFile,
    cut_small_files,
)
from cas.transfer.remote_tree import RemoteTree, is_same_object, stamp_of_object
from cas.transfer.stamp import FileStamp

if TYPE_CHECKING:
    from cas.backend.places import Place

# A thread reads these one after another; with more, a thousand small objects fill no 32 threads.
BATCH_OBJECTS = 16


class RemoteContent:
    """Objects of a tree of URLs. See `Content`."""

    waits = True
    batch_files = BATCH_OBJECTS

    def __init__(self, tree: RemoteTree) -> None:
        self._tree = tree

    def locate(self, row: int) -> bytes:
        """Return the stored path; the row says the rest."""
        return self._tree.paths[row]

    def cut_small(self, cutter: Cutter, files: Sequence[SmallFile]) -> CutBatch:
        """Read each object whole, cut and hash it."""
        return cut_small_files(cutter, files, self._read_small)

    def open(self, row: int, *, again: bool) -> RemoteFile:
        """Take the listing's word for what the object is, at first."""
        place, path = self._tree.object_of(row)
        return RemoteFile(place, path, _look(place, path) if again else self._tree.stamp(row))

    def _read_small(self, file: SmallFile) -> tuple[bytes | None, Changed | None]:
        """Return an object's bytes, and its stamp if that is not what the listing said; None for
        the bytes of one that is big now.

        One answer holds one content, so a size that fits is enough. If it is newer than its
        stamp, the next put sees another mark and reads it again.
        """
        place, path = self._tree.object_of(file.row)
        stamp = file.stamp
        changed: Changed | None = None
        for _ in range(READ_ATTEMPTS):
            # One byte more than there should be shows an object that grew.
            content = _read(place, path, 0, stamp.size + 1) if stamp.size else b""
            if len(content) == stamp.size:
                return content, changed
            stamp = _look(place, path)
            changed = stamp, False
            if stamp.size > SMALL_FILE_BYTES:
                return None, changed
        raise OSError(0, "kept changing while it was read")


class RemoteFile:
    """A big object while it is read. See `OpenedFile`."""

    def __init__(self, place: Place, path: str, stamp: FileStamp) -> None:
        self._place = place
        self._path = path
        self.stamp = stamp
        self.executable = False
        self._lock = threading.Lock()
        self._unread = 0
        self._after: FileStamp | None = None

    def segments(self) -> list[Segment]:
        """Return the ranges to ask for."""
        size = self.stamp.size
        starts = range(0, size, SEGMENT_BYTES)
        self._unread = len(starts)
        return [(start, min(SEGMENT_BYTES, size - start), False) for start in starts]

    def read(self, offset: int, length: int) -> bytes:
        """Return one range; the last one to come in also looks at the object."""
        if self.stamp.size <= SEGMENT_BYTES:
            # One answer holds one content; a byte too many shows that it grew.
            content = _read(self._place, self._path, 0, length + 1)
            self._after = self.stamp
            return content
        content = _read(self._place, self._path, offset, offset + length)
        with self._lock:
            self._unread -= 1
            is_last = self._unread == 0
        if is_last:
            self._after = _look(self._place, self._path)
        return content

    def close(self) -> FileStamp:
        """Return the stamp if the object was the same before and after all reads."""
        after = self._after
        if after is None:
            return FileStamp(-1, 0, 0, 0)  # a read failed, so nobody looked
        return self.stamp if is_same_object(self.stamp, after) else after


def _read(place: Place, path: str, start: int, stop: int) -> bytes:
    try:
        return place.read(path, start, stop)
    except (NotFoundError, BackendError) as error:
        raise _as_problem(error) from error


def _look(place: Place, path: str) -> FileStamp:
    try:
        found = place.look(path)
    except (NotFoundError, BackendError) as error:
        raise _as_problem(error) from error
    if not found.is_file:
        raise OSError(0, "is no longer a plain file")
    if found.size is None:
        raise OSError(0, "its server does not tell its size")
    return stamp_of_object(found)


def _as_problem(error: NotFoundError | BackendError) -> Exception:
    """One object that is gone or forbidden is reported with others like it; a storage that fails
    stops the put.
    """
    if isinstance(error, NotFoundError):
        return FileNotFoundError(errno.ENOENT, "was removed since it was listed")
    if error.code is ErrorCode.ACCESS_DENIED:
        return PermissionError(errno.EACCES, "reading it is not allowed")
    return error
