"""New blobs of a put, a copy or a repack: the threads that make them, and what is known of them while
they are under way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from cas.model.progress import WAIT_SECONDS, Cancel
from cas.operations.stored_tree import StoredTree
from cas.transfer.budget import MemoryBudget
from cas.transfer.dedup import Facts
from cas.transfer.packing import BlobWriter


class Feed:
    """What feeds a writer of blobs derives from this. For one thread.

    A context manager: leaving it stops the threads and notes what is durable, so that what failed
    resumes there.
    """

    def __init__(
        self, stored: StoredTree, facts: Facts, cancel: Cancel, *, jobs: int, threads: str
    ) -> None:
        parts = stored.parts
        self._stored = stored
        self._facts = facts
        self._cancel = cancel
        self._jobs = jobs
        self._budget = MemoryBudget(parts.memory_bytes)
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix=threads)
        self._writer = BlobWriter(
            parts.backend,
            stored.session.id,
            stored.blobs,
            self._pool,
            self._budget,
            frame_bytes=parts.config.frame_bytes,
            stamp=facts.stamp,
            on_stored=stored.note_stored,
        )

    def wait(self) -> bool:
        """Wait a moment for blobs under way; return whether all are durable."""
        self._cancel.check()
        stored, writer = self._stored, self._writer
        is_done = writer.wait(WAIT_SECONDS)
        stored.note_sent(writer.collect())
        self._report()
        if is_done:
            stored.stored_bytes = writer.stored_bytes
            stored.sent_bytes += writer.sent_bytes
        return is_done

    def _seal(self) -> None:
        """Give every blob its id; the last ones are still under way after that, see `wait`."""
        self._writer.flush()
        while not self._writer.wait_sealed(WAIT_SECONDS):
            self._advance()
        self._stored.note_sent(self._writer.collect())

    def _advance(self) -> None:
        self._cancel.check()
        self._stored.note_sent(self._writer.collect())
        self._stored.checkpoint(self._facts.stamp)
        self._report()

    def _report(self) -> None:
        """Tell whoever asked how far it is."""

    def _close(self) -> None:
        self._writer.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stored.note_sent(self._writer.collect())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
