"""A file of a draft while it is written: a local file that appears in the draft when it is closed."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path


class WrittenFile(io.BufferedRandom):
    """A file opened for writing: binary, buffered, seekable.

    Outside of a transaction closing it lands it; in one, that is left to `commit` and `discard`.

    Attributes:
        path: its path in the draft.
        is_settled: it has landed or was thrown away.
    """

    def __init__(
        self, local: Path, mode: str, path: str, land: Callable[[], None], *, autocommit: bool
    ) -> None:
        super().__init__(io.FileIO(local, mode))
        self._local = local
        self._land = land
        self._autocommit = autocommit
        # A forked child has what its parent writes, but it is not the child's to land or throw away.
        self._opened_in = os.getpid()
        self.is_settled = False
        self.path = path

    def close(self) -> None:
        """Close it, and let it appear in the draft; twice is fine."""
        if self.closed:
            return
        super().close()
        if self._autocommit and self._opened_in == os.getpid():
            self.commit()

    def commit(self) -> None:
        """Let it appear in the draft."""
        if not self.closed:
            self._autocommit = False
            self.close()
        if not self.is_settled:
            self.is_settled = True
            self._land()

    def discard(self) -> None:
        """Throw it away."""
        self._autocommit, self.is_settled = False, True
        self.close()
        if self._opened_in == os.getpid():
            self._local.unlink(missing_ok=True)

    def __del__(self) -> None:
        # What nobody closed is not meant to be kept: nobody said that it is whole.
        if not self.closed:
            self.discard()
