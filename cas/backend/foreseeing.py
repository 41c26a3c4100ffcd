"""A listing that will be asked for soon is fetched while something else is.

Where each request takes a round trip, one that does not depend on another need not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from cas.backend.base import Backend, Buffer, Capabilities, StoredObject


class ForeseeingBackend:
    """Passes everything on to another backend; one listing may have begun before it is asked for.

    Its answer is given once, to the first who asks: it shows the store as it was then.
    """

    def __init__(self, backend: Backend, prefix: str) -> None:
        """Begin to list what is under the folder `prefix`."""
        self._backend = backend
        self._prefix = prefix
        self._lock = threading.Lock()
        pool = ThreadPoolExecutor(1, thread_name_prefix="cas-list")
        self._listing: Future[list[StoredObject]] | None = pool.submit(
            lambda: list(backend.list_objects(prefix))
        )
        pool.shutdown(wait=False)

    @property
    def url(self) -> str:
        """Where the objects are."""
        return self._backend.url

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can promise."""
        return self._backend.capabilities

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object."""
        return self._backend.get(key, start, stop)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object."""
        self._backend.put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists."""
        self._backend.create(key, content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._backend.delete(key)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, as foreseen if it was."""
        listing = self._take(prefix)
        return self._backend.list_objects(prefix) if listing is None else iter(listing.result())

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        return self._backend.list_folders(prefix)

    def close(self) -> None:
        """Wait for a listing that nobody asked for, whatever came of it; close the backend."""
        listing = self._take(self._prefix)
        if listing is not None:
            listing.exception()
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, prefix: str) -> Future[list[StoredObject]] | None:
        if prefix != self._prefix:
            return None
        with self._lock:
            listing, self._listing = self._listing, None
        return listing
