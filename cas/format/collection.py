"""Records of collections: candidates, what was cleared, and that a run is done or expired.

    set := magic | head length u32 | head (record) | id 32 B x n, sorted

The head has the first id and the checksum of every block of 4096 ids, so a reader that has few
blobs to check fetches the head and a block for each. Spec: specs/format/10-collection.md
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.errors import ErrorCode, InvalidInputError
from cas.format.encoding import (
    ID_BYTES,
    MAX_RECORD_BYTES,
    Buffer,
    column,
    is_increasing,
    malformed,
    pack_record,
    sortable_ids,
    unpack_record,
    view_ids,
)
from cas.format.fields import FieldReader
from cas.model.ids import SessionId

CONDEMN_MAGIC = b"CASC"
VERDICT_MAGIC = b"CASD"
DONE_MAGIC = b"CASN"
FLOOR_MAGIC = b"CASF"
BLOCK_IDS = 4096
# 2^20 blobs are 64 TiB, and 32 MiB of ids. A run may take any part of what could be collected.
MAX_SET_IDS = 1 << 20
# Reading this much first always reaches past the head.
FIRST_READ_BYTES = 8 + MAX_RECORD_BYTES

_START = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True, eq=False)
class CondemnRecord:
    """The candidates of a run: blobs that it will delete unless they are cleared.

    Attributes:
        collector: a mark of who opened the run.
        blob_ids: uint8[n, 32], strictly increasing.
    """

    run: int
    collector: SessionId
    blob_ids: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class VerdictRecord:
    """What a run clears: some of its candidates, or all of them (the run is abandoned).

    Attributes:
        cleared: uint8[n, 32], strictly increasing; empty when `all`.
    """

    run: int
    cleared: NDArray[np.uint8]
    all: bool


@dataclass(frozen=True, slots=True, eq=False)
class SetHead:
    """The head of a condemn or verdict record.

    Attributes:
        block_firsts: uint8[b, 32], the first id of each block.
        block_checksums: uint32[b].
        ids_offset: where the first id stands.
    """

    run: int
    collector: SessionId | None
    all: bool
    count: int
    block_firsts: NDArray[np.uint8]
    block_checksums: NDArray[np.uint32]
    ids_offset: int


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Block `row` of a record: bytes `start` to `stop`."""

    row: int
    start: int
    stop: int


def encode_condemn(record: CondemnRecord) -> bytes:
    """Return the bytes of a condemn record.

    Raises:
        InvalidInputError: it has more than 2^20 ids.
    """
    fields = {"run": record.run, "collector": record.collector.raw}
    return _encode_set(CONDEMN_MAGIC, fields, record.blob_ids)


def decode_condemn(content: Buffer, *, what: str) -> CondemnRecord:
    """Return the condemn record that `content` holds.

    Raises:
        CorruptionError: it is damaged or cut off.
        UnsupportedError: a later cas wrote it.
    """
    head = _decode_head(CONDEMN_MAGIC, content, what)
    assert head.collector is not None  # the head of a condemn record always has one
    return CondemnRecord(head.run, head.collector, _decode_ids(head, content, what))


def encode_verdict(record: VerdictRecord) -> bytes:
    """Return the bytes of a verdict.

    Raises:
        InvalidInputError: it has more than 2^20 ids.
    """
    fields = {"run": record.run, "all": record.all}
    return _encode_set(VERDICT_MAGIC, fields, record.cleared)


def decode_verdict(content: Buffer, *, what: str) -> VerdictRecord:
    """Return the verdict that `content` holds. Raises as `decode_condemn` does."""
    head = _decode_head(VERDICT_MAGIC, content, what)
    if head.all and head.count:
        raise malformed(what, "clears all and lists what it clears")
    return VerdictRecord(head.run, _decode_ids(head, content, what), head.all)


def condemn_head(content: Buffer, *, what: str) -> SetHead:
    """Return the head of a condemn record from its first `FIRST_READ_BYTES`, or all of it.

    Raises as `decode_condemn` does.
    """
    return _decode_head(CONDEMN_MAGIC, content, what)


def verdict_head(content: Buffer, *, what: str) -> SetHead:
    """Return the head of a verdict from its first `FIRST_READ_BYTES`, or all of it.

    Raises as `decode_condemn` does.
    """
    return _decode_head(VERDICT_MAGIC, content, what)


def block_ranges(head: SetHead, ids: NDArray[np.uint8]) -> list[BlockRange]:
    """Return the blocks that hold those of `ids`, shape (m, 32), which are in the record."""
    if head.count == 0 or len(ids) == 0:
        return []
    firsts = sortable_ids(head.block_firsts)
    rows = np.searchsorted(firsts, sortable_ids(ids), "right") - 1
    return [_block(head, row) for row in np.unique(rows[rows >= 0]).tolist()]


def decode_block(
    head: SetHead, block: BlockRange, content: Buffer, *, what: str
) -> NDArray[np.uint8]:
    """Return the ids of a block, uint8[m, 32], from exactly its bytes.

    Raises:
        CorruptionError: they are not what the head says.
    """
    if len(content) != block.stop - block.start:
        raise malformed(what, f"block {block.row} has {len(content)} bytes")
    if zlib.crc32(content) != int(head.block_checksums[block.row]):
        raise malformed(what, f"the checksum of block {block.row} does not fit")
    ids = view_ids(content)
    if not is_increasing(sortable_ids(ids)) or (ids[0] != head.block_firsts[block.row]).any():
        raise malformed(what, f"block {block.row} is not sorted")
    return ids


