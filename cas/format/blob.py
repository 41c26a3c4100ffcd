"""Blob, frame, table: the immutable objects that hold chunks.

    blob  := header | frame+ | table (zstd) | trailer
    frame := head | (chunk id, raw length)+ | payload

The blob's id is the BLAKE3 of the raw table, and the table names every chunk by its BLAKE3, so
whoever has the id can verify any chunk. Spec: specs/format/05-blob.md
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import zstandard
from blake3 import blake3
from numpy.typing import NDArray

from cas.errors import REPAIR_HINT, CorruptionError, ErrorCode
from cas.format.encoding import (
    ID_BYTES,
    MAX_BLOB_CHUNKS,
    MAX_BLOB_RAW_BYTES,
    MAX_FRAME_BYTES,
    MAX_PAGE_BYTES,
    Buffer,
    column,
    decompress_exact,
    malformed,
    unsupported,
    view_column,
)
from cas.model.ids import SESSION_ID_BYTES, BlobId, SessionId

FORMAT_VERSION = 1
KIND_DATA = 0
KIND_META = 1
NONCE_BYTES = 16
CODEC_RAW = 0
TABLE_LEVEL = 3

_HEADER = struct.Struct("<4sBB2s16s16s")
_FRAME = struct.Struct("<BBHIIH")
_TABLE = struct.Struct("<4sB3s16s16sII")
_TRAILER = struct.Struct("<IIII4s")
_BLOB_MAGIC = b"CASB"
_TABLE_MAGIC = b"CAST"
_END_MAGIC = b"CASE"
FRAME_TAG = 0xF5
_CHUNK = np.dtype([("id", np.uint8, (ID_BYTES,)), ("length", "<u4")])

HEADER_BYTES = _HEADER.size
FRAME_HEAD_BYTES = _FRAME.size
CHUNK_BYTES = _CHUNK.itemsize
TRAILER_BYTES = _TRAILER.size
_FRAME_ROW_BYTES = 4 + 4 + 4 + 1 + 2 + 2
MAX_TABLE_BYTES = _TABLE.size + MAX_BLOB_CHUNKS * (_FRAME_ROW_BYTES + CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class BlobHeader:
    """What a blob begins with."""

    kind: int
    nonce: bytes
    session: SessionId


@dataclass(frozen=True, eq=False, kw_only=True)
class BlobTable:
    """What lies where in a blob: f frames, and the n chunks in them, in order.

    Attributes:
        nonce: 16 random bytes; they make the blob's id one of its own.
        session: who wrote the blob.
        frame_offsets: uint32[f], where each frame's head begins in the blob.
        frame_stored: uint32[f], bytes of its payload.
        frame_raw: uint32[f], bytes that the payload decodes to.
        frame_codecs: uint8[f].
        frame_params: uint16[f], the codec's parameter.
        frame_chunks: uint16[f], how many chunks it holds, at least one.
        chunk_ids: uint8[n, 32].
        chunk_lengths: uint32[n], raw bytes, at least one.
    """

    nonce: bytes
    session: SessionId
    frame_offsets: NDArray[np.uint32]
    frame_stored: NDArray[np.uint32]
    frame_raw: NDArray[np.uint32]
    frame_codecs: NDArray[np.uint8]
    frame_params: NDArray[np.uint16]
    frame_chunks: NDArray[np.uint16]
    chunk_ids: NDArray[np.uint8]
    chunk_lengths: NDArray[np.uint32]

    def frame_stop(self, frame: int) -> int:
        """Return where a frame ends in the blob."""
        length = frame_length(int(self.frame_chunks[frame]), int(self.frame_stored[frame]))
        return int(self.frame_offsets[frame]) + length

    @cached_property
    def first_chunks(self) -> NDArray[np.int64]:
        """Row of each frame's first chunk, and at the end the number of chunks; int64[f + 1]."""
        first = np.zeros(len(self.frame_chunks) + 1, np.int64)
        np.cumsum(self.frame_chunks, out=first[1:])
        return first

    @cached_property
    def chunk_frames(self) -> NDArray[np.int64]:
        """Row of the frame that holds each chunk; int64[n]."""
        return np.repeat(np.arange(len(self.frame_chunks), dtype=np.int64), self.frame_chunks)

    @cached_property
    def chunk_starts(self) -> NDArray[np.int64]:
        """Where each chunk begins in the raw bytes of its frame; int64[n]."""
        ends = np.cumsum(self.chunk_lengths, dtype=np.int64)
        starts = ends - self.chunk_lengths
        return starts - starts[self.first_chunks[:-1]][self.chunk_frames]


