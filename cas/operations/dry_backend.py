"""A store that is only read: what is written to it goes nowhere, and is counted."""

from __future__ import annotations

from collections.abc import Sequence

from cas.backend.base import Backend, Buffer
from cas.backend.forwarding import ForwardingBackend
from cas.errors import ErrorCode, UnsupportedError


class DryBackend(ForwardingBackend):
    """Reads from a backend; takes what is put and only counts it."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.puts = 0
        self.put_bytes = 0

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Count what is put."""
        del key
        self.puts += 1
        self.put_bytes += sum(len(part) for part in parts)

    def create(self, key: str, content: bytes) -> None:
        """Refuse: what a dry run would create is not there to be read back."""
        del content
        raise UnsupportedError(f"a plan creates nothing: {key}", code=ErrorCode.INTERNAL)

    def delete(self, key: str) -> None:
        """Leave it there."""

    def close(self) -> None:
        """Leave it open: it is the caller's."""
