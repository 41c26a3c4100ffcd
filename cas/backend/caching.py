"""Small objects and ranges that never change, kept on this machine so that they are asked for once.

A cache in the manner of the XDG cache folder: safe to delete at any time, safe for many threads and
processes. Every entry carries its digest and is checked when it is used; what is not right is not
there. It knows nothing of what the objects are, only under which prefixes none is ever replaced.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from cas.backend.base import Backend, Buffer
from cas.backend.forwarding import ForwardingBackend
from cas.environment import random_bytes

# Pages, tables and index segments of all but huge puts; data comes in larger reads.
LARGEST_ENTRY_BYTES = 1 << 20
DEFAULT_LIMIT_BYTES = 256 << 20
# After a clean-up there is room for a while.
KEPT_SHARE = 0.8
_DIGEST_BYTES = 32
_WHOLE = "whole"


class CachingBackend(ForwardingBackend):
    """Passes everything on to another backend, except reads that it can answer. Thread-safe.

    Args:
        folder: this store's own folder, which only this user can write to; made when needed.
        prefixes: folders of keys whose objects are never replaced.
        limit_bytes: the entries that were used last stay when there are more.
    """

    def __init__(
        self,
        backend: Backend,
        folder: Path,
        prefixes: Sequence[str],
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        super().__init__(backend)
        self._folder = folder
        self._prefixes = tuple(f"{prefix}/" for prefix in prefixes)
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._added_bytes = 0

    @property
    def origin(self) -> Backend:
        """The backend that it passes on to: what is read by it was not kept here."""
        return self._backend

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object, from here if they are here."""
        is_small = stop is not None and stop - start <= LARGEST_ENTRY_BYTES
        if not is_small or not key.startswith(self._prefixes):
            return self._backend.get(key, start, stop)
        whole = self._read(key, _WHOLE)
        if whole is not None:
            return whole[start:stop]
        content = self._read(key, f"{start}-{stop}")
        if content is None:
            content = self._backend.get(key, start, stop)
            self._write(key, f"{start}-{stop}", content)
        return content

    def get_anew(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object as the storage has them, and keep those instead."""
        content = self._backend.get(key, start, stop)
        if key.startswith(self._prefixes):
            with suppress(OSError):
                self._path(key, _WHOLE).unlink()
            if stop is not None and stop - start <= LARGEST_ENTRY_BYTES:
                self._write(key, f"{start}-{stop}", content)
        return content

    def keep(self, key: str, start: int, content: bytes) -> None:
        """Keep bytes of an object that was just stored, which are likely to be read next."""
        if key.startswith(self._prefixes) and len(content) <= LARGEST_ENTRY_BYTES:
            self._write(key, f"{start}-{start + len(content)}", content)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object, and keep it if it is small: whoever wrote it often reads it next."""
        self._backend.put(key, parts)
        size = sum(memoryview(part).nbytes for part in parts)
        if size <= LARGEST_ENTRY_BYTES and key.startswith(self._prefixes):
            self._write(key, _WHOLE, b"".join(parts))

    def delete(self, key: str) -> None:
        """Remove an object, here too."""
        self._backend.delete(key)
        with suppress(OSError):
            self._path(key, _WHOLE).unlink()

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, here too."""
        super().delete_many(keys)
        for key in keys:
            with suppress(OSError):
                self._path(key, _WHOLE).unlink()

    def close(self) -> None:
        """Throw out what is over the limit; close the backend."""
        with self._lock:
            added, self._added_bytes = self._added_bytes, 0
        if added:
            self._clean_up()
        self._backend.close()

    def _path(self, key: str, part: str) -> Path:
        name = blake3(f"{key} {part}".encode()).hexdigest()[:40]
        return self._folder / name[:2] / name[2:]

    def _read(self, key: str, part: str) -> bytes | None:
        path = self._path(key, part)
        try:
            entry = path.read_bytes()
        except OSError:
            return None
        content = entry[_DIGEST_BYTES:]
        if blake3(content).digest() != entry[:_DIGEST_BYTES]:
            return None
        with suppress(OSError):
            os.utime(path)  # used just now
        return content

    def _write(self, key: str, part: str, content: bytes) -> None:
        path = self._path(key, part)
        temporary = path.with_name(f".{random_bytes(8).hex()}")
        # A full disk costs time, never data.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                temporary.write_bytes(blake3(content).digest() + content)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            with self._lock:
                self._added_bytes += len(content)

    def _clean_up(self) -> None:
        entries: list[tuple[int, int, Path]] = []
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        if total <= self._limit_bytes:
            return
        for _, size, path in sorted(entries):
            with suppress(OSError):
                path.unlink()
            total -= size
            if total <= self._limit_bytes * KEPT_SHARE:
                return


def past_cache(backend: Backend) -> Backend:
    """Return a backend that answers from the storage alone, for those who judge what is there."""
    return backend.origin if isinstance(backend, CachingBackend) else backend
