"""The opened pieces of a store that every operation works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cas.backend.base import Backend
from cas.backend.counting import RequestCounter, RequestTally
from cas.backend.open import redact_url
from cas.chunking.cutter import Cutter
from cas.environment import Clock, SystemClock
from cas.format.config import StoreConfig
from cas.objects.blobs import TableReader
from cas.objects.manifests import PageReader

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache  # which most stores do without


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreParts:
    """What an operation gets instead of the `Store`, so that the facade never closes a cycle.

    Attributes:
        counter: counts what the storage is asked for, below all caches.
        state_dir: where this user's journal lies, or None to keep none.
        jobs: worker threads of a transfer.
        memory_bytes: budget for bytes in flight.
        chunks: what was read, kept on this machine, if that is wanted and helps.
        tallies: what was asked of sources and targets that are URLs, one for each opened.
    """

    backend: Backend
    counter: RequestCounter
    config: StoreConfig
    cutter: Cutter
    tables: TableReader
    pages: PageReader
    jobs: int
    memory_bytes: int
    state_dir: Path | None = None
    clock: Clock = field(default_factory=SystemClock)
    chunks: ChunkCache | None = None
    tallies: list[RequestTally] = field(default_factory=list)

    def close(self) -> None:
        """Let go of connections, and note what the cache was good for. Twice is fine."""
        if self.chunks is not None:
            self.chunks.close()
        self.backend.close()

    def tally(self, url: str, role: str) -> RequestTally:
        """Return where to count what is asked of a source or target."""
        tally = RequestTally(redact_url(url), role)
        self.tallies.append(tally)
        return tally
