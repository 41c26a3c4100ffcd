"""Frames that are encoded already, packed into blobs among chunks, in the order they come in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from blake3 import blake3

from cas.backend.memory import MemoryBackend
from cas.compression.codec import Codec, encode
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobList
from cas.objects.blobs import EncodedFrame, TableReader, decode_data_frame, read_range
from cas.testing.corpora import random_content, text_content
from cas.transfer.budget import MemoryBudget
from cas.transfer.packing import BlobWriter

FRAME_BYTES = 4096
BUDGET_BYTES = 300_000


class Packing:
    """A writer on a backend in memory."""

    def __init__(self):
        self.backend = MemoryBackend()
        self.blobs = BlobList()
        self.budget = MemoryBudget(BUDGET_BYTES)
        self.pool = ThreadPoolExecutor(2)
        self.writer = BlobWriter(
            self.backend,
            SessionId(b"s" * 16),
            self.blobs,
            self.pool,
            self.budget,
            frame_bytes=FRAME_BYTES,
            stamp=0,
        )

    def add(self, content: bytes):
        """Add a chunk."""
        self.budget.try_acquire(len(content))
        return self.writer.add(blake3(content).digest(), (content, 0, len(content)))

    def add_frame(self, *chunks: bytes):
        """Add chunks as one frame that is compressed already."""
        payload = encode(b"".join(chunks), Codec.ZSTD, 0)
        self.budget.try_acquire(len(payload))
        frame = EncodedFrame(
            codec=Codec.ZSTD,
            param=0,
            payload=payload,
            raw_length=sum(map(len, chunks)),
            chunk_ids=b"".join(blake3(chunk).digest() for chunk in chunks),
            chunk_lengths=[len(chunk) for chunk in chunks],
        )
        return self.writer.add_frame(frame)

    def finish(self):
        """Wait until everything is sent; return the blobs."""
        self.writer.flush()
        while not self.writer.wait(1):
            pass
        return self.writer.collect()

    def read(self, place: tuple[int, int]) -> bytes:
        """Read a chunk back from where it was said to be."""
        ref = self.blobs.ref(place[0])
        table = TableReader(self.backend).read(ref)
        frame = int(table.chunk_frames[place[1]])
        offsets = [*table.frame_offsets.tolist(), ref.table_offset]
        content = read_range(self.backend, ref.id, offsets[frame], offsets[frame + 1])
        raw = decode_data_frame(ref.blob_id, table, frame, content, np.array([place[1]]))
        start = int(table.chunk_starts[place[1]])
        return bytes(raw[start : start + int(table.chunk_lengths[place[1]])])


@pytest.fixture
def packing():
    """A fresh writer."""
    packing = Packing()
    yield packing
    packing.writer.close()
    packing.pool.shutdown()


def test_chunks_and_whole_frames_lie_where_they_were_said_to(packing):
    """Mixed, over several blobs, each is read back and verified."""
    chunks = [text_content(n, 700 + 13 * n) for n in range(300)]
    places = []
    at = 0
    while at < len(chunks):
        if at % 7 < 4:
            places.append(packing.add(chunks[at]))
            at += 1
        else:
            group = chunks[at : at + 3]
            row, first = packing.add_frame(*group)
            places += [(row, first + n) for n in range(len(group))]
            at += len(group)

    sent = packing.finish()

    assert len(sent) > 1
    assert [packing.read(place) for place in places] == chunks


def test_a_whole_frame_stays_as_it_is(packing):
    """Nothing is added to it, and what waited before it comes first."""
    before, after = random_content(1, 500), random_content(2, 500)
    packing.add(before)
    packing.add_frame(b"a" * 1000, b"b" * 1000)
    packing.add(after)

    (sent,) = packing.finish()

    table = TableReader(packing.backend).read(sent.ref)
    assert table.frame_chunks.tolist() == [1, 2, 1]
    assert table.frame_raw.tolist() == [500, 2000, 500]


def test_the_budget_gets_everything_back(packing):
    """Chunks by their length, whole frames by that of their payload."""
    for number in range(40):
        packing.add(text_content(number, 900))
        packing.add_frame(text_content(-number % 50, 3000))

    packing.finish()

    assert packing.budget.try_acquire(BUDGET_BYTES)
    assert not packing.budget.try_acquire(1)
