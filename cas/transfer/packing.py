"""Packing new chunks into frames and blobs, and sending the blobs, while reading goes on.

One thread packs; the pool's threads compress frames; one thread seals blobs, which gives them their
ids; a few threads of their own send them, since they wait for the storage most of the time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.compression.choose import Encoded, encode_frames
from cas.compression.codec import Codec
from cas.environment import monotonic_seconds
from cas.format.encoding import ID_BYTES, MAX_BLOB_CHUNKS
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.blobs import (
    BLOB_KIND_DATA,
    AssembledBlob,
    Buffer,
    EncodedFrame,
    assemble_blob,
    write_blob,
)
from cas.transfer.blob_sizes import BlobSizes
from cas.transfer.budget import MemoryBudget
from cas.transfer.cutting import Span

# Eight frames share one trial of codecs, see cas.compression.choose.
FRAMES_PER_GROUP = 8
UPLOAD_THREADS = 4
# How many blobs the memory is for. Over a network every sender is to have one, or a line that loses
# packets is not used up; another is filled, and one more is joined from its parts.
LOCAL_SHARES = 3
REMOTE_SHARES = UPLOAD_THREADS + 2


@dataclass(slots=True)
class _Frame:
    spans: list[Span] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    size: int = 0
    is_whole: bool = False

    def content(self) -> Buffer:
        """The frame's bytes: a view where they lie together in one buffer, else a copy.

        A view keeps its whole buffer in memory, so little of a large buffer is copied.
        """
        first, last = self.spans[0], self.spans[-1]
        buffer = first[0]
        if (
            last[0] is buffer
            and last[2] - first[1] == self.size
            and all(span[0] is buffer for span in self.spans)
        ):
            view = memoryview(buffer)[first[1] : last[2]]
            return view if len(buffer) <= 64 * self.size else bytes(view)
        return b"".join(memoryview(b)[start:stop] for b, start, stop in self.spans)


@dataclass(slots=True, eq=False)
class _OpenBlob:
    """A blob on its way; `assembled` is what it is to be sent as, from when it is sealed on."""

    row: int
    frames: list[_Frame] = field(default_factory=list)
    groups: list[Future[list[Encoded]]] = field(default_factory=list)
    submitted: int = 0
    raw_bytes: int = 0
    chunks: int = 0
    assembled: AssembledBlob | None = None
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SentBlob:
    """A blob that is durable, and the ids of its chunks, shape (n, 32)."""

    row: int
    ref: BlobRef
    chunk_ids: NDArray[np.uint8]


class BlobWriter:
    """Takes new chunks in order and turns them into stored blobs.

    A blob has its id, and its row in `blobs` can be used, when it is sealed; durable it is when it
    is sent. `on_stored` is told of each blob as soon as it is durable, by whatever thread sent it.
    All else but that is for one thread. What was added may be held in memory until its blob is
    sent; `budget` gets the bytes back then.
    """

    def __init__(
        self,
        backend: Backend,
        session: SessionId,
        blobs: BlobList,
        pool: ThreadPoolExecutor,
        budget: MemoryBudget,
        *,
        frame_bytes: int,
        stamp: int,
        on_stored: Callable[[BlobRef], None] = lambda _: None,
    ) -> None:
        self._backend = backend
        self._session = session
        self._blobs = blobs
        self._pool = pool
        self._budget = budget
        self._frame_bytes = frame_bytes
        self._stamp = stamp
        self._on_stored = on_stored
        is_local = backend.capabilities.local
        shares = LOCAL_SHARES if is_local else REMOTE_SHARES
        self._sizes = BlobSizes(budget.limit_bytes // shares, is_local=is_local)
        self._seals = ThreadPoolExecutor(1, thread_name_prefix="cas-seal")
        self._uploads = ThreadPoolExecutor(UPLOAD_THREADS, thread_name_prefix="cas-upload")
        self._sealing: list[tuple[int, Future[BlobRef]]] = []
        self._pending: list[Future[None]] = []
        self._sent: queue.SimpleQueue[SentBlob] = queue.SimpleQueue()
        self._open: _OpenBlob | None = None
        self._lock = threading.Lock()
        self._joining = threading.Lock()
        self.stored_bytes = 0
        self.sent_bytes = 0
        self.blob_count = 0

    def add(self, chunk_id: bytes, span: Span) -> tuple[int, int]:
        """Take a new chunk; return its blob row and its row among the blob's chunks."""
        length = span[2] - span[1]
        blob = self._blob_with_room(length, 1)
        last = blob.frames[-1] if blob.frames else None
        if last is None or last.is_whole or last.size + length > self._frame_bytes:
            self._submit_groups(blob)
            blob.frames.append(_Frame())
        frame = blob.frames[-1]
        frame.spans.append(span)
        frame.ids.append(chunk_id)
        frame.lengths.append(length)
        frame.size += length
        blob.raw_bytes += length
        blob.chunks += 1
        return blob.row, blob.chunks - 1

    def add_frame(self, frame: EncodedFrame) -> tuple[int, int]:
        """Take a frame that is encoded already; return its blob row and its first chunk's row.

        Of the budget it holds the length of its payload, not its raw length.
        """
        count = len(frame.chunk_lengths)
        blob = self._blob_with_room(frame.raw_length, count)
        # What waits is encoded now, lest it comes behind this frame.
        self._submit_groups(blob, last=True)
        ids = [frame.chunk_ids[at : at + ID_BYTES] for at in range(0, ID_BYTES * count, ID_BYTES)]
        blob.frames.append(
            _Frame(ids=ids, lengths=list(frame.chunk_lengths), size=frame.raw_length, is_whole=True)
        )
        encoded: Future[list[Encoded]] = Future()
        encoded.set_result([Encoded(Codec(frame.codec), frame.param, frame.payload)])
        blob.groups.append(encoded)
        blob.submitted += 1
        first = blob.chunks
        blob.raw_bytes += frame.raw_length
        blob.chunks += count
        return blob.row, first

    @property
    def open_bytes(self) -> int:
        """Raw bytes that wait in the blob that is not yet full."""
        return 0 if self._open is None else self._open.raw_bytes

    def flush(self) -> None:
        """Send the open blob though it is not full."""
        blob = self._open
        if blob is None:
            return
        self._open = None
        self._sizes.note_packed(blob.raw_bytes)
        self._submit_groups(blob, last=True)
        sealing = self._seals.submit(self._seal, blob)
        self._sealing.append((blob.row, sealing))
        self._pending = [future for future in self._pending if not _is_over(future)]
        self._pending.append(self._uploads.submit(self._send, blob, sealing))

    def make_room(self) -> None:
        """Send the open blob though it is not full, if no others are left to give memory back.

        Else it waits for what they give back: blobs as small as that would stay so for ever.
        """
        self._pending = [future for future in self._pending if not _is_over(future)]
        if len(self._pending) < UPLOAD_THREADS:
            self.flush()
        self.raise_failure()

    def collect(self) -> list[SentBlob]:
        """Return the blobs that were sent since the last call; fill the rows of those sealed."""
        sent = []
        while not self._sent.empty():
            sent.append(self._sent.get())
        sealing, self._sealing = self._sealing, []
        for row, future in sealing:
            if _is_over(future):
                self._blobs.fill(row, future.result())
            else:
                self._sealing.append((row, future))
        return sent

    def wait_sealed(self, timeout_seconds: float) -> bool:
        """Wait for blobs that are being sealed; return whether all that was flushed has its id."""
        done, not_done = wait([future for _, future in self._sealing], timeout_seconds)
        self.raise_failure()
        for future in done:
            future.result()
        return not not_done

    def raise_failure(self) -> None:
        """Raise the error of an upload that failed meanwhile, if one did."""
        for future in self._pending:
            if future.done():
                future.result()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for uploads under way; return whether all that was flushed is durable.

        Returns as soon as one of them ends, so that the caller can `collect` it.
        """
        wait(self._pending, timeout_seconds, FIRST_COMPLETED)
        self.raise_failure()
        self._pending = [future for future in self._pending if not future.done()]
        return not self._pending

    def close(self) -> None:
        """Stop the threads; what waits is dropped."""
        self._uploads.shutdown(wait=False, cancel_futures=True)
        self._seals.shutdown(wait=True, cancel_futures=True)
        self._uploads.shutdown(wait=True)

    def _blob_with_room(self, length: int, chunks: int) -> _OpenBlob:
        """The open blob, or a new one if it has no room for as many bytes and chunks."""
        blob = self._open
        if blob is not None and (
            blob.chunks + chunks > MAX_BLOB_CHUNKS
            or blob.raw_bytes + length > self._sizes.target_bytes
        ):
            self.flush()
            blob = None
        if blob is None:
            blob = self._open = _OpenBlob(self._blobs.reserve())
        return blob

    def _submit_groups(self, blob: _OpenBlob, *, last: bool = False) -> None:
        while (waiting := len(blob.frames) - blob.submitted) and (
            last or waiting >= FRAMES_PER_GROUP
        ):
            group = blob.frames[blob.submitted : blob.submitted + FRAMES_PER_GROUP]
            blob.submitted += len(group)
            blob.groups.append(self._pool.submit(self._encode, group))

    def _encode(self, group: Sequence[_Frame]) -> list[Encoded]:
        encoded = encode_frames([frame.content() for frame in group])
        saved = 0
        for frame, result in zip(group, encoded, strict=True):
            frame.spans.clear()
            saved += frame.size - len(result.payload)
        self._budget.release(saved)
        return encoded

    def _seal(self, blob: _OpenBlob) -> BlobRef:
        """Give a blob its id. It alone holds the frames from then on."""
        encoded = [result for future in blob.groups for result in future.result()]
        blob.groups.clear()
        assembled = assemble_blob(
            BLOB_KIND_DATA,
            self._session,
            (
                EncodedFrame(
                    result.codec,
                    result.param,
                    result.payload,
                    frame.size,
                    b"".join(frame.ids),
                    frame.lengths,
                )
                for frame, result in zip(blob.frames, encoded, strict=True)
            ),
        )
        blob.payload_bytes = sum(len(result.payload) for result in encoded)
        blob.assembled = assembled
        return BlobRef(
            blob_id=assembled.blob_id.raw,
            size=assembled.size,
            table_offset=assembled.table_offset,
            stamp=self._stamp,
        )

    def _send(self, blob: _OpenBlob, sealing: Future[BlobRef]) -> None:
        ref = sealing.result()
        assembled, blob.assembled = blob.assembled, None
        assert assembled is not None
        try:
            if not self._backend.capabilities.local:
                # Clients of a network send one piece of memory. Joined here, the parts need not
                # stay beside it while it is sent, which would double what the budget allows.
                with self._joining:
                    assembled = replace(assembled, parts=[b"".join(assembled.parts)])
            started = monotonic_seconds()
            write_blob(self._backend, BLOB_KIND_DATA, assembled)
            self._sizes.note_sent(blob.raw_bytes, monotonic_seconds() - started)
            self._on_stored(ref)
        finally:
            self._budget.release(blob.payload_bytes)
        self._note_sent(SentBlob(blob.row, ref, assembled.table.chunk_ids))

    def _note_sent(self, blob: SentBlob) -> None:
        with self._lock:
            self.stored_bytes += blob.ref.size
            self.sent_bytes += blob.ref.size
            self.blob_count += 1
        self._sent.put(blob)


def _is_over(future: Future[Any]) -> bool:
    """Whether something is done and well; what failed stays to be raised."""
    return future.done() and not future.cancelled() and future.exception() is None
