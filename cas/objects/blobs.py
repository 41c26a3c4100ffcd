"""Blobs on a backend: one is assembled from encoded frames and written whole; tables and frames
are read by range, and every byte is checked before it is passed on.

Spec: specs/format/05-blob.md
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.backend.caching import LARGEST_ENTRY_BYTES, CachingBackend, past_cache
from cas.compression.codec import decode
from cas.environment import random_bytes
from cas.errors import REPAIR_HINT, CorruptionError, ErrorCode, NotFoundError
from cas.format import keys
from cas.format.blob import (
    BlobTable,
    compress_table,
    decode_frame,
    decode_tail,
    encode_frame_head,
    encode_header,
    encode_table,
    encode_trailer,
    table_blob_id,
)
from cas.model.ids import BlobId, SessionId
from cas.objects.blob_list import BlobRef
from cas.objects.records import read_anew

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache  # which most stores do without

Buffer = bytes | bytearray | memoryview
_Checked = TypeVar("_Checked")

BLOB_KIND_DATA = 0
BLOB_KIND_META = 1
NONCE_BYTES = 16
CACHED_TABLE_CHUNKS = 1 << 20  # about 40 MiB of ids
# Over a network a blob of up to this size is fetched whole in the time that its table takes and one
# more round trip would: 10 ms at 100 MB/s.
WHOLE_BLOB_BYTES = 1 << 20
CACHED_WHOLE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame ready to be stored: codec, payload, and the chunks inside."""

    codec: int
    param: int
    payload: Buffer
    raw_length: int
    chunk_ids: bytes
    chunk_lengths: Sequence[int]


@dataclass(frozen=True, slots=True)
class AssembledBlob:
    """A whole blob as parts to be written one after another, and what is known of it."""

    blob_id: BlobId
    parts: list[Buffer]
    size: int
    table: BlobTable
    table_offset: int


def assemble_blob(kind: int, session: SessionId, frames: Iterable[EncodedFrame]) -> AssembledBlob:
    """Lay frames out as a blob under a new key: a fresh nonce makes the id one of its own."""
    nonce = random_bytes(NONCE_BYTES)
    parts: list[Buffer] = [encode_header(kind, nonce, session)]
    offset = len(parts[0])
    rows: list[tuple[int, int, int, int, int, int]] = []
    ids: list[bytes] = []
    lengths: list[int] = []
    for frame in frames:
        stored, chunks = len(frame.payload), len(frame.chunk_lengths)
        head = encode_frame_head(
            frame.codec,
            frame.param,
            stored,
            frame.raw_length,
            frame.chunk_ids,
            frame.chunk_lengths,
        )
        parts += (head, frame.payload)
        rows.append((offset, stored, frame.raw_length, frame.codec, frame.param, chunks))
        offset += len(head) + stored
        ids.append(frame.chunk_ids)
        lengths.extend(frame.chunk_lengths)
    columns = np.array(rows, np.int64).reshape(len(rows), 6)
    table = BlobTable(
        nonce=nonce,
        session=session,
        frame_offsets=columns[:, 0].astype(np.uint32),
        frame_stored=columns[:, 1].astype(np.uint32),
        frame_raw=columns[:, 2].astype(np.uint32),
        frame_codecs=columns[:, 3].astype(np.uint8),
        frame_params=columns[:, 4].astype(np.uint16),
        frame_chunks=columns[:, 5].astype(np.uint16),
        chunk_ids=np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32),
        chunk_lengths=np.array(lengths, np.uint32),
    )
    raw = encode_table(table)
    stored_table = compress_table(raw)
    parts += (stored_table, encode_trailer(offset, len(stored_table), len(raw)))
    size = offset + len(stored_table) + len(parts[-1])
    return AssembledBlob(table_blob_id(raw), parts, size, table, offset)


def write_blob(backend: Backend, kind: int, blob: AssembledBlob) -> None:
    """Write an assembled blob; when this returns it is durable."""
    key = (keys.blob_key if kind == BLOB_KIND_DATA else keys.meta_key)(blob.blob_id)
    backend.put(key, blob.parts)
    if isinstance(backend, CachingBackend) and blob.size > LARGEST_ENTRY_BYTES:
        # The next put of the same files asks for the table, and for nothing else of the blob.
        # The parts may have been joined: table and trailer are the end of the last ones.
        tail = blob.size - blob.table_offset
        end = b"".join(bytes(memoryview(part)[-tail:]) for part in blob.parts[-2:])
        backend.keep(key, blob.table_offset, end[-tail:])


