"""From what a read brought to the bytes of files: frames are decoded, verified, and written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cas.compression.codec import decode
from cas.format.blob import BlobTable, decode_frame
from cas.objects.blobs import decode_data_frame
from cas.transfer.plan import Int64s, Placement, Read, distinct, part_of
from cas.transfer.target import PendingFile


def rows_of(read: Read) -> Int64s:
    """Return the rows of the chunks that a read is for, in order, each once."""
    spans = {(placement.first, placement.stop) for placement in read.placements}
    return distinct(np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans]))


def decode_read(
    blob_id: bytes, table: BlobTable, read: Read, content: memoryview
) -> dict[int, memoryview]:
    """Return the raw bytes of the frames of a read that hold wanted chunks, all verified."""
    chunks = rows_of(read)
    frames = table.chunk_frames[chunks]
    raws: dict[int, memoryview] = {}
    for frame in distinct(frames).tolist():
        start = int(table.frame_offsets[frame]) - read.start
        stop = (
            int(table.frame_offsets[frame + 1]) - read.start
            if frame + 1 < read.stop_frame
            else len(content)
        )
        raw = decode_data_frame(blob_id, table, frame, content[start:stop], chunks[frames == frame])
        raws[frame] = memoryview(raw)
    return raws


def decode_whole_chunks(
    table: BlobTable, read: Read, content: memoryview
) -> tuple[Read, list[Placement], dict[int, memoryview]]:
    """Tell the chunks of a read that are whole from those that are not, and decode the former."""
    from cas.objects.examine_blob import damaged_chunks  # 6 ms; only damage needs it

    raws: dict[int, memoryview] = {}
    damaged = np.zeros(len(table.chunk_lengths) + 1, np.bool_)
    for frame in range(read.first_frame, read.stop_frame):
        start = int(table.frame_offsets[frame]) - read.start
        piece = content[start : table.frame_stop(frame) - read.start]
        rows, _ = damaged_chunks(table, frame, piece)
        damaged[rows] = True
        if len(rows) < int(table.frame_chunks[frame]):
            head = decode_frame(piece, what=f"frame {frame}")
            raws[frame] = memoryview(decode(head.payload, head.codec, head.param, head.raw_length))
    starts = np.zeros(len(table.chunk_lengths) + 1, np.int64)
    np.cumsum(table.chunk_lengths, out=starts[1:])
    whole: list[Placement] = []
    lost: list[Placement] = []
    for placement in read.placements:
        first = placement.first
        for row in range(placement.first + 1, placement.stop + 1):
            if row == placement.stop or damaged[row] != damaged[first]:
                part = part_of(placement, first, row, starts)
                (lost if damaged[first] else whole).append(part)
                first = row
    return replace(read, placements=tuple(whole)), lost, raws


def write_chunks(
    pending: PendingFile,
    placement: Placement,
    table: BlobTable,
    raws: dict[int, memoryview],
) -> int:
    """Write the chunks of a placement, frame by frame; return how many bytes that were."""
    offset = placement.offset
    row = placement.first
    while row < placement.stop:
        frame = int(table.chunk_frames[row])
        last = min(placement.stop, int(table.first_chunks[frame + 1])) - 1
        start = int(table.chunk_starts[row])
        stop = int(table.chunk_starts[last]) + int(table.chunk_lengths[last])
        pending.write_at(raws[frame][start:stop], offset)
        offset += stop - start
        row = last + 1
    return offset - placement.offset
