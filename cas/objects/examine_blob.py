"""Reading one blob to find out what of it is as it must be. Nothing is passed on.

A read that shows damage is done once more before it counts: memory, network and disks do err once.
Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.compression.codec import decode
from cas.errors import CorruptionError, ErrorCode, NotFoundError
from cas.format import keys
from cas.format.blob import (
    HEADER_BYTES,
    KIND_DATA,
    KIND_META,
    TRAILER_BYTES,
    BlobTable,
    decode_frame,
    decode_header,
    decode_tail,
    decode_trailer,
)
from cas.format.encoding import Buffer
from cas.format.verification import DamageState
from cas.model.ids import BlobId
from cas.objects.damage import BlobDamage

Int64s = NDArray[np.int64]

# A frame that is longer is read alone. Small enough for many reads at once in little memory.
READ_BYTES = 4 << 20
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class BlobTarget:
    """A blob as versions know it; `table_offset` is 0 where they do not say."""

    blob_id: bytes
    is_meta: bool
    size: int
    table_offset: int

    @property
    def id(self) -> BlobId:
        """The id as a value."""
        return BlobId(self.blob_id)

    @property
    def key(self) -> str:
        """The key of the blob."""
        return keys.meta_key(self.id) if self.is_meta else keys.blob_key(self.id)

    @property
    def kind(self) -> int:
        """The kind, as headers have it."""
        return KIND_META if self.is_meta else KIND_DATA


def read_table(backend: Backend, target: BlobTarget) -> BlobTable:
    """Return a blob's table, verified against its id; the blob must have just its size.

    Raises:
        CorruptionError: the blob is missing (MISSING_OBJECT), has another size, or its table is not
            what the id vouches for.
        BackendError: the storage failed.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _read_table(backend, target)
        except CorruptionError:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _read_table(backend: Backend, target: BlobTarget) -> BlobTable:
    start = target.table_offset or max(0, target.size - TRAILER_BYTES)
    # One byte more than there must be: a blob that is too long is not the one that was written.
    tail = _get(backend, target, start, target.size + 1)
    if len(tail) != target.size - start:
        raise CorruptionError(
            f"{target.key} does not have the {target.size} bytes that pages say",
            code=ErrorCode.MALFORMED_OBJECT,
        )
    offset = target.table_offset
    if not offset:
        offset, _, _ = decode_trailer(tail, what=target.key)
        if not HEADER_BYTES < offset < start:
            raise CorruptionError(
                f"{target.key}: its table cannot begin at {offset}", code=ErrorCode.MALFORMED_OBJECT
            )
        tail = _get(backend, target, offset, target.size)
    return decode_tail(
        tail, target.id, blob_size=target.size, table_offset=offset, kind=target.kind
    )


def _get(backend: Backend, target: BlobTarget, start: int, stop: int) -> bytes:
    try:
        return backend.get(target.key, start, stop)
    except NotFoundError as error:
        raise CorruptionError(f"{target.key} is missing", code=ErrorCode.MISSING_OBJECT) from error


def examine_blob(backend: Backend, target: BlobTarget) -> BlobDamage | None:
    """Read every byte of a blob; return what is wrong with it, or None.

    Raises:
        UnsupportedError: it has what only a later cas can read.
        BackendError: the storage failed.
    """
    try:
        table = read_table(backend, target)
    except CorruptionError as error:
        state = DamageState.TABLE
        if error.code is ErrorCode.MISSING_OBJECT:
            state = DamageState.MISSING
        return BlobDamage(target.blob_id, target.is_meta, state)
    damaged: list[Int64s] = []
    heads_fit = True
    for group in _groups(table):
        rows, fit = _examine_group(backend, target, table, group)
        if len(rows) or not fit:
            again, fit = _examine_group(backend, target, table, group)
            rows = np.intersect1d(rows, again)
        damaged.append(rows)
        heads_fit = heads_fit and fit
    chunks = np.concatenate([np.zeros(0, np.int64), *damaged])
    if len(chunks):
        return BlobDamage(target.blob_id, target.is_meta, DamageState.CHUNKS, chunks)
    if not heads_fit:
        return BlobDamage(target.blob_id, target.is_meta, DamageState.HEADS)
    return None


def _groups(table: BlobTable) -> list[range]:
    """Frames that are read together; all of them."""
    groups: list[range] = []
    start = 0
    offsets = table.frame_offsets.tolist()
    for frame in range(1, len(offsets) + 1):
        if frame == len(offsets) or table.frame_stop(frame) - offsets[start] > READ_BYTES:
            groups.append(range(start, frame))
            start = frame
    return groups


def _examine_group(
    backend: Backend, target: BlobTarget, table: BlobTable, frames: range
) -> tuple[Int64s, bool]:
    """Return the rows of damaged chunks of some frames, and whether header and heads fit."""
    start = 0 if frames.start == 0 else int(table.frame_offsets[frames.start])
    try:
        content = memoryview(_get(backend, target, start, table.frame_stop(frames[-1])))
    except CorruptionError:
        content = memoryview(b"")
    fit = start > 0 or _header_fits(content, target, table)
    damaged: list[Int64s] = [np.zeros(0, np.int64)]
    for frame in frames:
        a = int(table.frame_offsets[frame]) - start
        rows, head_fits = damaged_chunks(table, frame, content[a : table.frame_stop(frame) - start])
        damaged.append(rows)
        fit = fit and head_fits
    return np.concatenate(damaged), fit


def _header_fits(content: Buffer, target: BlobTarget, table: BlobTable) -> bool:
    try:
        header = decode_header(content, what=target.key)
    except CorruptionError:
        return False
    return (header.kind, header.nonce, header.session) == (target.kind, table.nonce, table.session)


def damaged_chunks(table: BlobTable, frame: int, content: Buffer) -> tuple[Int64s, bool]:
    """Return which rows of a frame's chunks are not what the table says, and whether its head is.

    Args:
        content: the bytes of the frame, as far as they are there.
    """
    rows = np.arange(table.first_chunks[frame], table.first_chunks[frame + 1])
    what = f"frame {frame}"
    try:
        head = decode_frame(content, what=what)
        if (head.codec, head.param, head.raw_length, len(head.payload)) != (
            table.frame_codecs[frame],
            table.frame_params[frame],
            table.frame_raw[frame],
            table.frame_stored[frame],
        ):
            return rows, False
        raw = memoryview(decode(head.payload, head.codec, head.param, head.raw_length))
    except CorruptionError:
        return rows, True
    starts, lengths = table.chunk_starts, table.chunk_lengths
    damaged = [
        row
        for row in rows.tolist()
        if blake3(raw[int(starts[row]) : int(starts[row]) + int(lengths[row])]).digest()
        != table.chunk_ids[row].tobytes()
    ]
    fits = np.array_equal(head.chunk_ids, table.chunk_ids[rows]) and np.array_equal(
        head.chunk_lengths, lengths[rows]
    )
    return np.array(damaged, np.int64), fits
