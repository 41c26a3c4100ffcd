"""Several small stored files as bytes, with few reads: those that lie together come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from cas.errors import CorruptionError, ErrorCode
from cas.format.blob import BlobTable
from cas.model.entry import path_to_text
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import TableReader
from cas.transfer.decoding import decode_read
from cas.transfer.kept_chunks import KeptRows, split_kept
from cas.transfer.plan import Placement, Read, ReadLimits, plan_reads
from cas.transfer.reading import FileContent

if TYPE_CHECKING:
    from cas.chunk_cache.cache import ChunkCache


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
        wanted = _take_kept(tables.chunks, table, wanted, buffers)
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
        lambda content: decode_read(ref.blob_id, table, read, memoryview(content)),
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


def _take_kept(
    chunks: ChunkCache | None,
    table: BlobTable,
    placements: list[Placement],
    buffers: list[bytearray],
) -> list[Placement]:
    """Copy what is cached on this machine to where the files have it; return what is not."""
    if chunks is None:
        return placements
    kept, missing = split_kept(chunks, table, placements)
    rows = KeptRows(chunks, table)
    for one in kept:
        buffer = buffers[one.file]

        def write(chunk: memoryview, offset: int, buffer: bytearray = buffer) -> None:
            buffer[offset : offset + len(chunk)] = chunk

        missing += rows.write(one, write)
    return missing
