"""A listing that will be asked for soon is fetched while something else is.

Where each request takes a round trip, one that does not depend on another need not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from cas.backend.base import Backend, StoredObject
from cas.backend.forwarding import ForwardingBackend


class ForeseeingBackend(ForwardingBackend):
    """Passes everything on to another backend; one listing may have begun before it is asked for.

    Its answer is given once, to the first who asks: it shows the store as it was then.
    """

    def __init__(self, backend: Backend, prefix: str) -> None:
        """Begin to list what is under the folder `prefix`."""
        super().__init__(backend)
        self._prefix = prefix
        self._lock = threading.Lock()
        pool = ThreadPoolExecutor(1, thread_name_prefix="cas-list")
        self._listing: Future[list[StoredObject]] | None = pool.submit(
            lambda: list(backend.list_objects(prefix))
        )
        pool.shutdown(wait=False)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, as foreseen if it was."""
        listing = self._take(prefix)
        return self._backend.list_objects(prefix) if listing is None else iter(listing.result())

    def close(self) -> None:
        """Wait for a listing that nobody asked for, whatever came of it; close the backend."""
        listing = self._take(self._prefix)
        if listing is not None:
            listing.exception()
        self._backend.close()

    def _take(self, prefix: str) -> Future[list[StoredObject]] | None:
        if prefix != self._prefix:
            return None
        with self._lock:
            listing, self._listing = self._listing, None
        return listing
