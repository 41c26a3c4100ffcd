"""Chunks that were read, kept for those who read them next: the cache as readers use it.

Whatever goes wrong here costs time and never a reading: a chunk that is not there, or not what its
id says, is fetched from the store.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from cas.chunk_cache.files import CacheFiles, Chunk
from cas.chunk_cache.index import Header
from cas.chunk_cache.limits import geometry_of
from cas.errors import CasError
from cas.model.units import MIB

# What waits while another process writes; more is fetched again when it is needed.
PENDING_BYTES = 8 * MIB
# Between two looks at what other processes did.
_LOOK_EVERY = 256


class CacheWarning(RuntimeWarning):
    """The cache of chunks is not used, though it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounts:
    """What a cache did for one opened store.

    Attributes:
        hits: chunks that were here.
        misses: chunks that were not.
        hit_bytes: bytes of those that were, which were not fetched.
        damaged: of the misses, those that were here with other bytes.
    """

    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0
    damaged: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of chunks that were here."""
        return self.hits / max(1, self.hits + self.misses)


class ChunkCache:
    """Keeps verified chunks in a folder that many processes share. Thread-safe; survives forks.

    No file is opened before it is needed. Nothing here raises, or waits for another process.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Use `folder`, which this user alone can write to, for at most `limit_bytes`."""
        self._folder = folder
        self._geometry = geometry_of(limit_bytes)
        self.problem: str | None = None
        self._begin()
        _EVERY.add(self)

    @property
    def counts(self) -> CacheCounts:
        """What was counted until now."""
        return CacheCounts(
            hits=self._hits,
            misses=self._misses,
            hit_bytes=self._hit_bytes,
            damaged=self._damaged,
        )

    def find(self, chunk_id: bytes, length: int) -> bytes | memoryview | None:
        """Return a chunk's bytes, verified, if they are here."""
        content = self._read(chunk_id, length)
        with self._lock:
            if content is None:
                self._misses += 1
            else:
                self._hits += 1
                self._hit_bytes += length
        return content

    def has(self, chunk_id: bytes, length: int) -> bool:
        """Tell whether a chunk seems to be here; counts nothing."""
        files = self._opened()
        slot = None if files is None else files.find(chunk_id)
        return (slot is not None and slot.length == length) or chunk_id in self._pending

    def count_misses(self, misses: int) -> None:
        """Count chunks that `has` did not find as missed."""
        with self._lock:
            self._misses += misses

    def keep(self, chunks: Iterable[Chunk]) -> None:
        """Keep chunks, which are verified; later, while another process writes.

        Their bytes must not change afterwards.
        """
        files = self._opened()
        if files is None or not self._is_writable:
            return
        with self._lock:
            for chunk_id, content in chunks:
                is_here = files.has(chunk_id, len(content))
                if is_here or chunk_id in self._pending:
                    continue
                if len(content) > self._geometry.segment_bytes:
                    continue
                self._pending[chunk_id] = content
                self._pending_bytes += len(content)
            has_pending = bool(self._pending)
        if has_pending:
            self._flush()

    def close(self) -> None:
        """Note what was counted, and keep what waits. The cache can be used afterwards."""
        if self._is_writable and (self._pending or self._has_uncounted()):
            self._flush()

    # -- inside

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._files: CacheFiles | None = None
        self._is_usable = self._is_writable = True
        self._pending: dict[bytes, bytes | memoryview] = {}
        self._pending_bytes = 0
        self._hits = self._misses = self._hit_bytes = self._damaged = 0
        self._counted = (0, 0, 0)
        self._lookups = 0

    def begin_child(self) -> None:
        """Begin anew in a forked child: locks and open files are the parent's."""
        if self._files is not None:
            self._files.abandon()
        self._begin()

    def _opened(self) -> CacheFiles | None:
        if self._files is not None or not self._is_usable:
            return self._files
        with self._opening:
            return self._open()

    def _open(self) -> CacheFiles | None:
        if self._files is None and self._is_usable:
            try:
                self._files = CacheFiles(self._folder, self._geometry)
            except (OSError, CasError) as error:
                self._is_usable = False
                self._tell("used", error)
        return self._files

    def _read(self, chunk_id: bytes, length: int) -> bytes | memoryview | None:
        files = self._opened()
        if files is None:
            return None
        self._lookups += 1
        if self._lookups % _LOOK_EVERY == 0:
            files.refresh()
            self.close()  # who reads for days may never close it
        slot = files.find(chunk_id)
        if slot is None and files.has_moved():
            slot = files.find(chunk_id)
        if slot is None:
            return self._pending.get(chunk_id)
        # A slot that lies of the length might ask for gigabytes.
        content = files.read(slot) if slot.length == length else b""
        if blake3(content).digest() == chunk_id:
            if files.is_old(slot):
                self.keep([(chunk_id, content)])
            return content
        files.remove(chunk_id, slot)
        if content:
            with self._lock:
                self._damaged += 1
        return None

    def _flush(self) -> None:
        # Another thread writes, and the next one takes this along; but many threads bring more than
        # one can write, so they wait for it before anything is dropped.
        is_much = self._pending_bytes > PENDING_BYTES // 2
        if not self._writing.acquire(blocking=is_much):
            return
        try:
            files = self._opened()
            if files is None:
                return
            if not files.is_current():
                files = self._files = CacheFiles(self._folder, self._geometry)
            with files.locked() as is_mine:
                if is_mine:
                    files.append(self._take(), self._count_in)
                else:
                    self._drop_pending()
        except (OSError, CasError) as error:
            self._is_writable = False
            self._take()
            self._tell("filled any more", error)
        finally:
            self._writing.release()

    def _drop_pending(self) -> None:
        with self._lock:
            while self._pending_bytes > PENDING_BYTES:
                dropped = self._pending.pop(next(iter(self._pending)))
                self._pending_bytes -= len(dropped)

    def _take(self) -> list[Chunk]:
        with self._lock:
            taken = list(self._pending.items())
            self._pending, self._pending_bytes = {}, 0
            return taken

    def _has_uncounted(self) -> bool:
        return self._counted != (self._hits, self._misses, self._hit_bytes)

    def _count_in(self, header: Header) -> None:
        """Add what was counted since the last time to what all processes have counted."""
        with self._lock:
            now = self._hits, self._misses, self._hit_bytes
            hits, misses, hit_bytes = (a - b for a, b in zip(now, self._counted, strict=True))
            self._counted = now
        header.hits += hits
        header.misses += misses
        header.hit_bytes += hit_bytes

    def _tell(self, what: str, error: Exception) -> None:
        """Say once what is wrong, to whoever looks."""
        if self.problem is not None:
            return
        reason = error.strerror if isinstance(error, OSError) else None
        self.problem = f"the data cache in {self._folder} is not {what}: {reason or error}"
        # Where warnings are errors it still is none: what was asked for can be read.
        with suppress(CacheWarning):
            warnings.warn(self.problem, CacheWarning, stacklevel=2)


_EVERY: weakref.WeakSet[ChunkCache] = weakref.WeakSet()


def _begin_children() -> None:
    for cache in list(_EVERY):
        cache.begin_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_children)