@dataclass(frozen=True, slots=True, eq=False)
class FrameHead:
    """The clear part of a frame. `length` is the whole frame's, payload included."""

    codec: int
    param: int
    stored: int
    raw_length: int
    chunk_ids: NDArray[np.uint8]
    chunk_lengths: NDArray[np.uint32]
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame, its payload not yet decoded."""

    codec: int
    param: int
    raw_length: int
    chunk_ids: NDArray[np.uint8]
    chunk_lengths: NDArray[np.uint32]
    payload: memoryview


def frame_length(n_chunks: int, stored: int) -> int:
    """Return the bytes of a frame with `n_chunks` chunks and a payload of `stored` bytes."""
    return FRAME_HEAD_BYTES + CHUNK_BYTES * n_chunks + stored


def encode_header(kind: int, nonce: bytes, session: SessionId) -> bytes:
    """Return the 40 bytes that a blob begins with."""
    return _HEADER.pack(_BLOB_MAGIC, FORMAT_VERSION, kind, bytes(2), nonce, session.raw)


def decode_header(content: Buffer, *, what: str) -> BlobHeader:
    """Read the first 40 bytes of a blob; more may follow. For scans: the table says the same.

    Raises:
        CorruptionError: they are no such header.
        UnsupportedError: the blob has a later format.
    """
    if len(content) < HEADER_BYTES:
        raise malformed(what, f"{len(content)} bytes are no header")
    magic, version, kind, zero, nonce, session = _HEADER.unpack_from(content)
    if magic != _BLOB_MAGIC:
        raise malformed(what, f"begins with {magic!r}, not {_BLOB_MAGIC!r}")
    if version != FORMAT_VERSION:
        raise unsupported(what, f"blob format {version}, this cas knows {FORMAT_VERSION}")
    if kind not in (KIND_DATA, KIND_META) or any(zero):
        raise unsupported(what, f"a blob of kind {kind}")
    return BlobHeader(kind, nonce, SessionId(session))


def encode_frame_head(
    codec: int,
    param: int,
    stored: int,
    raw: int,
    chunk_ids: bytes,
    chunk_lengths: Sequence[int],
) -> bytes:
    """Return what stands before a frame's payload: its lengths, its chunks' ids and lengths."""
    count = len(chunk_lengths)
    rows = np.empty(count, _CHUNK)
    rows["id"] = np.frombuffer(chunk_ids, np.uint8).reshape(count, ID_BYTES)
    rows["length"] = chunk_lengths
    return _FRAME.pack(FRAME_TAG, codec, param, stored, raw, count) + rows.tobytes()


def decode_frame_head(content: Buffer, *, what: str, limit: int = MAX_PAGE_BYTES) -> FrameHead:
    """Read the clear part of a frame from the beginning of `content`.

    Raises:
        CorruptionError: it is no frame, or its raw length is over `limit`.
    """
    if len(content) < FRAME_HEAD_BYTES:
        raise malformed(what, f"{len(content)} bytes are no frame")
    tag, codec, param, stored, raw, count = _FRAME.unpack_from(content)
    if tag != FRAME_TAG:
        raise malformed(what, f"no frame begins with {tag:#04x}")
    if not 0 < count <= MAX_BLOB_CHUNKS or not 0 < raw <= limit or not 0 < stored <= limit:
        raise malformed(what, f"a frame of {count} chunks, {raw} bytes, {stored} stored")
    if codec == CODEC_RAW and stored != raw:
        raise malformed(what, f"a raw frame of {raw} bytes stores {stored}")
    if len(content) < FRAME_HEAD_BYTES + CHUNK_BYTES * count:
        raise malformed(what, f"ends within the list of its {count} chunks")
    rows = np.frombuffer(content, _CHUNK, count, FRAME_HEAD_BYTES)
    ids, lengths = rows["id"].copy(), rows["length"].astype(np.uint32)
    if not lengths.all() or int(lengths.sum(dtype=np.uint64)) != raw:
        raise malformed(what, f"its chunks do not fill its {raw} bytes")
    return FrameHead(codec, param, stored, raw, ids, lengths, frame_length(count, stored))


def decode_frame(content: Buffer, *, what: str) -> Frame:
    """Read a frame; `content` is exactly one. The payload is a view of it, not decoded.

    Raises:
        CorruptionError: it is not one whole frame.
    """
    head = decode_frame_head(content, what=what)
    if len(content) != head.length:
        raise malformed(what, f"a frame of {head.length} bytes in {len(content)}")
    return Frame(
        head.codec,
        head.param,
        head.raw_length,
        head.chunk_ids,
        head.chunk_lengths,
        memoryview(content)[head.length - head.stored :],
    )


def encode_table(table: BlobTable) -> bytes:
    """Return the raw bytes of a table, whose BLAKE3 is the blob's id."""
    head = _TABLE.pack(
        _TABLE_MAGIC,
        FORMAT_VERSION,
        bytes(3),
        table.nonce,
        table.session.raw,
        len(table.frame_offsets),
        len(table.chunk_lengths),
    )
    return b"".join(
        (
            head,
            column(table.frame_offsets, "<u4"),
            column(table.frame_stored, "<u4"),
            column(table.frame_raw, "<u4"),
            column(table.frame_codecs, "u1"),
            column(table.frame_params, "<u2"),
            column(table.frame_chunks, "<u2"),
            column(table.chunk_ids, "u1"),
            column(table.chunk_lengths, "<u4"),
        )
    )


