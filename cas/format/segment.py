"""Index segments: which blob may hold a chunk. Hints; a blob's table decides.

    segment := "CASX" | head length u32 | head (record) | blob ids | blob sizes u32
             | table offsets u32 | block+
    block   := key u64 x m | value u32 x m        m = 4096, fewer in the last

Entries are sorted by key, the head of the chunk id, so any prefix of a segment is a sample: the
first 1/2^k of the entries are those whose ids begin with k zero bits. Spec: specs/format/08-index.md
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.errors import InvalidInputError
from cas.format.encoding import (
    ID_BYTES,
    MAX_RECORD_BYTES,
    Buffer,
    column,
    malformed,
    pack_record,
    unpack_record,
    view_column,
)
from cas.format.fields import FieldReader
from cas.model.ids import SessionId

SEGMENT_MAGIC = b"CASX"
HEAD_MAGIC = b"CASH"
BLOCK_ENTRIES = 4096
ENTRY_BYTES = 12
BLOB_ROW_BYTES = ID_BYTES + 4 + 4
# Reading this much first always reaches past the head, so `segment_prefix_bytes` can answer.
FIRST_READ_BYTES = 8 + MAX_RECORD_BYTES

_START = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Segment:
    """Entries of the index, n of them, for chunks of b blobs.

    Attributes:
        stamp: all these blobs survived every run of collection up to this one.
        session: who wrote it.
        supersedes: keys of segments whose entries all stand here.
        blob_ids: uint8[b, 32].
        blob_sizes: uint32[b].
        table_offsets: uint32[b].
        keys: uint64[n], not decreasing; the first 8 bytes of each chunk id, big-endian.
        values: uint32[n], row in the table of blobs.
    """

    stamp: int
    session: SessionId
    supersedes: tuple[str, ...]
    blob_ids: NDArray[np.uint8]
    blob_sizes: NDArray[np.uint32]
    table_offsets: NDArray[np.uint32]
    keys: NDArray[np.uint64]
    values: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Head:
    stamp: int
    session: SessionId
    supersedes: tuple[str, ...]
    blobs: int
    entries: int
    blobs_at: int

    @property
    def entries_at(self) -> int:
        return self.blobs_at + BLOB_ROW_BYTES * self.blobs


def chunk_keys(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the keys of chunk ids of shape (n, 32); they are ordered as the ids are."""
    heads = np.ascontiguousarray(ids[:, :8])
    return heads.view(">u8").reshape(-1).astype(np.uint64)


def encode_segment(segment: Segment) -> bytes:
    """Return the bytes of a segment; its keys must be sorted.

    Raises:
        InvalidInputError: it supersedes more segments than its head can name.
    """
    head = pack_record(
        HEAD_MAGIC,
        {
            "stamp": segment.stamp,
            "session": segment.session.raw,
            "supersedes": list(segment.supersedes),
            "n_blobs": len(segment.blob_ids),
            "n_entries": len(segment.keys),
        },
    )
    if len(head) > MAX_RECORD_BYTES:
        raise InvalidInputError(f"a segment cannot supersede {len(segment.supersedes)} others")
    # A buffer and not a list of parts, since a merged segment may have 200 MB.
    content = io.BytesIO()
    content.write(_START.pack(SEGMENT_MAGIC, len(head)))
    content.write(head)
    content.write(column(segment.blob_ids, "u1"))
    content.write(column(segment.blob_sizes, "<u4"))
    content.write(column(segment.table_offsets, "<u4"))
    for start in range(0, len(segment.keys), BLOCK_ENTRIES):
        block = slice(start, start + BLOCK_ENTRIES)
        content.write(column(segment.keys[block], "<u8"))
        content.write(column(segment.values[block], "<u4"))
    return content.getvalue()