def condemned_rows(
    record: CondemnRecord | VerdictRecord, ids: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Tell which of `ids`, shape (m, 32), a record lists; of a verdict, which it clears."""
    if isinstance(record, VerdictRecord):
        if record.all:
            return np.ones(len(ids), np.bool_)
        listed = record.cleared
    else:
        listed = record.blob_ids
    return listed_rows(listed, ids)


def listed_rows(listed: NDArray[np.uint8], ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which of `ids`, shape (m, 32), are among `listed`, which is sorted."""
    if len(listed) == 0 or len(ids) == 0:
        return np.zeros(len(ids), np.bool_)
    known, wanted = sortable_ids(listed), sortable_ids(ids)
    at = np.searchsorted(known, wanted)
    at[at == len(known)] = 0
    found: NDArray[np.bool_] = known[at] == wanted
    return found


def encode_done(run: int) -> bytes:
    """Return the bytes that say that all dead blobs of a run are deleted."""
    return pack_record(DONE_MAGIC, {"run": run})


def decode_done(content: Buffer, *, what: str) -> int:
    """Return the run that is done. Raises as `decode_condemn` does."""
    return _decode_mark(DONE_MAGIC, content, what)


def encode_floor(run: int) -> bytes:
    """Return the bytes that say that the records of all runs up to this one have expired."""
    return pack_record(FLOOR_MAGIC, {"run": run})


def decode_floor(content: Buffer, *, what: str) -> int:
    """Return the highest run whose records have expired. Raises as `decode_condemn` does."""
    return _decode_mark(FLOOR_MAGIC, content, what)


def _decode_mark(magic: bytes, content: Buffer, what: str) -> int:
    record = unpack_record(magic, content, what=what, limit=MAX_RECORD_BYTES)
    fields = FieldReader(record, what)
    run = fields.integer("run")
    fields.rest()
    return run


def _encode_set(magic: bytes, fields: dict[str, Any], ids: NDArray[np.uint8]) -> bytes:
    if len(ids) > MAX_SET_IDS:
        raise InvalidInputError(
            f"a run cannot list {len(ids)} blobs, only {MAX_SET_IDS}",
            code=ErrorCode.INVALID_OPTION,
            hint="let the next run take the rest",
        )
    packed = column(ids, "u1")
    size = BLOCK_IDS * ID_BYTES
    blocks = [packed[start : start + size] for start in range(0, len(packed), size)]
    head = pack_record(
        magic,
        {
            **fields,
            "count": len(ids),
            "block_firsts": b"".join(block[:ID_BYTES] for block in blocks),
            "block_checksums": column(np.array([zlib.crc32(b) for b in blocks]), "<u4"),
        },
    )
    return _START.pack(magic, len(head)) + head + packed


def _decode_head(magic: bytes, content: Buffer, what: str) -> SetHead:
    if len(content) < _START.size:
        raise malformed(what, f"{len(content)} bytes are no record")
    found, length = _START.unpack_from(content)
    if found != magic:
        raise malformed(what, f"begins with {found!r}, not {magic!r}")
    if length > min(MAX_RECORD_BYTES, len(content) - _START.size):
        raise malformed(what, f"its head of {length} bytes is cut off or too long")
    stop = _START.size + length
    packed = memoryview(content)[_START.size : stop]
    fields = FieldReader(unpack_record(magic, packed, what=what, limit=MAX_RECORD_BYTES), what)
    count = fields.integer("count", high=MAX_SET_IDS)
    blocks = -(-count // BLOCK_IDS)
    is_condemn = magic == CONDEMN_MAGIC
    head = SetHead(
        run=fields.integer("run"),
        collector=fields.session("collector") if is_condemn else None,
        all=False if is_condemn else fields.boolean("all"),
        count=count,
        block_firsts=fields.ids("block_firsts", blocks),
        block_checksums=fields.column("block_checksums", np.uint32, blocks),
        ids_offset=stop,
    )
    fields.rest()
    if not is_increasing(sortable_ids(head.block_firsts)):
        raise malformed(what, "its blocks are not in order")
    return head


def _decode_ids(head: SetHead, content: Buffer, what: str) -> NDArray[np.uint8]:
    if len(content) != head.ids_offset + ID_BYTES * head.count:
        raise malformed(what, f"{len(content)} bytes for {head.count} ids")
    view = memoryview(content)
    for block in _blocks(head):
        decode_block(head, block, view[block.start : block.stop], what=what)
    ids = view_ids(view[head.ids_offset :])
    if not is_increasing(sortable_ids(ids)):
        raise malformed(what, "its ids are not sorted")
    return ids


def _blocks(head: SetHead) -> Iterator[BlockRange]:
    return (_block(head, row) for row in range(len(head.block_checksums)))


def _block(head: SetHead, row: int) -> BlockRange:
    start = row * BLOCK_IDS
    stop = min(start + BLOCK_IDS, head.count)
    return BlockRange(row, head.ids_offset + ID_BYTES * start, head.ids_offset + ID_BYTES * stop)