def table_blob_id(raw: bytes) -> BlobId:
    """Return the id of the blob whose raw table this is."""
    return BlobId(blake3(raw).digest())


def compress_table(raw: bytes) -> bytes:
    """Return a table as it is stored."""
    return zstandard.ZstdCompressor(level=TABLE_LEVEL).compress(raw)


def encode_trailer(table_offset: int, stored: int, raw: int) -> bytes:
    """Return the 20 bytes that a blob ends with: where its table is, and how long."""
    crc = zlib.crc32(struct.pack("<III", table_offset, stored, raw))
    return _TRAILER.pack(table_offset, stored, raw, crc, _END_MAGIC)


def decode_trailer(content: Buffer, *, what: str) -> tuple[int, int, int]:
    """Return table offset, stored and raw length from the last 20 bytes of a blob.

    Raises:
        CorruptionError: `content` does not end in a trailer.
    """
    if len(content) < TRAILER_BYTES:
        raise malformed(what, f"{len(content)} bytes are no trailer")
    trailer = memoryview(content)[-TRAILER_BYTES:]
    offset, stored, raw, crc, magic = _TRAILER.unpack(trailer)
    if magic != _END_MAGIC or crc != zlib.crc32(trailer[:12]):
        raise malformed(what, "does not end as a blob does")
    return offset, stored, raw


def decode_tail(
    content: Buffer,
    blob_id: BlobId,
    *,
    blob_size: int,
    table_offset: int,
    kind: int = KIND_DATA,
) -> BlobTable:
    """Return the table of a blob, verified against its id.

    Args:
        content: the blob's bytes from `table_offset` to its end.
        blob_id: what the table must hash to.
        blob_size: bytes of the whole blob.
        table_offset: where the table begins.
        kind: of data blobs the raw bytes are limited too.

    Raises:
        CorruptionError: the content is not the tail of that blob, or its table breaks a rule.
        UnsupportedError: the table has a later format.
    """
    what = f"table of blob {blob_id.short}"
    if len(content) != blob_size - table_offset:
        raise malformed(what, f"{len(content)} bytes, not {blob_size - table_offset}")
    offset, stored, raw_size = decode_trailer(content, what=what)
    if offset != table_offset or stored != len(content) - TRAILER_BYTES:
        raise malformed(what, f"stands at {offset}, not at {table_offset}")
    packed = memoryview(content)[:stored]
    raw = decompress_exact(packed, raw_size, MAX_TABLE_BYTES, what)
    actual = table_blob_id(raw)
    if actual != blob_id:
        raise CorruptionError(
            f"{what}: its digest is {actual.short}",
            code=ErrorCode.DIGEST_MISMATCH,
            hint=REPAIR_HINT,
        )
    table = _parse_table(raw, what)
    _check_table(table, table_offset, kind, what)
    return table


