"""What a put has stored so far: told to collectors, to other machines, and to the next put."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3
from memory_stores import open_on, with_store

from cas.backend.memory import MemoryBackend
from cas.format import keys
from cas.format.encoding import view_ids
from cas.format.manifest import encode_page
from cas.format.segment import decode_segment
from cas.format.session import decode_intent
from cas.model.ids import PageId
from cas.objects.blob_list import BlobList, BlobRef
from cas.objects.index import MERGE_WIDTH, Index, list_segments, load_index
from cas.objects.sessions import WriterSession
from cas.operations.stored_tree import CHECKPOINT_BLOBS, NewPage, StoredTree
from cas.testing.faulty import Fault, FaultyBackend
from cas.testing.trees import write_tree
from cas.transfer.journal import Journal
from cas.transfer.packing import SentBlob
from cas.transfer.rows import EntryColumns, Extents
from cas.transfer.tree import scan_tree

NOW_NS = 1_700_000_000_000_000_000


def sent(number):
    ref = BlobRef(blob_id=bytes([number]) * 32, size=900, table_offset=700, stamp=2)
    ids = np.full((3, 32), number, np.uint8)
    return SentBlob(number, ref, ids)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "state", "store")
    yield journal
    journal.close()


@pytest.fixture
def backend():
    return FaultyBackend(with_store(MemoryBackend()))


@pytest.fixture
def stored(backend, journal, tmp_path):
    """A tree of three files, of which nothing is stored yet."""
    files = write_tree(tmp_path / "source", {b"a": b"1", b"b": b"2", b"c": b"3"})
    store = open_on(backend, jobs=1)
    session = WriterSession(backend)
    return StoredTree(store.parts, session, scan_tree([files]), journal, NOW_NS, index=Index(()))


def written(backend, prefix):
    return [one.key for one in backend.log if one.kind == "put" and one.key.startswith(prefix)]


def test_a_short_put_tells_nothing_on_its_way(backend, stored):
    """Its final intent is enough, and the next writer reads its version."""
    stored.note_sent([sent(number) for number in range(CHECKPOINT_BLOBS - 1)])

    stored.checkpoint(2)

    assert written(backend, "") == []


def test_a_long_put_protects_and_announces_what_it_stored(backend, stored):
    """Once for every so many blobs, and each once: what collectors read grows with what is stored."""
    session = stored.session
    for step in range(3):
        first = step * CHECKPOINT_BLOBS
        stored.note_sent([sent(number) for number in range(first, first + CHECKPOINT_BLOBS)])
        stored.checkpoint(2)
        stored.checkpoint(2)

    intents = [
        decode_intent(backend.get(keys.intent_key(session.id, k)), what="") for k in range(3)
    ]
    named = [view_ids(intent.blob_ids)[:, 0].tolist() for intent in intents]
    assert named == [[*range(n, n + CHECKPOINT_BLOBS)] for n in (0, 16, 32)]
    assert not any(intent.final for intent in intents)
    segments = [decode_segment(backend.get(one.key), what="") for one in list_segments(backend)]
    assert [len(segment.blob_ids) for segment in segments] == [CHECKPOINT_BLOBS] * 3
    assert {segment.stamp for segment in segments} == {2}


def test_the_intent_comes_before_the_segment(backend, stored):
    """Who finds a blob in the index must find it protected."""
    stored.note_sent([sent(number) for number in range(CHECKPOINT_BLOBS)])

    stored.checkpoint(2)

    assert [key.partition("/")[0] for key in written(backend, "")] == ["sessions", "index"]


def test_what_is_durable_is_noted_for_a_put_that_resumes(stored, journal):
    """At once, since the process may be killed at any time."""
    stored.note_stored(sent(1).ref)
    stored.note_stored(sent(2).ref)

    assert journal.unpublished_blobs(NOW_NS) == [sent(1).ref, sent(2).ref]


@pytest.mark.parametrize("how", ["no journal", "dry run"])
def test_without_notes_nothing_is_noted(stored, journal, how):
    """A plan stores nothing, so there is nothing to resume."""
    if how == "dry run":
        stored.takes_notes = False
    else:
        stored.journal = None

    stored.note_stored(sent(1).ref)
    stored.note_sent([sent(1)])
    stored.save_journal(3)

    assert journal.unpublished_blobs(NOW_NS) == []
    assert [one.row for one in stored.sent] == [1]


def pages_of(stored):
    """Three pages of one entry each, all in one blob."""
    tree, blobs = stored.tree, BlobList()
    row, one = blobs.row_of(sent(9).ref), np.ones(1, np.int64)
    for number in range(3):
        columns = EntryColumns(1)
        columns.sizes[:] = tree.sizes[number : number + 1]
        columns.add_extents(np.zeros(1, np.int64), one, Extents(one * row, one * number, one, one))
        page = columns.page(0, 1, tree.paths[number : number + 1], tree.kinds[:1], blobs)
        content = encode_page(page)
        stored.pages.append(NewPage(PageId(blake3(content).digest()), content, page, number))


def stamps_in(journal, stored):
    return [page.stamp for page in journal.load(stored.tree.key)._pages]


def test_published_pages_are_noted_with_the_stamp_of_the_version(stored, journal):
    """All of them are known to be good up to it, and what was to be resumed is forgotten."""
    pages_of(stored)
    stored.note_sent([sent(1)])
    resumed, other = sent(9).ref, sent(8).ref
    journal.note_blobs([resumed, other], NOW_NS)
    stored.resumed = [resumed, other]

    stored.save_journal(7)

    assert stamps_in(journal, stored) == [7, 7, 7]
    assert journal.unpublished_blobs(NOW_NS) == [other]


def test_a_page_that_nobody_vouches_for_keeps_its_own_stamp(stored, journal):
    """A higher one would claim that runs in between did not kill its blobs."""
    pages_of(stored)
    stored.counts.read_files = 1

    stored.save_journal(7, vouched={stored.pages[0].page_id.raw})

    assert stamps_in(journal, stored) == [7, 1, 2]


def test_a_put_that_read_and_published_nothing_writes_no_notes(stored, journal):
    """A put of an unchanged folder leaves the journal's file as it is."""
    pages_of(stored)

    stored.save_journal(7, vouched=set())

    assert stamps_in(journal, stored) == []


def test_segments_that_piled_up_are_merged_by_who_adds_one(backend, stored):
    """Who wrote none merges none; what fails is left to the next put."""
    for number in range(MERGE_WIDTH):
        stored.note_sent([sent(number)])
        stored.write_segment(2)
    stored.session.segments = 0

    stored.merge_index()
    assert len(list_segments(backend)) == MERGE_WIDTH
    stored.session.segments = MERGE_WIDTH
    listings = sum(one.kind == "list_objects" for one in backend.log)
    backend.fail_nth("list_objects", listings + 1, Fault.FAIL_BEFORE)
    stored.merge_index()
    assert len(list_segments(backend)) == MERGE_WIDTH
    stored.merge_index()

    assert len(list_segments(backend)) == MERGE_WIDTH + 1
    index = load_index(backend, floor=0, budget_bytes=1 << 20)
    assert [ref.blob_id[0] for ref in index.candidates(sent(3).chunk_ids)] == [3]
