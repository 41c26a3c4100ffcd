"""The files of a cache, opened by one process: lock, index and segments, and the order of writes.

Spec: specs/cache.md
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cas.chunk_cache.index import INDEX_NAME, Header, Index, Slot, make_index
from cas.chunk_cache.limits import Geometry, index_bytes_of
from cas.chunk_cache.segments import Appender, Segments
from cas.environment import ensure_private_dir
from cas.locks import lock_alone, unlock

# The number is that of the format of the entries.
CACHE_FOLDER = "data-1"
_LOCK_NAME = "lock"
_TAG_NAME = "CACHEDIR.TAG"
_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# Chunks that cas has read. Safe to delete at any time; see: cas cache\n"
)
# What is read in the oldest eighth of a full cache is appended anew, so what was used while the last
# eighth came in stays. Old copies take space meanwhile: with a quarter they cost more hits than that
# saves, with a sixteenth it is hardly better than first in, first out (specs/cache.md).
OLD_SHARE = 8

Chunk = tuple[bytes, bytes | memoryview]


class CacheFiles:
    """The open files. `find`, `read` and `remove` are safe for many threads and processes; all else
    is for the one that has the lock.
    """

    def __init__(self, folder: Path, geometry: Geometry) -> None:
        """Open them; what is missing is made.

        Raises:
            OSError: that cannot be done.
            InvalidInputError: the folder is not this user's alone.
        """
        if sys.platform == "win32":
            raise OSError("there is none on Windows yet")
        ensure_private_dir(folder)
        self.folder = folder
        self._geometry = geometry
        self._segments = Segments(folder)
        self._lock = _LockFile(folder / _LOCK_NAME)
        tag = folder / _TAG_NAME
        if not tag.exists():
            tag.write_bytes(_TAG)
        self._index = self._open_index()
        self._old_below = 0
        self._has_enforced = False
        self.refresh()

    # -- reading

    def find(self, chunk_id: bytes) -> Slot | None:
        """Return where a chunk may lie."""
        index = self._index
        try:
            return None if index is None else index.find(chunk_id)
        except OSError:
            return None

    def has(self, chunk_id: bytes, length: int) -> bool:
        """Tell whether a chunk seems to be here, and to stay for a while."""
        slot = self.find(chunk_id)
        return slot is not None and slot.length == length and not self.is_old(slot)

    def read(self, slot: Slot) -> bytes:
        """Return what is where a slot says, or nothing; not verified."""
        return self._segments.try_read(slot)

    def remove(self, chunk_id: bytes, slot: Slot) -> None:
        """Forget where a chunk lies."""
        with suppress(OSError):
            if self._index is not None:
                self._index.remove(chunk_id, slot)

    def is_old(self, slot: Slot) -> bool:
        """Tell whether what lies there goes before long."""
        return slot.segment < self._old_below

    def has_moved(self) -> bool:
        """Tell whether another process replaced the index; use that one from now on."""
        if self._index is not None and self._index.is_current():
            return False
        self._index = self._open_index()
        return self._index is not None

    def refresh(self) -> None:
        """Learn what other processes did since."""
        self.has_moved()
        with suppress(OSError):
            header = None if self._index is None else self._index.read_header()
            self._old_below = 0 if header is None else header.old_below

    def is_current(self) -> bool:
        """Tell whether the lock is the one that others use: the folder may have been deleted."""
        return self._lock.is_current()

    # -- writing

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[bool]:
        """Take the lock, at once or not at all unless told to wait; tell whether it was taken."""
        if not self._lock.take(wait=wait):
            yield False
            return
        try:
            yield True
        finally:
            self._lock.give()

    def append(self, chunks: Iterable[Chunk], count: Callable[[Header], None]) -> None:
        """Keep the chunks that are not here; `count` notes what else is to be known.

        Raises:
            OSError: they cannot be written.
        """
        index, header = self.prepare()
        appender = self._segments.append(header.active)
        try:
            for chunk_id, content in chunks:
                if self.has(chunk_id, len(content)):
                    continue  # another process was here
                if appender.size + len(content) > self._geometry.segment_bytes:
                    appender.close()
                    appender = self._begin_segment(index, header)
                # The bytes before the slot: whoever finds it finds them, as long as all goes well.
                offset = appender.append(content)
                index.insert(chunk_id, Slot(header.active, offset, len(content)))
        finally:
            appender.close()
        count(header)
        index.write_header(header)

    def prepare(self) -> tuple[Index, Header]:
        """Have an index of the right size, and no more on disk than is allowed.

        Raises:
            OSError: it cannot be written.
        """
        self.refresh()
        index, geometry = self._index, self._geometry
        header = None if index is None else index.read_header()
        if index is None or header is None:
            return self._begin_anew()
        # Once: processes with different limits would else turn the index over for every chunk.
        if header.limit_bytes == geometry.limit_bytes or self._has_enforced:
            return index, header
        self._has_enforced = True
        before = index_bytes_of(header.bucket_bits)
        if geometry.segments_bytes(before) <= 2 * geometry.segment_bytes:
            return self._begin_anew()
        header.limit_bytes = geometry.limit_bytes
        self._make_room(header, geometry.segments_bytes(before))
        if header.bucket_bits != geometry.bucket_bits:
            header.bucket_bits = geometry.bucket_bits
            index = make_index(self.folder / INDEX_NAME, header, index)
        index.write_header(header)
        self._index = index
        return index, header

    def clear(self) -> None:
        """Remove every chunk; what was counted goes with them."""
        (self.folder / INDEX_NAME).unlink(missing_ok=True)
        for number in self._segments.sizes():
            self._segments.drop(number)
        self.refresh()

    def abandon(self) -> None:
        """Let go of the lock in a forked child, whose parent's it is."""
        self._lock.close()

    def _begin_anew(self) -> tuple[Index, Header]:
        self.clear()
        header = Header(self._geometry.bucket_bits, self._geometry.limit_bytes)
        self._index = make_index(self.folder / INDEX_NAME, header)
        self._old_below = 0
        return self._index, header

    def _begin_segment(self, index: Index, header: Header) -> Appender:
        taken = index_bytes_of(header.bucket_bits)
        self._make_room(header, self._geometry.segments_bytes(taken))
        index.write_header(header)
        return self._segments.append(header.active)

    def _make_room(self, header: Header, allowed_bytes: int) -> None:
        """Go on to the next segment, and drop the oldest ones until it fits."""
        sizes = self._segments.sizes()
        for number in [number for number in sizes if not 0 < number <= header.active]:
            self._segments.drop(number)  # left by a cache that was here before
            del sizes[number]
        header.active += 1
        allowed_bytes -= self._geometry.segment_bytes
        total = sum(sizes.values())
        for number in list(sizes):
            if total <= allowed_bytes:
                break
            self._segments.drop(number)
            total -= sizes.pop(number)
        # What is within that share of being evicted.
        soon = allowed_bytes // OLD_SHARE - (allowed_bytes - total)
        header.old_below = 0
        for number, size in sizes.items():
            if soon <= 0:
                break
            soon -= size
            header.old_below = number + 1
        self._old_below = header.old_below

    def _open_index(self) -> Index | None:
        try:
            return Index(self.folder / INDEX_NAME)
        except (OSError, ValueError):
            return None


class _LockFile:
    """A file by which one process at a time changes the others; the system drops the lock with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def is_current(self) -> bool:
        try:
            mine, there = os.fstat(self._descriptor), self._path.stat()
        except OSError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def take(self, *, wait: bool) -> bool:
        return lock_alone(self._descriptor, wait=wait)

    def give(self) -> None:
        unlock(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # Not `suppress`: when the interpreter ends, what a module had imported may be gone.
        try:
            self.close()
        except (OSError, AttributeError):
            pass
