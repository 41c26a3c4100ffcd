"""A backend in a dictionary: strongly consistent, the reference that the others must match."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from cas.backend.base import Buffer, Capabilities, StoredObject, check_key, check_prefix
from cas.errors import AlreadyExistsError, ErrorCode, NotFoundError


class MemoryBackend:
    """Objects of one Python object; they are gone with it.

    Unlike `memory://`, nothing else in the process sees them. A pickled copy holds what was
    stored so far and goes its own way.
    """

    capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=True)

    def __init__(self, name: str = "anonymous") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """`dict://` and the name."""
        return f"dict://{self._name}"

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes `start` to `stop` of an object."""
        if stop is not None and stop <= start:
            return b""
        with self._lock:
            content = self._objects.get(check_key(key))
        if content is None:
            raise NotFoundError(
                f"{self.url}/{key}: no such object", code=ErrorCode.OBJECT_NOT_FOUND
            )
        return content if start == 0 and stop is None else content[start:stop]

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store the parts as one object."""
        content = b"".join(parts)
        with self._lock:
            self._objects[check_key(key)] = content

    def create(self, key: str, content: bytes) -> None:
        """Store `content` unless the key exists."""
        with self._lock:
            if check_key(key) in self._objects:
                raise AlreadyExistsError(
                    f"{self.url}/{key}: exists already", code=ErrorCode.OBJECT_EXISTS
                )
            self._objects[key] = bytes(content)

    def delete(self, key: str) -> None:
        """Remove an object; fine if there is none."""
        with self._lock:
            self._objects.pop(check_key(key), None)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder at this moment."""
        start = check_prefix(prefix) and f"{prefix}/"
        with self._lock:
            return iter(
                [
                    StoredObject(key, len(content))
                    for key, content in self._objects.items()
                    if key.startswith(start)
                ]
            )

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders that hold something."""
        start = check_prefix(prefix) and f"{prefix}/"
        with self._lock:
            below = [key[len(start) :] for key in self._objects if key.startswith(start)]
        return sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {"_name": self._name, "_objects": dict(self._objects)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
