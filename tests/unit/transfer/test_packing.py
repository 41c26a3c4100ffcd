"""New chunks become frames and blobs, the blobs are sent, and the memory is given back."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from blake3 import blake3

from cas.backend.memory import MemoryBackend
from cas.errors import BackendError
from cas.format.encoding import MAX_BLOB_CHUNKS
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobList
from cas.objects.blobs import TableReader, decode_data_frame, read_range
from cas.testing.corpora import random_content, text_content
from cas.testing.faulty import Fault, FaultyBackend
from cas.transfer.budget import MemoryBudget
from cas.transfer.packing import BlobWriter

FRAME_BYTES = 64 << 10
LIMIT_BYTES = 3 << 20  # a third of it is the target of a blob
TARGET_BYTES = LIMIT_BYTES // 3
STAMP = 5


class Packed:
    """A writer, and what it needs."""

    def __init__(self, backend, pool, limit_bytes=LIMIT_BYTES):
        self.backend = backend
        self.blobs = BlobList()
        self.budget = MemoryBudget(limit_bytes)
        self.writer = BlobWriter(
            backend,
            SessionId(b"s" * 16),
            self.blobs,
            pool,
            self.budget,
            frame_bytes=FRAME_BYTES,
            stamp=STAMP,
        )

    def add(self, chunk):
        """Add a chunk as the upload does: its bytes are in flight."""
        self.budget.try_acquire(len(chunk))
        return self.writer.add(blake3(chunk).digest(), (chunk, 0, len(chunk)))

    def finish(self):
        """Send what is left; return every blob that was sent since the last time."""
        self.writer.flush()
        while not self.writer.wait(60):
            pass
        return self.writer.collect()

    def table(self, sent):
        return TableReader(self.backend).read(sent.ref)


@pytest.fixture
def pack():
    made = []
    with ThreadPoolExecutor(2) as pool:

        def make(backend=None, limit_bytes=LIMIT_BYTES):
            made.append(Packed(backend or MemoryBackend(), pool, limit_bytes))
            return made[-1]

        yield make
        for one in made:
            one.writer.close()


def contents(table, backend, sent):
    """Read every chunk of a blob back."""
    found = []
    for frame in range(len(table.frame_offsets)):
        first, last = table.first_chunks[frame : frame + 2].tolist()
        start = int(table.frame_offsets[frame])
        stop = start + 14 + 36 * (last - first) + int(table.frame_stored[frame])
        content = read_range(backend, sent.ref.id, start, stop)
        raw = decode_data_frame(sent.ref.blob_id, table, frame, content, np.arange(first, last))
        at = 0
        for length in table.chunk_lengths[first:last].tolist():
            found.append(bytes(raw[at : at + length]))
            at += length
    return found


def test_chunks_come_back_from_where_they_were_said_to_be(pack):
    """Blob row and chunk row lead to the very bytes; chunks stand in the order they came in."""
    packed = pack()
    chunks = [(text_content, random_content)[n % 2](n, 9000 + 500 * n) for n in range(90)]

    places = [packed.add(chunk) for chunk in chunks]

    sent = {one.row: one for one in packed.finish()}
    stored = {row: contents(packed.table(one), packed.backend, one) for row, one in sent.items()}
    assert [stored[blob][chunk] for blob, chunk in places] == chunks
    assert places == sorted(places)
    assert [one.chunk_ids.tolist() for one in sent.values()] == [
        packed.table(one).chunk_ids.tolist() for one in sent.values()
    ]


def test_frames_are_filled_as_far_as_chunks_fit(pack):
    """No frame is longer than was said unless one chunk is, and none leaves room for the next."""
    packed = pack()
    lengths = [(number * 7919) % 30_000 + 1 for number in range(60)]
    lengths[20] = FRAME_BYTES + 9

    for number, length in enumerate(lengths):
        packed.add(random_content(number, length))

    (sent,) = packed.finish()
    table = packed.table(sent)
    frames = [
        table.chunk_lengths[a:b].tolist()
        for a, b in zip(table.first_chunks[:-1], table.first_chunks[1:], strict=True)
    ]
    assert [length for frame in frames for length in frame] == lengths
    assert all(sum(frame) <= FRAME_BYTES or len(frame) == 1 for frame in frames)
    assert all(sum(frame) + following[0] > FRAME_BYTES for frame, following in pairwise(frames))


def test_blobs_are_filled_to_their_target(pack):
    """A third of the memory at most, so that one is filled while others are sent."""
    packed = pack()
    chunks = [random_content(number, 100_000) for number in range(35)]

    for chunk in chunks:
        packed.add(chunk)

    sizes = sorted(int(packed.table(one).chunk_lengths.sum()) for one in packed.finish())
    assert sizes == [500_000, 1_000_000, 1_000_000, 1_000_000]
    assert sizes[-1] <= TARGET_BYTES < sizes[-1] + 100_000


class FarBackend(MemoryBackend):
    """Behaves like one behind a network."""

    capabilities = replace(MemoryBackend.capabilities, local=False)


def test_the_first_blobs_that_go_over_a_network_are_small(pack):
    """So that sending begins before all is read; on this machine one blob takes it all."""
    chunk = random_content(1, 1 << 20)
    counts = []
    for backend in (FarBackend(), MemoryBackend()):
        packed = pack(backend, 192 << 20)
        for _ in range(20):
            packed.add(chunk)
        counts.append(sorted(int(packed.table(one).chunk_lengths.sum()) for one in packed.finish()))

    assert counts == [[4 << 20, 8 << 20, 8 << 20], [20 << 20]]


def test_a_blob_has_its_row_filled_before_it_is_stored(pack):
    """Pages can be made of it while it is under way; it is not said to be sent before it is."""
    may_go_on = threading.Event()

    class Waiting(MemoryBackend):
        def put(self, key, parts):
            assert may_go_on.wait(20)
            super().put(key, parts)

    packed = pack(Waiting())
    row, _ = packed.add(random_content(1, 50_000))
    packed.writer.flush()
    while not packed.writer.wait_sealed(20):
        pass
    sent_early = packed.writer.collect()
    ref = packed.blobs.ref(row)
    may_go_on.set()

    (sent,) = packed.finish()
    assert sent_early == []
    assert (sent.row, sent.ref) == (row, ref)
    assert len(packed.table(sent).chunk_ids) == 1


def test_a_blob_has_no_more_chunks_than_a_table_may_hold(pack):
    """Tiny chunks end a blob by their number."""
    packed = pack()

    for number in range(MAX_BLOB_CHUNKS + 3):
        packed.add(b"%d" % number)

    sent = sorted(packed.finish(), key=lambda one: one.row)
    assert [len(one.chunk_ids) for one in sent] == [MAX_BLOB_CHUNKS, 3]


def test_all_memory_is_given_back_when_all_is_sent(pack):
    """What compression saved at once, the rest when a blob is durable."""
    packed = pack()
    for number in range(80):
        packed.add((text_content, random_content)[number % 2](number, 40_000))

    packed.finish()

    assert packed.budget._used == 0
    assert packed.writer.open_bytes == 0


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
def test_an_upload_that_failed_is_raised_and_holds_no_memory(pack, fault):
    """The error comes out at the next look and at the end, however many blobs follow."""
    backend = FaultyBackend(MemoryBackend()).fail_nth("put", 1, fault)
    packed = pack(backend)
    packed.add(random_content(1, 50_000))
    packed.writer.flush()
    with pytest.raises(BackendError, match="put"):
        packed.finish()

    with pytest.raises(BackendError, match="put"):
        packed.writer.raise_failure()

    assert packed.budget._used == 0
    packed.add(random_content(2, 50_000))
    packed.writer.flush()
    with pytest.raises(BackendError, match="put"):
        packed.finish()


def test_a_blob_has_its_id_when_it_was_collected_and_not_before(pack):
    """The row is good for extents at once, and for pages when the blob is durable."""
    packed = pack()
    row, _ = packed.add(b"some bytes")
    assert not packed.blobs.is_stored(row)

    (sent,) = packed.finish()

    assert packed.blobs.ref(row) == sent.ref
    assert sent.ref.stamp == STAMP
    assert packed.writer.collect() == []


def test_the_counts_are_those_of_what_was_sent(pack):
    """Whole blobs, heads and tables included."""
    packed = pack()
    for number in range(25):
        packed.add(random_content(number, 100_000))

    sent = packed.finish()

    total = sum(one.ref.size for one in sent)
    assert (packed.writer.stored_bytes, packed.writer.blob_count) == (total, 3)
    assert sum(one.size for one in packed.backend.list_objects("blobs")) == total


def test_nothing_added_is_nothing_sent(pack):
    """No blob without a chunk."""
    packed = pack()

    assert packed.finish() == []
    assert list(packed.backend.list_objects("blobs")) == []


def test_a_chunk_of_a_large_buffer_does_not_keep_it(pack):
    """Little of a segment that is mostly known must not hold the whole of it in memory."""
    buffer = random_content(1, 70 * 1000)
    packed = pack()
    packed.writer.add(b"i" * 32, (buffer, 500, 600))

    content = packed.writer._open.frames[0].content()

    assert content == buffer[500:600]
    assert isinstance(content, bytes)


def test_room_is_made_by_a_blob_that_is_not_full_only_when_a_sender_is_idle(pack):
    """While enough others are under way, what they give back goes into the open blob."""
    may_go_on = threading.Event()

    class Waiting(MemoryBackend):
        def put(self, key, parts):
            assert may_go_on.wait(20)
            super().put(key, parts)

    packed = pack(Waiting())
    left = []
    for number in range(6):
        packed.add(random_content(number, 30_000))
        packed.writer.make_room()
        left.append(packed.writer.open_bytes)
    may_go_on.set()

    assert left == [0, 0, 0, 0, 30_000, 60_000]
    assert len(packed.finish()) == 5
