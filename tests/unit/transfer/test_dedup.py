"""Which chunks a put finds in the store, and what it does not rely on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from blake3 import blake3

from cas.backend.memory import MemoryBackend
from cas.compression.codec import Codec
from cas.errors import BackendError
from cas.format import keys
from cas.model.ids import BlobId, SessionId
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.blobs import (
    BLOB_KIND_DATA,
    EncodedFrame,
    TableReader,
    assemble_blob,
    write_blob,
)
from cas.objects.index import Index, build_segment, load_index, merge_piled_up, write_segment
from cas.testing.corpora import random_content
from cas.testing.faulty import Fault, FaultyBackend
from cas.transfer.dedup import LOAD_BATCH, Deduplicator, Facts

SESSION = SessionId(b"s" * 16)


def chunk_ids(chunks):
    return np.array([list(blake3(chunk).digest()) for chunk in chunks], np.uint8)


def chunks_of(seed, count):
    return [random_content(seed * 100 + number, 20 + number) for number in range(count)]


def write(backend, chunks, *, stamp=0):
    """Store a blob of one frame with these chunks."""
    raw = b"".join(chunks)
    ids = chunk_ids(chunks).tobytes()
    frame = EncodedFrame(Codec.RAW, 0, raw, len(raw), ids, [len(chunk) for chunk in chunks])
    blob = assemble_blob(BLOB_KIND_DATA, SESSION, [frame])
    write_blob(backend, BLOB_KIND_DATA, blob)
    return BlobRef(
        blob_id=blob.blob_id.raw, size=blob.size, table_offset=blob.table_offset, stamp=stamp
    )


def remove(backend, ref):
    backend.delete(keys.blob_key(BlobId(ref.blob_id)))


def tables_read(backend):
    return [one.key for one in backend.log if one.kind == "get" and one.key.startswith("blobs/")]


@pytest.fixture
def backend():
    return FaultyBackend(MemoryBackend())


@pytest.fixture
def make(backend):
    """Make a deduplicator; its stamps are good from `floor` to `newest`."""
    with ThreadPoolExecutor(2) as pool:

        def make(index=None, *, floor=0, newest=9, condemned=(), bad=()):
            facts = Facts(
                stamp=newest,
                floor=floor,
                newest=newest,
                is_condemned=lambda ids: np.array(
                    [i.tobytes() in condemned for i in ids], np.uint8
                ),
                bad_blobs=frozenset(bad),
            )
            tables = TableReader(backend)
            return Deduplicator(tables, lambda: index or Index(()), BlobList(), facts, pool)

        yield make


def find(dedup, chunks):
    """Return (blob row, chunk row) of each chunk."""
    blobs, rows = dedup.find(chunk_ids(chunks), np.ones(len(chunks), np.bool_))
    return list(zip(blobs.tolist(), rows.tolist(), strict=True))


def write_index(backend, *segments):
    """Write a segment for each list of (blob, chunks), and load the index."""
    for number, blobs in enumerate(segments):
        key = keys.segment_key(0, SessionId(bytes([number]) * 16), 0)
        write_segment(
            backend, key, build_segment(SESSION, 0, [(ref, chunk_ids(c)) for ref, c in blobs])
        )
    return load_index(backend, floor=0, budget_bytes=1 << 20)


def test_chunks_of_loaded_tables_are_found(backend, make):
    """They lie where their blobs' tables say; others lie nowhere."""
    one, other = chunks_of(1, 5), chunks_of(2, 3)
    dedup = make()

    loaded = dedup.load([write(backend, one), write(backend, other)])

    assert loaded == 8
    assert find(dedup, [other[2], one[0], b"new", one[4]]) == [(1, 2), (0, 0), (-1, -1), (0, 4)]


def test_a_run_of_zeros_is_never_looked_up(backend, make):
    """Its id stands for nothing, even if a chunk of that id were known."""
    dedup = make()
    ids = np.zeros((1, 32), np.uint8)
    dedup.note_new(ids, 4, 0)

    blobs, _ = dedup.find(ids, np.zeros(1, np.bool_))

    assert blobs.tolist() == [-1]


def test_the_index_leads_to_a_table_that_is_read_once(backend, make):
    """All chunks of the blob are known from then on, without another request."""
    chunks = chunks_of(1, 6)
    dedup = make(write_index(backend, [(write(backend, chunks), chunks[:2])]))

    first, rest = find(dedup, chunks[:1]), find(dedup, chunks)

    assert first == [(0, 0)]
    assert rest == [(0, row) for row in range(6)]
    assert len(tables_read(backend)) == 1