def _parse_table(raw: bytes, what: str) -> BlobTable:
    if len(raw) < _TABLE.size:
        raise malformed(what, f"{len(raw)} bytes are no table")
    magic, version, zero, nonce, session, frames, chunks = _TABLE.unpack_from(raw)
    if magic != _TABLE_MAGIC:
        raise malformed(what, f"begins with {magic!r}, not {_TABLE_MAGIC!r}")
    if version != FORMAT_VERSION or any(zero):
        raise unsupported(what, f"table format {version}, this cas knows {FORMAT_VERSION}")
    if not 0 < frames <= chunks <= MAX_BLOB_CHUNKS:
        raise malformed(what, f"{frames} frames of {chunks} chunks")
    if len(raw) != _TABLE.size + _FRAME_ROW_BYTES * frames + CHUNK_BYTES * chunks:
        raise malformed(what, f"{len(raw)} bytes for {frames} frames of {chunks} chunks")
    at = _TABLE.size
    ids_at = at + _FRAME_ROW_BYTES * frames
    return BlobTable(
        nonce=nonce,
        session=SessionId(session[:SESSION_ID_BYTES]),
        frame_offsets=view_column(raw, np.uint32, frames, at),
        frame_stored=view_column(raw, np.uint32, frames, at + 4 * frames),
        frame_raw=view_column(raw, np.uint32, frames, at + 8 * frames),
        frame_codecs=view_column(raw, np.uint8, frames, at + 12 * frames),
        frame_params=view_column(raw, np.uint16, frames, at + 13 * frames),
        frame_chunks=view_column(raw, np.uint16, frames, at + 15 * frames),
        chunk_ids=view_column(raw, np.uint8, chunks * ID_BYTES, ids_at).reshape(-1, ID_BYTES),
        chunk_lengths=view_column(raw, np.uint32, chunks, ids_at + ID_BYTES * chunks),
    )


def _check_table(table: BlobTable, table_offset: int, kind: int, what: str) -> None:
    limit = MAX_FRAME_BYTES if kind == KIND_DATA else MAX_PAGE_BYTES
    if not table.frame_chunks.all() or int(table.first_chunks[-1]) != len(table.chunk_lengths):
        raise malformed(what, "its frames do not share out its chunks")
    for lengths in (table.frame_raw, table.frame_stored):
        if not lengths.all() or int(lengths.max()) > limit:
            raise malformed(what, f"a frame is empty or over {limit} bytes")
    is_raw = table.frame_codecs == CODEC_RAW
    if (table.frame_raw != table.frame_stored)[is_raw].any():
        raise malformed(what, "a raw frame does not store its raw bytes")
    if kind == KIND_DATA and int(table.frame_raw.sum(dtype=np.uint64)) > MAX_BLOB_RAW_BYTES:
        raise malformed(what, f"over {MAX_BLOB_RAW_BYTES} raw bytes")
    lengths = table.chunk_lengths.astype(np.int64)
    filled = np.add.reduceat(lengths, table.first_chunks[:-1])
    if not table.chunk_lengths.all() or (filled != table.frame_raw).any():
        raise malformed(what, "the chunks of a frame do not fill it")
    sizes = FRAME_HEAD_BYTES + CHUNK_BYTES * table.frame_chunks.astype(np.int64)
    ends = HEADER_BYTES + np.cumsum(sizes + table.frame_stored)
    offsets = table.frame_offsets.astype(np.int64)
    starts = np.concatenate(([HEADER_BYTES], ends[:-1]))
    if (offsets != starts).any() or int(ends[-1]) != table_offset:
        raise malformed(what, "its frames are not one after another")
