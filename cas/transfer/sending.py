"""Stored files on their way to a place behind a URL: read, verified, written, many at once.

Small files are written whole, big ones in parts while the next are read. No object appears before
all its bytes were verified.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from blake3 import blake3

from cas.errors import CorruptionError, ErrorCode
from cas.model.entry import path_to_text
from cas.model.progress import WAIT_SECONDS, Cancel, Cancelled
from cas.objects.blobs import TableReader
from cas.transfer.budget import MemoryBudget
from cas.transfer.gathering import StoredFile, gather_files
from cas.transfer.plan import ReadLimits
from cas.transfer.reading import ContentReader

if TYPE_CHECKING:
    from cas.backend.places import Place

WRITES_IN_FLIGHT = 32
BATCH_FILES = 16
BATCH_BYTES = 4 << 20
# Above this a file goes in parts.
WHOLE_BYTES = 8 << 20
PIECE_BYTES = 8 << 20
PIECES_AHEAD = 2
# A batch in memory: as it is stored, decoded, and laid out by file.
BATCH_COPIES = 3


@dataclass(slots=True)
class SendCounts:
    """What was written so far."""

    files: int = 0
    written_bytes: int = 0


class Sender:
    """Writes files of a version to a place. A context manager: leaving it stops the threads."""

    def __init__(
        self,
        tables: TableReader,
        limits: ReadLimits,
        place: Place,
        budget: MemoryBudget,
        *,
        cancel: Cancel,
        report: Callable[[], None],
    ) -> None:
        self._tables = tables
        self._limits = limits
        self._place = place
        self._budget = budget
        self._cancel = cancel
        self._report = report
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._writers = ThreadPoolExecutor(WRITES_IN_FLIGHT, thread_name_prefix="cas-send")
        self._readers = ThreadPoolExecutor(WRITES_IN_FLIGHT, thread_name_prefix="cas-get")
        self.counts = SendCounts()

    def run(self, files: Iterable[StoredFile]) -> None:
        """Write the files; returns when all are there.

        Raises:
            CorruptionError: the store has other bytes than it must, or none.
            BackendError: either storage failed.
        """
        window: deque[tuple[int, Future[None]]] = deque()
        for size, work in self._tasks(files):
            self._cancel.check()
            while len(window) > 2 * WRITES_IN_FLIGHT or not self._budget.try_acquire(size):
                self._take(*window.popleft())
            window.append((size, self._writers.submit(work)))
        while window:
            self._take(*window.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._writers.shutdown(wait=True, cancel_futures=True)
        self._readers.shutdown(wait=True, cancel_futures=True)

    def _take(self, size: int, future: Future[None]) -> None:
        while not future.done():
            self._cancel.check()
            wait([future], timeout=WAIT_SECONDS)
            self._report()
        self._budget.release(size)
        future.result()
        self._report()

    def _tasks(self, files: Iterable[StoredFile]) -> Iterator[tuple[int, Callable[[], None]]]:
        """Yield the memory that each task takes, and what does it."""
        batch: list[StoredFile] = []
        batch_bytes = 0
        for file in files:
            size = file.content.size
            if size > WHOLE_BYTES:
                held = (PIECES_AHEAD + 1) * PIECE_BYTES + 2 * self._place.part_bytes(size)
                yield held, partial(self._send_in_parts, file)
                continue
            if batch and (len(batch) >= BATCH_FILES or batch_bytes + size > BATCH_BYTES):
                yield self._batch_task(batch, batch_bytes)
                batch, batch_bytes = [], 0
            batch.append(file)
            batch_bytes += size
        if batch:
            yield self._batch_task(batch, batch_bytes)

    def _batch_task(self, files: list[StoredFile], size: int) -> tuple[int, Callable[[], None]]:
        return BATCH_COPIES * size, lambda: self._send_whole(files)

    def _send_whole(self, files: list[StoredFile]) -> None:
        self._check_stopped()
        for file, content in zip(
            files, gather_files(self._tables, self._limits, files), strict=True
        ):
            self._check_stopped()
            self._place.write(path_to_text(file.path), bytes(content))
            self._count(1, len(content))

    def _send_in_parts(self, file: StoredFile) -> None:
        # A part that failed may or may not be there, so the whole file is sent again.
        self._place.run(partial(self._send_once, file), lambda _: file.content.size)
        self._count(1, 0)

    def _send_once(self, file: StoredFile) -> None:
        self._check_stopped()
        size = file.content.size
        reader = ContentReader(self._tables, file.content)
        hasher = blake3(max_threads=blake3.AUTO)
        writer = self._place.open_writer(path_to_text(file.path), size)
        sent = 0
        try:
            for piece in self._pieces(reader, size):
                self._check_stopped()
                hasher.update(piece)
                writer.write(piece)
                sent += len(piece)
                self._count(0, len(piece))
            if hasher.digest() != file.hash:
                raise CorruptionError(
                    f"{path_to_text(file.path)}: the store has other bytes than its hash says",
                    code=ErrorCode.DIGEST_MISMATCH,
                )
            self._check_stopped()
            writer.commit()
        except BaseException:
            writer.discard()
            self._count(0, -sent)
            raise

    def _pieces(self, reader: ContentReader, size: int) -> Iterator[bytes]:
        """Yield a file in order, while the next pieces are being fetched."""
        ahead: deque[Future[bytes]] = deque()
        for start in range(0, size, PIECE_BYTES):
            ahead.append(self._readers.submit(reader.read, start, start + PIECE_BYTES))
            if len(ahead) > PIECES_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _check_stopped(self) -> None:
        if self._stopped.is_set() or self._cancel.is_set():
            raise Cancelled

    def _count(self, files: int, size: int) -> None:
        with self._lock:
            self.counts.files += files
            self.counts.written_bytes += size
