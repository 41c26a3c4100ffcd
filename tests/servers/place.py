"""Where a test may make a store."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cas.backend.base import Backend
from cas.backend.open import open_backend


@dataclass(frozen=True, slots=True)
class Place:
    """The URL of a place where nothing is yet, and what the driver needs to get there."""

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> Backend:
        """Open the place as a backend."""
        return open_backend(self.url, self.options, create=True)


class StoreServer(Protocol):
    """Something that has places for stores."""

    def new_place(self) -> Place:
        """Make a bucket, container or folder of its own and return a place in it."""
        ...


class MemoryPlaces:
    """fsspec's memory filesystem, which lives in this process."""

    def new_place(self) -> Place:
        """Return a place of its own."""
        return Place(f"memory://{fresh_name()}/store")


@dataclass(frozen=True, slots=True)
class FolderPlaces:
    """Folders below one."""

    root: str | os.PathLike[str]

    def new_place(self) -> Place:
        """Return the path of a folder that does not exist."""
        return Place(os.path.join(self.root, fresh_name(), "store"))  # noqa: PTH118 a URL later


def fresh_name() -> str:
    """Return a name that every kind of server takes for a bucket, used by no other test."""
    return f"cas-{uuid.uuid4().hex[:16]}"
