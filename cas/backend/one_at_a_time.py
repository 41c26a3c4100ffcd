"""A backend for drivers that are not safe for threads: requests wait for each other.

paramiko's client loses answers when two threads ask at once, and both then wait for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from cas.backend.base import Backend, Buffer, StoredObject
from cas.backend.forwarding import ForwardingBackend


class OneAtATimeBackend(ForwardingBackend):
    """Passes calls on to another backend, one after the other, from whatever thread they come."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._lock = threading.Lock()

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object."""
        with self._lock:
            return self._backend.get(key, start, stop)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object."""
        with self._lock:
            self._backend.put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists."""
        with self._lock:
            self._backend.create(key, content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._lock:
            self._backend.delete(key)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, all of it read before the first is returned."""
        with self._lock:
            return iter(list(self._backend.list_objects(prefix)))

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        with self._lock:
            return self._backend.list_folders(prefix)

    def __reduce__(self) -> tuple[object, ...]:
        return OneAtATimeBackend, (self._backend,)