def test_what_the_index_says_is_not_believed(backend, make):
    """A chunk that the table does not have is new, whatever a segment says."""
    chunks = chunks_of(1, 3)
    dedup = make(write_index(backend, [(write(backend, chunks), [*chunks, b"a lie"])]))

    assert find(dedup, [b"a lie"]) == [(-1, -1)]


def test_a_dead_blob_does_not_hide_the_chunk_that_was_stored_again(backend, make):
    """A merged segment names both; the entry that comes first may be the dead one."""
    chunks = chunks_of(1, 12)
    dead, alive = write(backend, chunks), write(backend, chunks)
    fillers = [[(write(backend, c := chunks_of(10 + n, 1)), c)] for n in range(6)]
    write_index(backend, [(dead, chunks)], [(alive, chunks)], *fillers)
    merged = merge_piled_up(backend, SESSION)
    remove(backend, dead)

    dedup = make(load_index(backend, floor=0, budget_bytes=1 << 20))

    assert merged is not None
    assert [chunk for _, chunk in find(dedup, chunks)] == list(range(12))


def test_no_table_is_read_for_a_further_copy_of_what_was_found(backend, make):
    """Copies of a chunk in other blobs cost a request only where the first is of no use."""
    chunks = chunks_of(1, 4)
    copies = [(write(backend, chunks), chunks) for _ in range(5)]
    dedup = make(write_index(backend, copies))

    find(dedup, chunks)

    assert len(tables_read(backend)) == 1


@pytest.mark.parametrize(("stamp", "is_used"), [(2, False), (3, True), (9, True), (10, False)])
def test_a_fact_counts_only_between_the_floor_and_the_newest_run(backend, make, stamp, is_used):
    """Below, its blob may be collected; above, the store was rolled back."""
    chunks = chunks_of(1, 2)
    dedup = make(floor=3, newest=9)

    loaded = dedup.load([write(backend, chunks, stamp=stamp)])

    assert loaded == (2 if is_used else 0)


def test_condemned_and_bad_blobs_are_not_shared(backend, make):
    """What a collection may delete, and what a log check refused, is stored anew."""
    refs = [write(backend, chunks_of(seed, 2)) for seed in range(3)]
    dedup = make(condemned={refs[0].blob_id}, bad={refs[1].blob_id})

    assert dedup.load(refs) == 2
    assert find(dedup, [chunks_of(seed, 2)[0] for seed in range(3)]) == [(-1, -1), (-1, -1), (0, 0)]


def test_missing_and_damaged_tables_are_left_out_and_not_asked_for_again(backend, make):
    """Their chunks are stored anew, the others are shared."""
    gone, damaged, good = (write(backend, chunks_of(seed, 2)) for seed in range(3))
    remove(backend, gone)
    key = keys.blob_key(BlobId(damaged.blob_id))
    content = bytearray(backend.get(key))
    content[damaged.table_offset + 8] ^= 1
    backend.put(key, [bytes(content)])
    dedup = make()

    loaded = [dedup.load([gone, damaged, good]), dedup.load([gone, damaged, good])]

    assert loaded == [2, 0]
    # Once more at once, since what is wrong may have gone wrong on the way.
    assert tables_read(backend)[1:].count(key) == 2


def test_a_store_that_fails_is_not_taken_for_one_without_the_blob(backend, make):
    """Storing everything again because of an outage would be dear: the error is passed on."""
    ref = write(backend, chunks_of(1, 2))
    backend.fail_nth("get", 1, Fault.FAIL_BEFORE)

    with pytest.raises(BackendError):
        make().load([ref])


def test_loading_stops_when_enough_chunks_are_known(backend, make):
    """Batches beyond the limit are left to the index."""
    refs = [write(backend, chunks_of(seed, 2)) for seed in range(LOAD_BATCH + 3)]

    assert make().load(refs, chunk_limit=LOAD_BATCH) == 2 * LOAD_BATCH


def test_offsets_are_told_of_other_puts_blobs_only(backend, make):
    """Chunks that this put stores are near by whatever their place."""
    chunks = [b"a" * 10, b"b" * 20, b"c" * 5]
    dedup = make()
    dedup.load([write(backend, chunks)])
    dedup.note_new(chunk_ids([b"mine"]), 7, 3)

    outer, offsets = dedup.raw_offsets(np.array([0, 7, -1, 0]), np.array([2, 3, -1, 1]))

    assert find(dedup, [b"mine"]) == [(7, 3)]
    assert (outer.tolist(), offsets.tolist()) == ([0, -1, -1, 0], [30, 0, 0, 10])
