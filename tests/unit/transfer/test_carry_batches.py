"""Files cut into batches: nothing lost, nothing twice, small files whole, damage named."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from cas.backend.memory import MemoryBackend
from cas.compression.codec import Codec
from cas.errors import CorruptionError
from cas.model.ids import SessionId
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import (
    BLOB_KIND_DATA,
    EncodedFrame,
    TableReader,
    assemble_blob,
    write_blob,
)
from cas.transfer.carry_batches import NO_BLOB, Batch, CarriedFile, iter_batches

SESSION = SessionId(b"s" * 16)
CHUNK = 1000
FRAMES, CHUNKS_A_FRAME = 6, 4
SMALL = 1 << 20


def make_blobs(backend: MemoryBackend, count: int) -> list[tuple[BlobRef, list[bytes]]]:
    """Store blobs of six frames of four chunks; return where they are and the ids of the chunks."""
    made = []
    for number in range(count):
        chunks = [bytes([number, at]) * (CHUNK // 2) for at in range(FRAMES * CHUNKS_A_FRAME)]
        ids = [blake3(chunk).digest() for chunk in chunks]
        frames = [
            EncodedFrame(
                codec=Codec.RAW,
                param=0,
                payload=b"".join(chunks[at : at + CHUNKS_A_FRAME]),
                raw_length=CHUNK * CHUNKS_A_FRAME,
                chunk_ids=b"".join(ids[at : at + CHUNKS_A_FRAME]),
                chunk_lengths=[CHUNK] * CHUNKS_A_FRAME,
            )
            for at in range(0, len(chunks), CHUNKS_A_FRAME)
        ]
        blob = assemble_blob(BLOB_KIND_DATA, SESSION, frames)
        write_blob(backend, BLOB_KIND_DATA, blob)
        ref = BlobRef(
            blob_id=blob.blob_id.raw, size=blob.size, table_offset=blob.table_offset, stamp=0
        )
        made.append((ref, ids))
    return made


BACKEND = MemoryBackend()
BLOBS = make_blobs(BACKEND, 12)
REFS = [ref for ref, _ in BLOBS]

runs = st.tuples(
    st.integers(0, len(REFS) - 1),
    st.integers(0, FRAMES * CHUNKS_A_FRAME - 1),
    st.integers(1, FRAMES * CHUNKS_A_FRAME),
).map(lambda run: (REFS[run[0]], run[1], min(run[2], FRAMES * CHUNKS_A_FRAME - run[1])))
extents = st.one_of(
    runs.map(lambda run: (*run, run[2] * CHUNK)),
    st.integers(1, 3 * SMALL).map(lambda length: (None, 0, 0, length)),
)


def make_file(row: int, parts) -> CarriedFile:
    """A file that lies in these extents."""
    first = parts[0]
    alone = len(parts) == 1 and first[2] == 1
    file_hash = BLOBS[REFS.index(first[0])][1][first[1]] if alone else bytes(32)
    return CarriedFile(row, b"file %d" % row, sum(part[3] for part in parts), file_hash, parts)


def batches_of(files, limit_bytes: int) -> list[Batch]:
    with ThreadPoolExecutor(2) as pool:
        tables = TableReader(BACKEND)
        return list(iter_batches(files, tables, pool, limit_bytes=limit_bytes))


@given(st.lists(st.lists(extents, min_size=1, max_size=5), max_size=30), st.integers(1, 60_000))
def test_every_chunk_and_hole_is_in_one_batch_in_its_place(lists, limit_bytes):
    """Joined again, batches are the files that went in, whatever the limit."""
    files = [make_file(row, parts) for row, parts in enumerate(lists)]
    expected = []
    for file in files:
        for ref, first, chunks, length in file.extents:
            if ref is None:
                expected.append((file.row, bytes(32), length))
            else:
                ids = BLOBS[REFS.index(ref)][1][first : first + chunks]
                expected += [(file.row, chunk_id, CHUNK) for chunk_id in ids]

    batches = batches_of(files, limit_bytes)

    rows = [
        (owner, chunk_id.tobytes(), length)
        for batch in batches
        for owner, chunk_id, length in zip(
            batch.owners.tolist(), batch.ids, batch.lengths.tolist(), strict=True
        )
    ]
    assert rows == expected
    for batch in batches:
        for row in np.flatnonzero(batch.is_chunk).tolist():
            blob, chunk = int(batch.blobs[row]), int(batch.chunks[row])
            assert batch.tables[blob].chunk_ids[chunk].tobytes() == batch.ids[row].tobytes()


@given(st.lists(st.lists(extents, min_size=1, max_size=5), max_size=30), st.integers(1, 60_000))
def test_batches_tell_which_file_goes_on(lists, limit_bytes):
    """Files under 1 MiB are whole; a longer one may go on, and then both batches say so."""
    files = [make_file(row, parts) for row, parts in enumerate(lists)]

    batches = batches_of(files, limit_bytes)

    open_row = None
    finished = set()
    for batch in batches:
        assert batch.continues == (open_row is not None)
        if batch.continues:
            assert batch.owners[0] == open_row
        assert not finished & set(batch.owners.tolist())
        open_row = int(batch.owners[-1]) if batch.is_open else None
        finished |= set(batch.owners.tolist()) - {open_row}
        assert open_row is None or files[open_row].size > SMALL
    assert open_row is None
    assert finished == set(range(len(files)))


def test_a_long_file_is_cut_between_frames():
    """So that no frame is read for two batches."""
    whole = (REFS[0], 0, FRAMES * CHUNKS_A_FRAME, FRAMES * CHUNKS_A_FRAME * CHUNK)
    file = make_file(0, [whole, (None, 0, 0, 2 * SMALL)])

    batches = batches_of([file], 5 * CHUNK)

    chunks = [int(batch.is_chunk.sum()) for batch in batches]
    assert chunks == [*[2 * CHUNKS_A_FRAME] * (FRAMES // 2), 0]
    assert batches[-1].blobs[-1] == NO_BLOB


@pytest.mark.parametrize(
    "part",
    [
        (REFS[0], 20, 5, 5 * CHUNK),
        (REFS[0], 0, 2, 2 * CHUNK + 1),
        (REFS[0], 0, 1, CHUNK),
    ],
    ids=["beyond the blob", "another length", "another chunk"],
)
def test_a_page_that_does_not_fit_its_blob_is_damage_of_the_file(part):
    """Chunks that the blob does not have, or has otherwise."""
    file = CarriedFile(0, b"a/file", part[3], bytes(32), [part])

    with pytest.raises(CorruptionError, match=r"^a/file: its page and blob"):
        batches_of([file], 10_000)


def test_a_missing_blob_is_damage_of_the_file():
    """The table cannot be read."""
    ref = BlobRef(blob_id=b"x" * 32, size=100, table_offset=50, stamp=0)
    file = CarriedFile(0, b"a/file", 10, bytes(32), [(ref, 0, 1, 10)])

    with pytest.raises(CorruptionError, match=r"^a/file: .*missing"):
        batches_of([file], 10_000)
