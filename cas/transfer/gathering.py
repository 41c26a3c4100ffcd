"""Several small stored files as bytes, with few reads: those that lie together come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.model.entry import path_to_text
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader, decode_data_frame
from cas.transfer.plan import Placement, Read, ReadLimits, distinct, plan_reads
from cas.transfer.reading import FileContent


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a version: where it goes, what it must be, and where its bytes lie."""

    path: bytes
    hash: bytes
    content: FileContent


def gather_files(
    tables: TableReader, limits: ReadLimits, files: Sequence[StoredFile]
) -> list[bytearray]:
    """Return the bytes of each file, every chunk and every whole file verified.

    Raises:
        CorruptionError: the store has other bytes than it must, or none.
        BackendError: the storage failed.
    """
    buffers = [bytearray(file.content.inline or file.content.size) for file in files]
    placements: dict[BlobRef, list[Placement]] = {}
    for number, file in enumerate(files):
        offset = 0
        for ref, first, chunks, length in file.content.extents:
            if ref is not None:
                place = Placement(number, offset, first, first + chunks, length)
                placements.setdefault(ref, []).append(place)
            offset += length
    for ref, wanted in placements.items():
        table = tables.open(ref)
        check_placements(ref, table, wanted)
        for read in plan_reads(table, wanted, limits):
            _fetch(tables, ref, table, read, buffers)
    for file, buffer in zip(files, buffers, strict=True):
        if blake3(buffer).digest() != file.hash:
            raise CorruptionError(
                f"{path_to_text(file.path)}: the store has other bytes than its hash says",
                code=ErrorCode.DIGEST_MISMATCH,
            )
    return buffers


def check_placements(ref: BlobRef, table: BlobTable, placements: Sequence[Placement]) -> None:
    """A page speaks of chunks that the blob must have, of the lengths it must have."""
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(table.chunk_lengths, dtype=np.int64)])
    for one in placements:
        has_chunks = one.stop <= len(table.chunk_lengths)
        if not has_chunks or starts[one.stop] - starts[one.first] != one.length:
            raise CorruptionError(
                f"a page and blob {ref.blob_id.hex()[:12]} disagree",
                code=ErrorCode.MALFORMED_OBJECT,
            )


def _fetch(
    tables: TableReader, ref: BlobRef, table: BlobTable, read: Read, buffers: list[bytearray]
) -> None:
    """Get one range of a blob, and copy its chunks to where the files have them."""
    raws = tables.read_checked(
        ref,
        read.start,
        read.stop,
        lambda content: decode_read(ref, table, read, memoryview(content)),
    )
    for one in read.placements:
        offset, row = one.offset, one.first
        while row < one.stop:
            frame = int(table.chunk_frames[row])
            last = min(one.stop, int(table.first_chunks[frame + 1])) - 1
            start = int(table.chunk_starts[row])
            stop = int(table.chunk_starts[last]) + int(table.chunk_lengths[last])
            buffers[one.file][offset : offset + stop - start] = raws[frame][start:stop]
            offset += stop - start
            row = last + 1


def decode_read(
    ref: BlobRef, table: BlobTable, read: Read, content: memoryview
) -> dict[int, memoryview]:
    """Return the raw bytes of the frames of a read that hold wanted chunks, all verified."""
    spans = [np.arange(p.first, p.stop, dtype=np.int64) for p in read.placements]
    chunks = distinct(np.concatenate(spans))
    frames = table.chunk_frames[chunks]
    raws: dict[int, memoryview] = {}
    for frame in distinct(frames).tolist():
        start = int(table.frame_offsets[frame]) - read.start
        is_last = frame + 1 == read.stop_frame
        stop = len(content) if is_last else int(table.frame_offsets[frame + 1]) - read.start
        wanted = chunks[frames == frame]
        raw = decode_data_frame(ref.blob_id, table, frame, content[start:stop], wanted)
        raws[frame] = memoryview(raw)
    return raws
