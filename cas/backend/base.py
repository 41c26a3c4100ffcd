"""What every backend guarantees: named bytes, put whole, created once, listed truthfully.

Spec: specs/protocol/backend.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from cas.errors import (
    AlreadyExistsError,
    BackendError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
)

Buffer: TypeAlias = bytes | bytearray | memoryview

# A folder of this name at the root holds what is being written; no listing shows it.
STAGING_FOLDER = ".tmp"
# What backends promise to list in one piece, where they promise that at all.
SNAPSHOT_OBJECTS = 1000


@dataclass(frozen=True, slots=True, order=True)
class StoredObject:
    """One object as a listing shows it: its key, relative to the root, and its bytes.

    Attributes:
        modified_ns: when it was stored, by the storage's clock; None if that does not tell. Good
            for guesses about what is worth doing, and for nothing else.
    """

    key: str
    size: int
    modified_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can promise, as far as the client alone can know it.

    Attributes:
        create_if_absent: `create` lets exactly one of several racing callers win. A server may
            still break that promise; `probe_create_if_absent` finds out.
        atomic_listing: a listing of at most 1,000 objects shows one moment. Where it is False,
            and for longer listings, list twice and take the union.
        local: objects are files of this machine; requests cost next to nothing.
        deletes_many: many objects can be deleted in one request (`cas.backend.bulk`).
    """

    create_if_absent: bool
    atomic_listing: bool
    local: bool
    deletes_many: bool = False


class Backend(Protocol):
    """Stores bytes under keys: `/`-separated components, relative to the backend's root.

    Implementers guarantee that each method may be called from many threads at once, that an
    object is seen whole or not at all, and that `get` and the listings see what was put, created
    or deleted before they began, by whomever. A backend can be pickled; the copy opens anew.

    Callers may assume nothing across keys, and nothing after a `BackendError`: the request may
    have happened, may not have, or may happen later.
    """

    @property
    def url(self) -> str:
        """Where the objects are, without credentials and query: safe to show and to log."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can promise."""
        ...

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes `start` to `stop` of an object, or to its end.

        A range that reaches past the end returns what there is; an empty range is answered
        without looking.

        Raises:
            NotFoundError: there is no such object (OBJECT_NOT_FOUND).
            BackendError: the request failed.
        """
        ...

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store the parts, one after the other, as one object; replace what stood there.

        When this returns the object is durable. Nobody ever sees a part of it. The parts are
        not copied where that can be avoided, so they must not change meanwhile.

        Raises:
            NotFoundError: the store itself is not there (STORE_NOT_FOUND).
            BackendError: the outcome is unknown.
        """
        ...

    def create(self, key: str, content: bytes) -> None:
        """Store `content` under `key` unless the key exists. Durable and whole, like `put`.

        Of several racing callers exactly one returns; but a caller whose reply was lost may be
        told anything, its own success being taken for another's included. So read the key back
        after any error, or use `create_confirmed`.

        Raises:
            AlreadyExistsError: the key exists (OBJECT_EXISTS), perhaps by this very call.
            NotFoundError: the store itself is not there (STORE_NOT_FOUND).
            BackendError: the outcome is unknown.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; fine if there is none.

        Raises:
            BackendError: the outcome is unknown.
        """
        ...

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return every object under the folder `prefix`, at any depth; all for an empty prefix.

        The order is not defined. A folder that does not exist holds nothing. What is still
        being written is not shown. A listing that fails midway raises; it never just ends.

        Raises:
            NotFoundError: the bucket itself is not there (STORE_NOT_FOUND).
            BackendError: the listing failed.
        """
        ...

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names, sorted, of the immediate sub-folders of the folder `prefix`.

        A folder exists while an object is under it; an empty one may or may not be shown.

        Raises:
            NotFoundError: the bucket itself is not there (STORE_NOT_FOUND).
            BackendError: the listing failed.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Calling it twice is fine; no method may be called after it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def create_confirmed(backend: Backend, key: str, content: bytes, *, attempts: int = 4) -> bytes:
    """Create an object and return the bytes that now stand under its key, for certain.

    They are `content`, whether this call or an earlier one of ours stored it, or what another
    writer put there first. A reply that does not say success is never believed: the key is read.

    Raises:
        BackendError: what stands there is still unknown after `attempts`; nothing may be
            concluded from that. Its cause is the first failure. Where the first answer was that
            it is not allowed, and nothing is there, that is raised at once.
    """
    first: BackendError | AlreadyExistsError | None = None
    for _ in range(attempts):
        try:
            backend.create(key, content)
        except (AlreadyExistsError, BackendError) as error:
            first = first or error
        else:
            return content
        # "Exists", "conflict" and a time-out all mean one thing only: look. If the key is absent,
        # the same key is tried again.
        try:
            return backend.get(key)
        except NotFoundError:
            if isinstance(first, BackendError) and first.code is ErrorCode.ACCESS_DENIED:
                raise first from first.__cause__
        except BackendError as error:
            if isinstance(first, AlreadyExistsError):
                first = error
    why = f": {first}" if isinstance(first, BackendError) else ""
    raise BackendError(
        f"{key}: what stands there is unknown after {attempts} attempts{why}",
        code=first.code if isinstance(first, BackendError) else ErrorCode.BACKEND_FAILED,
        hint=first.hint if first is not None else None,
    ) from first


def check_key(key: str) -> str:
    """Return `key` if it is one; keys may come out of listings, which are not trusted.

    Raises:
        InvalidInputError: it is empty, absolute, or has an empty, `.` or `..` component.
    """
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key or "\\" in key:
        raise InvalidInputError(
            f"{key!r} cannot be the key of an object", code=ErrorCode.INVALID_PATH
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is a key or empty.

    Raises:
        InvalidInputError: it is neither.
    """
    return check_key(prefix) if prefix else prefix
