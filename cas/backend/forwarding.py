"""What backends on top of another backend have in common: they pass on what they do not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from cas.backend.base import Backend, Buffer, Capabilities, StoredObject
from cas.backend.bulk import delete_many


class ForwardingBackend:
    """Passes every call on to another backend; subclasses change some of them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

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

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, at most 1,000."""
        delete_many(self._backend, keys)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder."""
        return self._backend.list_objects(prefix)

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        return self._backend.list_folders(prefix)

    def close(self) -> None:
        """Close the backend."""
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