class TableReader:
    """Reads blob tables, and keeps the latest ones up to a number of chunks. Thread-safe."""

    def __init__(
        self,
        backend: Backend,
        cached_chunks: int = CACHED_TABLE_CHUNKS,
        *,
        chunks: ChunkCache | None = None,
    ) -> None:
        """Read through `backend`; `chunks` is for those who read what the tables lead to."""
        self._backend = backend
        self.chunks = chunks
        # What is kept chunk by chunk need not be kept as it came, too.
        self._frames_from = backend if chunks is None else past_cache(backend)
        self._cached_chunks = cached_chunks
        self._lock = threading.Lock()
        self._tables: OrderedDict[bytes, tuple[BlobTable, tuple[int, int] | None]] = OrderedDict()
        self._chunks = 0
        self._whole: OrderedDict[bytes, bytes] = OrderedDict()
        self._whole_bytes = 0
        self._turns: dict[bytes, threading.Lock] = {}

    @property
    def is_local(self) -> bool:
        """Whether blobs lie on this machine, so that requests cost next to nothing."""
        return self._backend.capabilities.local

    def read(self, ref: BlobRef) -> BlobTable:
        """Return the verified table of a data blob.

        Raises:
            CorruptionError: the blob is missing or its table is not what its id vouches for.
            BackendError: the storage failed.
        """
        with self._turn(ref) as table:
            if table is not None:
                return table
            key = keys.blob_key(ref.id)
            return read_checked(
                self._backend, key, ref.table_offset, ref.size, lambda tail: self._decode(ref, tail)
            )

    def open(self, ref: BlobRef) -> BlobTable:
        """Return the table of a blob of which ranges will be read next; raises as `read` does.

        Over a network a small blob is fetched whole, so that those ranges cost no further request.
        """
        if ref.size > WHOLE_BLOB_BYTES or self.is_local:
            return self.read(ref)
        with self._turn(ref) as table:
            return self._read_whole(ref) if table is None else table

    def _read_whole(self, ref: BlobRef) -> BlobTable:
        def check(whole: bytes) -> tuple[bytes, BlobTable]:
            return whole, self._decode(ref, whole[ref.table_offset :])

        content, table = read_checked(self._backend, keys.blob_key(ref.id), 0, ref.size, check)
        with self._lock:
            if ref.blob_id not in self._whole:
                self._whole[ref.blob_id] = content
                self._whole_bytes += len(content)
                while self._whole_bytes > CACHED_WHOLE_BYTES:
                    _, dropped = self._whole.popitem(last=False)
                    self._whole_bytes -= len(dropped)
        return table

    @contextmanager
    def _turn(self, ref: BlobRef) -> Iterator[BlobTable | None]:
        """Wait while another thread fetches the same table; give it, or None to fetch it now."""
        if (table := self.known(ref)) is not None:
            yield table
            return
        with self._lock:
            turn = self._turns.setdefault(ref.blob_id, threading.Lock())
        with turn:
            try:
                yield self.known(ref)
            finally:
                with self._lock:
                    self._turns.pop(ref.blob_id, None)

    def read_range(self, ref: BlobRef, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` of a data blob, not verified.

        Raises as `read_range` does.
        """
        with self._lock:
            content = self._whole.get(ref.blob_id)
        if content is not None and len(content) == ref.size:
            return content[start:stop]
        return read_range(self._frames_from, ref.id, start, stop)

    def read_checked(
        self, ref: BlobRef, start: int, stop: int, check: Callable[[bytes], _Checked]
    ) -> _Checked:
        """Return what `check` makes of bytes `start` to `stop` of a data blob.

        See the function `read_checked`.
        """
        with self._lock:
            content = self._whole.get(ref.blob_id)
        if content is not None and len(content) == ref.size:
            with suppress(CorruptionError):
                return check(content[start:stop])
        return read_checked(self._frames_from, keys.blob_key(ref.id), start, stop, check)

    def known(self, ref: BlobRef) -> BlobTable | None:
        """Return the table of a blob if no request is needed for it."""
        with self._lock:
            table, place = self._tables.get(ref.blob_id, (None, None))
            # Whoever goes on with `ref` takes its word for where the table lies, so it must be the
            # place from which the table was read: nothing else vouches for what an index says.
            if table is None or place not in (None, _place_of(ref)):
                return None
            self._tables.move_to_end(ref.blob_id)
            return table

    def _decode(self, ref: BlobRef, tail: bytes) -> BlobTable:
        table = decode_tail(tail, ref.id, blob_size=ref.size, table_offset=ref.table_offset)
        self.remember(ref.blob_id, table, _place_of(ref))
        return table

    def remember(
        self, blob_id: bytes, table: BlobTable, place: tuple[int, int] | None = None
    ) -> None:
        """Keep a table that is known to be right, wherever it lies unless that is told."""
        with self._lock:
            if blob_id in self._tables:
                return
            self._tables[blob_id] = table, place
            self._chunks += len(table.chunk_lengths)
            while self._chunks > self._cached_chunks and len(self._tables) > 1:
                _, (dropped, _) = self._tables.popitem(last=False)
                self._chunks -= len(dropped.chunk_lengths)


def _place_of(ref: BlobRef) -> tuple[int, int]:
    return ref.size, ref.table_offset


def read_range(backend: Backend, blob_id: BlobId, start: int, stop: int) -> bytes:
    """Return bytes `start` to `stop` of a data blob.

    Raises:
        CorruptionError: the blob is missing or shorter than that.
    """
    key = keys.blob_key(blob_id)
    return _read_exactly(backend, key, start, stop)


def read_checked(
    backend: Backend, key: str, start: int, stop: int, check: Callable[[bytes], _Checked]
) -> _Checked:
    """Return what `check` makes of bytes `start` to `stop` of an object.

    If it raises a `CorruptionError` they are read once more, past any cache, before that is passed
    on: what went wrong on the way, or in a cache, is no damage of the store.

    Raises:
        CorruptionError: the object is missing, shorter than that, or `check` says so twice.
    """
    content = _read_exactly(backend, key, start, stop)
    with suppress(CorruptionError):
        return check(content)
    return check(_whole_range(read_anew(backend, key, start, stop), key, start, stop))


def _read_exactly(backend: Backend, key: str, start: int, stop: int) -> bytes:
    try:
        content = backend.get(key, start, stop)
        if len(content) != stop - start:
            # Connections were seen to break without an error.
            content = read_anew(backend, key, start, stop)
    except NotFoundError as error:
        raise CorruptionError(
            f"{key} is missing",
            code=ErrorCode.MISSING_OBJECT,
            hint=REPAIR_HINT,
        ) from error
    return _whole_range(content, key, start, stop)


def _whole_range(content: bytes, key: str, start: int, stop: int) -> bytes:
    if len(content) != stop - start:
        raise CorruptionError(
            f"{key} ends early: {len(content)} of {stop - start} bytes at {start}",
            code=ErrorCode.MALFORMED_OBJECT,
        )
    return content


def read_meta_range(backend: Backend, blob_id: BlobId, start: int, stop: int) -> bytes:
    """Return bytes `start` to `stop` of a meta blob.

    Raises:
        CorruptionError: the blob is missing or shorter than that.
    """
    return _read_exactly(backend, keys.meta_key(blob_id), start, stop)


def decode_meta_frame(blob_id: BlobId, offset: int, content: Buffer) -> Buffer:
    """Return what one frame of a meta blob holds, decoded but not yet verified.

    Args:
        content: exactly the frame's bytes, which begin at `offset` of the blob.

    Raises:
        CorruptionError: they are no frame.
    """
    what = f"{keys.meta_key(blob_id)} at {offset}"
    frame = decode_frame(content, what=what)
    try:
        return decode(frame.payload, frame.codec, frame.param, frame.raw_length)
    except CorruptionError as error:
        raise CorruptionError(f"{what}: {error}", code=error.code, hint=REPAIR_HINT) from error


def decode_data_frame(
    blob_id: bytes, table: BlobTable, frame: int, content: Buffer, wanted: NDArray[np.int64]
) -> Buffer:
    """Return the raw bytes of frame `frame`, its chunks `wanted` verified against the table.

    Args:
        content: exactly the frame's bytes, head and payload.
        wanted: rows of the table's chunks, all of this frame; only these are hashed.

    Raises:
        CorruptionError: anything is not as the table says; the message names blob and chunk.
    """
    what = f"{keys.blob_key(BlobId(blob_id))} frame {frame}"
    head = decode_frame(content, what=what)
    if (
        head.codec != table.frame_codecs[frame]
        or head.param != table.frame_params[frame]
        or head.raw_length != table.frame_raw[frame]
        or len(head.payload) != table.frame_stored[frame]
    ):
        raise CorruptionError(
            f"{what}: its head is not what the table says", code=ErrorCode.MALFORMED_OBJECT
        )
    try:
        raw = decode(head.payload, head.codec, head.param, head.raw_length)
    except CorruptionError as error:
        raise CorruptionError(f"{what}: {error}", code=error.code, hint=REPAIR_HINT) from error
    view = memoryview(raw)
    ids, lengths, starts = table.chunk_ids, table.chunk_lengths, table.chunk_starts
    for row in wanted.tolist():
        start = int(starts[row])
        actual = blake3(view[start : start + int(lengths[row])]).digest()
        if actual != ids[row].tobytes():
            raise CorruptionError(
                f"{what}: chunk {row} is {actual.hex()[:12]}, not {ids[row].tobytes().hex()[:12]}",
                code=ErrorCode.DIGEST_MISMATCH,
                hint=REPAIR_HINT,
            )
    return raw
