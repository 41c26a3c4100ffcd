"""Progress of a transfer: what is read, new, stored and sent, kept apart."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

# Whoever waits for storage or threads does so for this long, then looks whether it was cancelled:
# a stop within a second, and no time spent on looking.
WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an operation is. All sizes are bytes.

    Attributes:
        phase: `scan`, `put`, `commit`, `plan`, `get`, `copy`, `repack`; of a collection `recover`,
            `expire`, `list`, `mark`, `condemn`, `delete`, `index`; of a verification `pages`,
            `tables`, `verify`; of a repair `repair`.
        total_files: files there are (pages or blobs in a verification, blobs to `delete` in
            a collection); 0 while unknown.
        done_files: those dealt with.
        total_bytes: logical bytes there are; 0 while unknown.
        done_bytes: logical bytes dealt with, read or known to be unchanged.
        new_bytes: bytes of chunks that the store did not have, before compression.
        stored_bytes: what the new bytes take in the store, after compression.
        sent_bytes: bytes handed to the backend (put) or fetched from it (get).
    """

    phase: str
    total_files: int = 0
    done_files: int = 0
    total_bytes: int = 0
    done_bytes: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0
    sent_bytes: int = 0


class ProgressSink(Protocol):
    """Receives progress. Called from any thread, often; must return at once and never raise."""

    def __call__(self, progress: Progress) -> None:
        """Take note of how far it is."""
        ...


class Cancelled(BaseException):
    """Raised inside an operation whose `Cancel` was set. Not an error: nothing went wrong."""


class Cancel:
    """A switch that asks a running operation to stop; it stops within a second.

    A request that a server does not answer cannot be taken back, so where one does not, that takes
    until its time-out is over (`read_seconds` of a store's options).
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask every operation that holds this switch to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Tell whether a stop was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if a stop was asked for."""
        if self._event.is_set():
            raise Cancelled