def decode_segment(content: Buffer, *, what: str, partial: bool = False) -> Segment:
    """Return the segment that `content` holds, or begins.

    Args:
        content: the whole object, or any prefix of it that has the head when `partial`.
        what: names the object in errors.
        partial: take the whole blocks that are there. None are, if the table of blobs is cut off.

    Raises:
        CorruptionError: it is damaged, or shorter than it says and not `partial`.
        UnsupportedError: a later cas wrote it.
    """
    head = _read_head(content, what)
    whole = head.entries_at + ENTRY_BYTES * head.entries
    if len(content) > whole or (len(content) < whole and not partial):
        raise malformed(what, f"{len(content)} bytes, not {whole}")
    blobs, at = head.blobs, head.blobs_at
    if len(content) < head.entries_at:
        blobs = 0
    # Copies, as all else is: a view of the table would keep all of a big segment in memory.
    ids = view_column(content, np.uint8, blobs * ID_BYTES, at).reshape(-1, ID_BYTES).copy()
    sizes = view_column(content, np.uint32, blobs, at + ID_BYTES * blobs).copy()
    offsets = view_column(content, np.uint32, blobs, at + (ID_BYTES + 4) * blobs).copy()
    keys, values = _read_blocks(content, head)
    if (keys[1:] < keys[:-1]).any():
        raise malformed(what, "its entries are not in order")
    if (values >= blobs).any() or (offsets >= sizes).any():
        raise malformed(what, "its table of blobs does not fit")
    return Segment(
        stamp=head.stamp,
        session=head.session,
        supersedes=head.supersedes,
        blob_ids=ids,
        blob_sizes=sizes,
        table_offsets=offsets,
        keys=keys,
        values=values,
    )


def segment_prefix_bytes(content: Buffer, shift: int, *, what: str) -> int:
    """Return how many bytes of a segment hold 1 in 2^`shift` of its entries, in whole blocks.

    Args:
        content: its first `FIRST_READ_BYTES` or more, or all of it.
        shift: 0 for all entries.
        what: names the object in errors.

    Raises:
        CorruptionError: that is no head of a segment.
    """
    head = _read_head(content, what)
    wanted = -(-head.entries // (1 << min(shift, 63)))
    blocks = -(-wanted // BLOCK_ENTRIES)
    return head.entries_at + ENTRY_BYTES * min(blocks * BLOCK_ENTRIES, head.entries)


def _read_head(content: Buffer, what: str) -> _Head:
    if len(content) < _START.size:
        raise malformed(what, f"{len(content)} bytes are no segment")
    magic, length = _START.unpack_from(content)
    if magic != SEGMENT_MAGIC:
        raise malformed(what, f"begins with {magic!r}, not {SEGMENT_MAGIC!r}")
    if length > min(MAX_RECORD_BYTES, len(content) - _START.size):
        raise malformed(what, f"its head of {length} bytes is cut off or too long")
    stop = _START.size + length
    packed = memoryview(content)[_START.size : stop]
    record = unpack_record(HEAD_MAGIC, packed, what=what, limit=MAX_RECORD_BYTES)
    fields = FieldReader(record, what)
    head = _Head(
        stamp=fields.integer("stamp"),
        session=fields.session(),
        supersedes=fields.texts("supersedes"),
        blobs=fields.integer("n_blobs", high=0xFFFFFFFF),
        entries=fields.integer("n_entries", high=1 << 40),
        blobs_at=stop,
    )
    fields.rest()
    return head


def _read_blocks(content: Buffer, head: _Head) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the entries of the whole blocks that are there."""
    have = min(max(len(content) - head.entries_at, 0) // ENTRY_BYTES, head.entries)
    full, rest = divmod(have, BLOCK_ENTRIES)
    if have < head.entries:
        have, rest = have - rest, 0
    at = head.entries_at if full or rest else 0
    block_bytes = ENTRY_BYTES * BLOCK_ENTRIES
    blocks = np.frombuffer(content, np.uint8, full * block_bytes, at).reshape(full, block_bytes)
    tail = at + full * block_bytes
    split = 8 * BLOCK_ENTRIES
    keys, values = np.empty(have, np.uint64), np.empty(have, np.uint32)
    stop = full * BLOCK_ENTRIES
    keys[:stop].reshape(full, BLOCK_ENTRIES)[:] = blocks[:, :split].view("<u8")
    values[:stop].reshape(full, BLOCK_ENTRIES)[:] = blocks[:, split:].view("<u4")
    if rest:
        keys[stop:] = view_column(content, np.uint64, rest, tail)
        values[stop:] = view_column(content, np.uint32, rest, tail + 8 * rest)
    return keys, values
