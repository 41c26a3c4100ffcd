"""Records of versions, sessions and collections, and index segments, for any values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import InvalidInputError
from cas.format import collection, config, segment, session, version
from cas.model.entry import PageLocation, Totals
from cas.model.ids import BlobId, PageId, SessionId, VersionDigest
from cas.model.names import ArtifactName

texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(0, (1 << 63) - 1)
times = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
ids = st.binary(min_size=32, max_size=32)
sessions = st.builds(SessionId, st.binary(min_size=16, max_size=16))
digests = st.builds(VersionDigest, ids)
u32s = st.integers(0, (1 << 32) - 1)
locations = st.builds(
    PageLocation,
    page_id=st.builds(PageId, ids),
    blob_id=st.builds(BlobId, ids),
    blob_size=u32s,
    offset=u32s,
    length=u32s,
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
plain_maps = st.dictionaries(texts, plain, max_size=3)
later_fields = st.dictionaries(st.just("later"), st.binary(max_size=8) | texts, max_size=1)
totals = st.builds(
    Totals, files=numbers, symlinks=numbers, directories=numbers, externals=numbers, size=numbers
)
artifacts = st.sampled_from([ArtifactName("a"), ArtifactName("team/bert+x"), ArtifactName("CON")])
records = st.builds(
    version.VersionRecord,
    artifact=artifacts,
    number=numbers,
    digest=digests,
    totals=totals,
    root=locations,
    parent=st.none() | numbers,
    type=texts,
    description=texts,
    message=texts,
    metadata=plain_maps,
    inputs=st.lists(st.builds(version.Lineage, texts, numbers, digests, texts), max_size=2).map(
        tuple
    ),
    producer=plain_maps,
    created_ns=times,
    session=sessions,
    stamp=numbers,
    new_bytes=numbers,
    stored_bytes=numbers,
    expires_ns=st.none() | numbers,
    extra=later_fields,
)
voids = st.builds(version.VoidRecord, sessions)


def sorted_ids(raw):
    return np.frombuffer(b"".join(sorted(raw)), np.uint8).reshape(-1, 32)


id_sets = st.sets(ids | st.binary(min_size=1, max_size=1).map(lambda b: b.ljust(32, b"\0")))


@given(records)
def test_version_record_is_read_as_it_was_written(record):
    """A slot gives back the record, fields of later releases included."""
    try:
        content = version.encode_slot(record)
    except InvalidInputError:
        return  # nested more deeply than a record may be
    again = version.decode_slot(
        content, what="slot", artifact=record.artifact, number=record.number
    )

    assert again == record
    assert version.encode_slot(again) == content


@given(voids, artifacts, numbers)
def test_void_slot_is_read_as_it_was_written(record, artifact, number):
    """A void names the session that lost the slot."""
    content = version.encode_slot(record)

    assert version.decode_slot(content, what="slot", artifact=artifact, number=number) == record


@given(
    st.builds(
        version.RevisionRecord, session=sessions, root=locations, stamp=numbers, digest=digests
    )
    | voids
)
def test_revision_is_read_as_it_was_written(record):
    """A revision, or the void in its place, comes back."""
    content = version.encode_revision(record)

    assert version.decode_revision(content, what="revision") == record


@given(
    st.builds(
        version.MoveRecord,
        kind=st.sampled_from(version.MoveKind),
        created_ns=times,
        session=sessions,
        reason=texts,
    )
)
def test_move_is_read_as_it_was_written(record):
    """A move comes back."""
    assert version.decode_move(version.encode_move(record), what="move") == record


@given(numbers, digests, times, sessions, st.tuples(st.booleans(), st.booleans()))
def test_alias_is_read_as_it_was_written(number, digest, created_ns, mark, flags):
    """A move of an alias comes back, a removal and the mark of protection too."""
    removed, protected = flags
    record = version.AliasRecord(
        number=None if removed else number,
        digest=None if removed else digest,
        created_ns=created_ns,
        session=mark,
        protected=protected,
    )

    assert version.decode_alias(version.encode_alias(record), what="alias") == record


@given(
    st.builds(
        version.ExpiryRecord,
        expires_ns=st.none() | numbers,
        created_ns=times,
        session=sessions,
    )
)
def test_expiry_is_read_as_it_was_written(record):
    """When a version may go comes back, never included."""
    assert version.decode_expiry(version.encode_expiry(record), what="expiry") == record


@given(
    st.builds(
        session.Intent,
        session=sessions,
        k=numbers,
        final=st.just(False),
        artifact=texts,
        slot=numbers,
        revision=st.none() | numbers,
        blob_ids=id_sets.map(lambda raw: b"".join(sorted(raw))),
        meta_ids=id_sets.map(lambda raw: b"".join(sorted(raw))),
        pages=st.lists(locations, max_size=3).map(tuple),
        stamp=numbers,
        created_ns=times,
    )
)
def test_intent_is_read_as_it_was_written(intent):
    """An intent comes back."""
    assert session.decode_intent(session.encode_intent(intent), what="intent") == intent


@given(id_sets, numbers, sessions, st.sets(ids, max_size=4))
def test_condemn_record_tells_exactly_what_it_lists(listed, run, mark, others):
    """Of any ids, those in the record are found in the whole and in the blocks, no others."""
    condemned = sorted_ids(listed)
    content = collection.encode_condemn(collection.CondemnRecord(run, mark, condemned))
    record = collection.decode_condemn(content, what="condemn")
    wanted = sorted_ids(listed | others)
    expected = [row.tobytes() in listed for row in wanted]

    assert (record.run, record.collector, record.blob_ids.tolist()) == (
        run,
        mark,
        condemned.tolist(),
    )
    assert collection.condemned_rows(record, wanted).tolist() == expected
    head = collection.condemn_head(content, what="condemn")
    found = np.zeros(len(wanted), np.bool_)
    for block in collection.block_ranges(head, wanted):
        part = content[block.start : block.stop]
        block_ids = collection.decode_block(head, block, part, what="condemn")
        found |= collection.listed_rows(block_ids, wanted)
    assert found.tolist() == expected


@given(id_sets, numbers, st.booleans())
def test_verdict_is_read_as_it_was_written(cleared, run, everything):
    """A verdict comes back, and clears what it lists, or all."""
    rows = sorted_ids(set() if everything else cleared)
    content = collection.encode_verdict(collection.VerdictRecord(run, rows, all=everything))
    again = collection.decode_verdict(content, what="verdict")

    assert (again.run, again.cleared.tolist(), again.all) == (run, rows.tolist(), everything)
    assert collection.condemned_rows(again, sorted_ids(cleared)).all()


@given(numbers)
def test_marks_are_read_as_they_were_written(run):
    """Done and floor name their run."""
    assert collection.decode_done(collection.encode_done(run), what="done") == run
    assert collection.decode_floor(collection.encode_floor(run), what="floor") == run


@given(
    st.lists(ids, max_size=30),
    st.lists(st.tuples(ids, st.integers(1, 1 << 26)), min_size=1, max_size=3),
    numbers,
    sessions,
    st.lists(texts, max_size=2).map(tuple),
    st.data(),
)
def test_segment_is_read_as_it_was_written(chunk_ids, blobs, stamp, mark, supersedes, data):
    """A segment comes back whole, and any prefix with the head holds no entry it does not."""
    made = segment.Segment(
        stamp=stamp,
        session=mark,
        supersedes=supersedes,
        blob_ids=np.frombuffer(b"".join(b for b, _ in blobs), np.uint8).reshape(-1, 32),
        blob_sizes=np.array([size for _, size in blobs], np.uint32),
        table_offsets=np.array([size // 2 for _, size in blobs], np.uint32),
        keys=segment.chunk_keys(sorted_ids(chunk_ids)),
        values=np.arange(len(chunk_ids), dtype=np.uint32) % len(blobs),
    )
    content = segment.encode_segment(made)
    again = segment.decode_segment(content, what="segment")

    for name in segment.Segment.__slots__:
        assert np.array_equal(getattr(again, name), getattr(made, name))
    entries_at = len(content) - segment.ENTRY_BYTES * len(chunk_ids)
    head_at = entries_at - segment.BLOB_ROW_BYTES * len(blobs)
    stop = data.draw(st.integers(head_at, len(content)))
    part = segment.decode_segment(content[:stop], what="segment", partial=True)
    assert len(part.keys) == (len(chunk_ids) if stop == len(content) else 0)
    assert (part.stamp, part.supersedes) == (stamp, supersedes)


@given(st.lists(ids, min_size=1, max_size=20))
def test_keys_of_chunks_are_ordered_as_their_ids(raw):
    """Sorting ids sorts their keys."""
    keys = segment.chunk_keys(sorted_ids(raw))

    assert keys.tolist() == [int.from_bytes(one[:8], "big") for one in sorted(raw)]


@given(
    st.builds(
        config.StoreConfig,
        store_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
        created_ns=times,
        chunk_average=st.integers(12, 20).map(lambda power: 1 << power),
        frame_bytes=st.integers(1 << 14, 1 << 20),
        create_if_absent=st.booleans(),
        must_read=st.lists(texts, max_size=2).map(tuple),
        must_write=st.lists(texts, max_size=2).map(tuple),
        must_gc=st.lists(texts, max_size=2).map(tuple),
        extra=st.dictionaries(st.just("later"), texts, max_size=1),
    )
)
def test_config_is_read_as_it_was_written(made):
    """`cas.json` comes back, fields of later releases included."""
    content = config.encode_config(made)

    assert config.decode_config(content) == made
    assert config.encode_config(config.decode_config(content)) == content
