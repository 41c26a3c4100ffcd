"""The frames of the source that hold what a target lacks: which ranges bring them, and whether what
came is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.format.blob import BlobTable
from cas.objects.blobs import EncodedFrame, decode_data_frame
from cas.transfer.plan import Read, distinct, plan_reads, runs_of
from cas.transfer.target_lookup import Found

Int64s = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class WantedFrame:
    """What is wanted of a frame of the source, and once it was read its raw bytes, or, if all of it
    goes as it is, its payload; and then where that lies in the target.
    """

    chunks: Int64s
    is_whole: bool
    row: int
    content: bytes = b""
    place: tuple[int, int] | None = None


@dataclass(slots=True, eq=False)
class FrameReads:
    """The reads for a batch, and what is wanted of the frames in them.

    Attributes:
        frames: by row of the blob in the batch, and number in the blob.
        reads: with the row of the blob.
        size: bytes that they hold in memory at most.
    """

    found: Found
    frames: dict[tuple[int, int], WantedFrame] = field(default_factory=dict)
    reads: list[tuple[int, Read]] = field(default_factory=list)
    size: int = 0


class FrameCheck:
    """Verifies the frames of one read, and keeps what is wanted of them.

    Attributes:
        at: row of the chunk list at which it is, for whoever tells what is wrong.
        fetched: bytes that came.
    """

    def __init__(self, wanted: FrameReads, blob: int, read: Read) -> None:
        batch = wanted.found.batch
        self._ref, self._table = batch.refs[blob], batch.tables[blob]
        self._start = read.start
        self._frames = [
            (number, frame)
            for number in range(read.first_frame, read.stop_frame)
            if (frame := wanted.frames.get((blob, number))) is not None
        ]
        self.at = self._frames[0][1].row
        self.fetched = 0

    def __call__(self, content: bytes) -> None:
        """Verify what was read.

        Raises:
            CorruptionError: it is not what the table says.
        """
        view, table = memoryview(content), self._table
        self.fetched += len(content)
        for number, frame in self._frames:
            self.at = frame.row
            start = int(table.frame_offsets[number]) - self._start
            stored = int(table.frame_stored[number])
            stop = table.frame_stop(number) - self._start
            raw = decode_data_frame(
                self._ref.blob_id, table, number, view[start:stop], frame.chunks
            )
            # A copy, lest a part of a frame keeps all that was read in memory.
            frame.content = bytes(view[stop - stored : stop] if frame.is_whole else raw)


def plan_frame_reads(found: Found, frame_bytes: int) -> FrameReads:
    """Decide which ranges of which blobs bring what is missing.

    Args:
        frame_bytes: how long frames of the target are.
    """
    wanted = FrameReads(found)
    batch = found.batch
    blobs, chunks = batch.blobs[found.missing], batch.chunks[found.missing]
    for blob in distinct(blobs).tolist():
        table = batch.tables[blob]
        rows = found.missing[blobs == blob]
        picked = chunks[blobs == blob]
        order = np.argsort(picked)
        rows, picked = rows[order], picked[order]
        reads = plan_reads(table, runs_of(picked))
        wanted.reads += [(blob, read) for read in reads]
        wanted.size += sum(read.stop - read.start for read in reads)
        frames = table.chunk_frames[picked]
        starts = np.flatnonzero(np.diff(frames, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
            frame = int(frames[start])
            wanted.size += int(table.frame_raw[frame])
            wanted.frames[blob, frame] = WantedFrame(
                chunks=picked[start:stop],
                is_whole=_goes_whole(table, frame, stop - start, frame_bytes),
                row=int(rows[start]),
            )
    return wanted


def encoded_frame(table: BlobTable, number: int, payload: bytes) -> EncodedFrame:
    """Return a frame of the source as one that a writer takes."""
    first, stop = table.first_chunks[number : number + 2].tolist()
    return EncodedFrame(
        codec=int(table.frame_codecs[number]),
        param=int(table.frame_params[number]),
        payload=payload,
        raw_length=int(table.frame_raw[number]),
        chunk_ids=table.chunk_ids[first:stop].tobytes(),
        chunk_lengths=table.chunk_lengths[first:stop].tolist(),
    )


def _goes_whole(table: BlobTable, frame: int, wanted: int, frame_bytes: int) -> bool:
    """Tell whether a frame is copied as it is: all of it is missing, and its length is one that
    the target would make.
    """
    raw = int(table.frame_raw[frame])
    if wanted != int(table.frame_chunks[frame]):
        return False
    return frame_bytes // 2 <= raw <= frame_bytes or (wanted == 1 and raw > frame_bytes)
