"""Reading whole blobs, the least recently verified first, many at once, until a budget is used up."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.environment import monotonic_seconds
from cas.errors import BackendError, CasError
from cas.model.progress import Cancel, Progress
from cas.objects.damage import BlobDamage
from cas.objects.examine_blob import READ_BYTES, BlobTarget, examine_blob
from cas.objects.parts import StoreParts
from cas.objects.results import KnownResults, read_results, write_results
from cas.operations.inspect_structure import Inspection
from cas.operations.verify_outcomes import VerifyOptions

REMOTE_READERS = 16
# What a reader holds: a range, decoded, and the table.
READER_BYTES = 3 * READ_BYTES
# So much of a long run is lost at most if it is killed.
REMEMBER_SECONDS = 300.0
NS = 1_000_000_000


@dataclass(slots=True)
class DataReads:
    """What a run read so far; `sound` are ids of blobs that were found whole, `confirmed` of those
    that were recorded as damaged and are not. `not_kept` is why that could not be remembered.
    """

    blobs: int = 0
    size: int = 0
    left: int = 0
    recent: int = 0
    sound: list[bytes] = field(default_factory=list)
    confirmed: list[bytes] = field(default_factory=list)
    not_kept: str | None = None


def read_blobs(
    parts: StoreParts, found: Inspection, options: VerifyOptions, reads: DataReads, started: float
) -> None:
    """Read blobs that versions need; note what is damaged in `found`, what was read in `reads`."""
    run = _Run(parts, found, options, reads, started)
    try:
        run.read_all()
    finally:
        run.remember()


class _Run:
    """One run over the blobs. For one thread, which has others read."""

    def __init__(
        self,
        parts: StoreParts,
        found: Inspection,
        options: VerifyOptions,
        reads: DataReads,
        started: float,
    ) -> None:
        self._parts = parts
        self._found = found
        self._options = options
        self._reads = reads
        self._started = started
        self._cancel = options.cancel or Cancel()
        self._now = parts.clock.now_ns() // NS
        self._known: KnownResults = read_results(parts.backend)
        self._remembered = 0
        self._remembered_at = monotonic_seconds()
        self._total = 0

    def read_all(self) -> None:
        """Read what is due, in order, as far as the budget goes."""
        rows = self._due()
        window: deque[tuple[BlobTarget, Future[BlobDamage | None]]] = deque()
        threads = self._threads()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="cas-verify")
        taken = 0
        try:
            for at, target in enumerate(self._found.needed.targets(rows.tolist())):
                self._cancel.check()
                if self._is_over(taken + target.size, is_first=at == 0):
                    self._reads.left = len(rows) - at
                    break
                taken += target.size
                window.append((target, pool.submit(self._examine, target)))
                if len(window) > 2 * threads:
                    self._take(*window.popleft())
            while window:
                self._take(*window.popleft())
        finally:
            for _, future in window:
                future.cancel()
            pool.shutdown(wait=True, cancel_futures=True)

    def remember(self) -> None:
        """Keep in the store which blobs were found whole."""
        sound = self._reads.sound
        if not self._options.remember or len(sound) == self._remembered:
            return
        ids = np.frombuffer(b"".join(sound[self._remembered :]), np.uint8).reshape(-1, 32)
        # A run over one version must not forget the others' results.
        existing = self._found.needed.ids
        if not self._found.is_all:
            existing = np.concatenate([existing, _ids_of(self._known)])
        now = self._parts.clock.now_ns() // NS
        self._remembered_at = monotonic_seconds()
        try:
            self._known = write_results(self._parts.backend, self._known, ids, now, existing)
        except BackendError as error:
            self._reads.not_kept = str(error)  # a reader may verify, too
            return
        self._reads.not_kept = None
        self._remembered = len(sound)

    def _due(self) -> NDArray[np.int64]:
        """Rows of the blobs to read: never read ones first, then those read longest ago."""
        needed = self._found.needed
        last = self._known.last_read(needed.ids, self._now)
        rows = np.argsort(last, kind="stable")
        if self._options.max_age_seconds is not None:
            due = last[rows] <= self._now - self._options.max_age_seconds
            self._reads.recent = int((~due).sum())
            rows = rows[due]
        self._total = int(needed.sizes[rows].sum())
        return rows

    def _is_over(self, size: int, *, is_first: bool) -> bool:
        options = self._options
        if options.seconds is not None and monotonic_seconds() - self._started >= options.seconds:
            return True
        # One blob at least, or a small budget would never get anywhere.
        return options.budget_bytes is not None and size > options.budget_bytes and not is_first

    def _threads(self) -> int:
        if self._options.jobs is not None:
            return self._options.jobs
        local = self._parts.backend.capabilities.local
        wanted = self._parts.jobs if local else REMOTE_READERS
        return max(1, min(wanted, self._parts.memory_bytes // READER_BYTES))

    def _examine(self, target: BlobTarget) -> BlobDamage | None:
        try:
            return examine_blob(self._parts.backend, target)
        except BackendError:
            return examine_blob(self._parts.backend, target)

    def _take(self, target: BlobTarget, future: Future[BlobDamage | None]) -> None:
        try:
            damage = future.result()
        except CasError as error:
            self._found.unread.append(f"{target.key}: {error}")
            return
        reads = self._reads
        reads.blobs += 1
        reads.size += target.size
        if damage is None:
            reads.sound.append(target.blob_id)
        else:
            # What was found by its size alone is told in more detail now.
            known = self._found.damage.get(target.blob_id)
            if known is None:
                self._found.add_damage([damage])
        if monotonic_seconds() - self._remembered_at > REMEMBER_SECONDS:
            self.remember()
        if self._options.progress is not None:
            self._options.progress(
                Progress(
                    phase="verify",
                    total_files=len(self._found.needed),
                    done_files=reads.blobs,
                    total_bytes=self._total,
                    done_bytes=reads.size,
                    sent_bytes=reads.size,
                )
            )


def _ids_of(known: KnownResults) -> NDArray[np.uint8]:
    """Ids that have the heads of those that are known."""
    ids = np.zeros((len(known.keys), 32), np.uint8)
    ids[:, :8] = known.keys.astype(">u8").view(np.uint8).reshape(-1, 8)
    return ids
