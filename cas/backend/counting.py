"""Counts the requests that reach a backend, for `--stats`, benchmarks and tests of cost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

from cas.backend.base import Backend, Buffer, StoredObject
from cas.backend.bulk import can_delete_many
from cas.backend.forwarding import ForwardingBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCounts:
    """How many requests there were of each kind, failed ones included, and bytes moved."""

    get: int = 0
    put: int = 0
    create: int = 0
    delete: int = 0
    list: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def requests(self) -> int:
        """Requests of all kinds."""
        return self.get + self.put + self.create + self.delete + self.list

    def __sub__(self, earlier: RequestCounts) -> RequestCounts:
        """Return what came since `earlier`."""
        return RequestCounts(
            **{
                field.name: getattr(self, field.name) - getattr(earlier, field.name)
                for field in fields(self)
            }
        )


class RequestTally:
    """Counts what is asked of one place. Safe for many threads; goes on from `before`.

    Attributes:
        url: the place, without secrets.
        role: what it is besides the store: `source` or `target`; empty for a store.
    """

    def __init__(self, url: str, role: str = "", before: RequestCounts | None = None) -> None:
        self.url = url
        self.role = role
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {} if before is None else asdict(before)

    @property
    def requests(self) -> RequestCounts:
        """What was counted until now."""
        with self._lock:
            return RequestCounts(**self._counts)

    def count(self, name: str, amount: int = 1) -> None:
        """Add to one of the fields of `RequestCounts`."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + amount


class RequestCounter(ForwardingBackend):
    """Passes everything on to another backend and counts it. Safe for many threads.

    A listing counts once, however many pages a server makes of it. Counting goes on from `before`;
    a pickled copy starts from zero.
    """

    def __init__(self, backend: Backend, before: RequestCounts | None = None) -> None:
        super().__init__(backend)
        self._tally = RequestTally(backend.url, before=before)
        self._count = self._tally.count

    @property
    def counts(self) -> RequestCounts:
        """What was counted until now."""
        return self._tally.requests

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object; counts those that came."""
        self._count("get")
        content = self._backend.get(key, start, stop)
        self._count("received_bytes", len(content))
        return content

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object; counts its bytes as sent, whatever comes of it."""
        self._count("put")
        self._count("sent_bytes", sum(memoryview(part).nbytes for part in parts))
        self._backend.put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists; counts its bytes as sent, whatever comes of it."""
        self._count("create")
        self._count("sent_bytes", len(content))
        self._backend.create(key, content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._count("delete")
        self._backend.delete(key)

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects; counts what may be one request as one."""
        self._count("delete", 1 if can_delete_many(self._backend) else len(keys))
        super().delete_many(keys)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder."""
        self._count("list")
        return self._backend.list_objects(prefix)

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names of the sub-folders."""
        self._count("list")
        return self._backend.list_folders(prefix)

    def __reduce__(self) -> tuple[object, ...]:
        return RequestCounter, (self._backend,)
