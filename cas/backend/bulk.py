"""Deleting many objects in few requests, where a storage has such a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from cas.backend.base import Backend

# What S3 takes in one request.
MOST_AT_ONCE = 1000


@runtime_checkable
class DeletesMany(Protocol):
    """A backend that can be asked to delete several objects at once."""

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, at most 1,000; fine if some of them are not there.

        Raises:
            BackendError: it failed, or the storage has no such request; any of them may be gone.
        """
        ...


def can_delete_many(backend: Backend) -> bool:
    """Tell whether `delete_many` takes fewer requests than deleting one after the other."""
    return backend.capabilities.deletes_many and isinstance(backend, DeletesMany)


def delete_many(backend: Backend, keys: Sequence[str]) -> None:
    """Remove objects, at most 1,000, in one request if the backend can; as `DeletesMany` says.

    A storage MAY leave some of them and not say so: whoever needs to know lists again.
    """
    if backend.capabilities.deletes_many and isinstance(backend, DeletesMany):
        backend.delete_many(keys)
        return
    for key in keys:
        backend.delete(key)
