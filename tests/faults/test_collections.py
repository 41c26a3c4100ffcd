"""What a collector may do between any two steps of a put, by records made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cas
from cas.environment import SystemClock
from cas.format import keys
from cas.format.collection import (
    CondemnRecord,
    VerdictRecord,
    encode_condemn,
    encode_done,
    encode_floor,
    encode_verdict,
)
from cas.format.manifest import encode_root
from cas.format.session import decode_intent
from cas.format.version import MoveKind, VersionRecord, VoidRecord, encode_slot
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.base_version import read_surroundings
from cas.objects.blob_list import BlobRef
from cas.objects.index import load_index
from cas.objects.manifests import PageReader, assemble_manifest, write_meta_blob
from cas.objects.versions import add_move, publish, read_slot
from cas.operations.put import put
from cas.testing.corpora import random_content
from cas.testing.faulty import FaultyBackend

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)
FORCED = cas.PutOptions(provenance=False, force=True)


def condemn(truth, *folders, run=1, ids=None):
    """Open a run that wants everything that now stands in the folders."""
    if ids is None:
        listed = [one.key for folder in folders for one in truth.list_objects(folder)]
        ids = [keys.parse_blob_key(key).raw for key in listed]
    rows = np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 32)
    record = CondemnRecord(run, SessionId(b"c" * 16), rows)
    truth.create(keys.condemn_key(run), encode_condemn(record))
    return ids


def decide(truth, *, run=1, cleared=(), everything=False):
    """Give the verdict of a run."""
    rows = np.frombuffer(b"".join(sorted(cleared)), np.uint8).reshape(-1, 32)
    record = VerdictRecord(run, rows, all=everything)
    truth.create(keys.verdict_key(run), encode_verdict(record))


def destroy(truth, ids):
    """Delete blobs as the run that condemned them does."""
    names = {raw.hex() for raw in ids}
    for folder in ("blobs", "meta"):
        for one in list(truth.list_objects(folder)):
            if one.key.rpartition("/")[2] in names:
                truth.delete(one.key)


def purge(scene, number):
    """Take a version out of the store for good, as a collector does."""
    add_move(scene.truth, NAME, number, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, number, 2, MoveKind.PURGE, 0)


def ids_of(packed):
    return {packed[at : at + 32] for at in range(0, len(packed), 32)}


def intents_of(scene):
    """Return every intent in the store, in the order of their keys."""
    found = sorted(scene.listed("sessions"))
    return [decode_intent(scene.truth.get(key), what=key) for key in found]


@pytest.mark.parametrize("moment", [1, 2], ids=["at the start", "at the log check"])
def test_a_run_that_begins_at_any_listing_of_the_log_kills_nothing_that_is_published(
    scene, first, second, moment
):
    """Everything stored so far is condemned and deleted: the put stores it again under new keys."""
    scene.put(first)
    condemned = []

    def collect():
        condemned.extend(condemn(scene.truth, "blobs", "meta"))
        purge(scene, 0)

    backend = scene.meddling("list_objects", "gc", collect, nth=moment)
    outcome = scene.put(second, backend)
    destroy(scene.truth, condemned)

    assert condemned
    assert scene.held(outcome.ref) == second


def test_a_run_that_begins_after_the_log_check_finds_every_blob_in_an_intent(scene, first, second):
    """W1 before W2: a collector that the check missed lists intents later, and they name all."""
    scene.put(first)
    seen = []
    backend = scene.meddling("create", "versions/", lambda: seen.extend(intents_of(scene)))
    outcome = scene.put(second, backend)

    (intent,) = seen
    version = scene.store().version(outcome.ref)
    needed = {row.tobytes() for page in version._pages.iter_pages() for row in page.blob_ids}
    assert (intent.final, intent.slot) == (True, 1)
    assert needed <= ids_of(intent.blob_ids)
    assert version.record.root.blob_id.raw in ids_of(intent.meta_ids)


def test_reused_pages_are_named_behind_the_root_that_has_them(scene, first):
    """A forced put of the same tree shares all pages: its intent leads to the old root."""
    scene.put(first)
    seen = []
    backend = scene.meddling("create", "versions/", lambda: seen.extend(intents_of(scene)))

    scene.store(backend).put(scene.source(first), "data", FORCED)

    assert [one.pages for one in seen] == [(scene.store().version("data:v0").record.root,)]


def publish_with_its_root_apart(scene):
    """Publish v0 again as v1, as a writer does who has no new pages to put beside the root."""
    base = scene.store().version("data").record
    root = encode_root(PageReader(scene.truth).read_root(base.root))
    mark = SessionId(b"a" * 16)
    apart = assemble_manifest(mark, [], lambda _: root)
    for blob in apart.blobs:
        write_meta_blob(scene.truth, blob)
    publish(scene.truth, replace(base, number=1, root=apart.root, session=mark), NAME, 1)


def test_pages_are_named_one_by_one_when_the_root_is_about_to_go(scene, first):
    """What only leads to shared pages through a condemned root would protect nothing."""
    scene.put(first)
    publish_with_its_root_apart(scene)
    old_root = scene.store().version("data").record.root
    reader = PageReader(scene.truth)
    root = reader.read_root(old_root)
    page_blobs = ids_of(root.blob_ids.tobytes())
    assert old_root.blob_id.raw not in page_blobs
    seen = []
    second_check = scene.meddling("create", "versions/", lambda: seen.extend(intents_of(scene)))
    condemn(scene.truth, ids=[old_root.blob_id.raw])

    outcome = scene.store(second_check).put(scene.source(first), "data", FORCED)
    destroy(scene.truth, [old_root.blob_id.raw])

    final = seen[-1]
    assert {one.page_id.raw for one in final.pages} <= ids_of(root.page_ids.tobytes())
    assert final.pages
    assert scene.held(outcome.ref) == first


def test_every_later_final_intent_is_complete_and_keeps_the_slot(scene, first, second):
    """After a bad check the new intent names the blobs of the first try, too."""
    scene.put(first)
    old = [keys.parse_blob_key(key).raw for key in scene.listed("blobs")]
    seen = []
    backend = scene.meddling("create", "versions/", lambda: seen.extend(intents_of(scene)))
    started = scene.meddling("put", "sessions/", lambda: condemn(scene.truth, ids=old))
    started._backend = backend

    outcome = scene.put(second, started)

    assert [one.k for one in seen] == [0, 1]
    assert [(one.final, one.slot) for one in seen] == [(True, 1), (True, 1)]
    version = scene.store().version(outcome.ref)
    needed = {row.tobytes() for page in version._pages.iter_pages() for row in page.blob_ids}
    assert needed <= ids_of(seen[-1].blob_ids)
    assert needed & ids_of(seen[0].blob_ids), "the second try shares what the first one stored"
    assert not needed & set(old)


def test_the_segments_of_both_tries_lead_to_their_blobs(scene, first, second):
    """A put that starts again replaces nothing that it wrote before."""
    scene.put(first)
    backend = scene.meddling("put", "sessions/", lambda: condemn(scene.truth, "blobs"))
    scene.put(second, backend)

    index = load_index(scene.truth, floor=0, budget_bytes=1 << 24)
    blobs = {keys.parse_blob_key(key).raw for key in scene.listed("blobs")}
    ids = np.concatenate(
        [scene.store().parts.tables.read(ref).chunk_ids for ref in index_blobs(index)]
    )

    assert {ref.blob_id for ref in index.candidates(ids)} == blobs


def index_blobs(index):
    """Every blob that the index knows of."""
    for loaded in index._segments:
        segment = loaded.segment
        for row, raw in enumerate(segment.blob_ids):
            yield BlobRef(
                blob_id=raw.tobytes(),
                size=int(segment.blob_sizes[row]),
                table_offset=int(segment.table_offsets[row]),
                stamp=segment.stamp,
            )


def test_a_session_settled_while_it_tries_again_publishes_under_another_id(scene, first, second):
    """W3 begins at the slot of the first intent, so it meets the void in it and does not walk by."""
    scene.put(first)
    fenced = []

    def fence():
        condemn(scene.truth, "blobs")
        intent = intents_of(scene)[0]
        fenced.append(intent.session)
        scene.truth.create(keys.version_key(NAME, 1), encode_slot(VoidRecord(intent.session)))

    # The listing at the log check: the run is seen there, and the next try sees the void listed.
    outcome = scene.put(second, scene.meddling("list_objects", "gc", fence, nth=2))

    assert isinstance(read_slot(scene.truth, NAME, 1), VoidRecord)
    assert outcome.number == 2
    assert scene.store().version(outcome.ref).record.session not in fenced
    assert scene.held(outcome.ref) == second


def test_a_fenced_writer_leaves_its_old_intents_to_the_collector(scene, first):
    """It deletes what its new session put, and nothing of the session that was settled."""
    left = []

    def fence():
        intent = intents_of(scene)[0]
        left.append(keys.intent_key(intent.session, intent.k))
        scene.truth.create(keys.version_key(NAME, 0), encode_slot(VoidRecord(intent.session)))

    scene.put(first, scene.meddling("create", "versions/", fence))

    assert sorted(scene.listed("sessions")) == left


def test_a_dead_put_whose_blobs_were_collected_is_not_resumed_from_them(scene, first):
    """The notes of the journal carry an old stamp: the runs since then are looked at."""
    source = scene.source(first)
    backend = FaultyBackend(scene.truth)
    backend._begin = refuse_slots(backend._begin)
    with pytest.raises(cas.BackendError):
        scene.store(backend, journal=True).put(source, "data", PLAIN)
    gone = condemn(scene.truth, "blobs")
    decide(scene.truth)
    # The deletion is still under way when the next put reads.
    backend = scene.meddling("create", "versions/", lambda: destroy(scene.truth, gone))

    outcome = scene.store(backend, journal=True).put(source, "data", PLAIN)

    assert scene.held(outcome.ref) == first
    assert scene.store().version(outcome.ref).record.stamp == 1


def test_an_intent_says_the_lowest_stamp_of_what_it_names(scene, first):
    """Resumed blobs are known with the stamp of the put that died, not with a later one."""
    source = scene.source(first)
    backend = FaultyBackend(scene.truth)
    backend._begin = refuse_slots(backend._begin)
    with pytest.raises(cas.BackendError):
        scene.store(backend, journal=True).put(source, "data", PLAIN)
    for key in scene.listed("sessions"):
        scene.truth.delete(key)
    condemn(scene.truth, ids=[b"x" * 32])
    decide(scene.truth)
    seen = []
    backend = scene.meddling("create", "versions/", lambda: seen.extend(intents_of(scene)))

    scene.store(backend, journal=True).put(source, "data", PLAIN)

    assert [one.stamp for one in seen] == [0]
    assert scene.store().version("data").record.stamp == 1


def refuse_slots(begin):
    def refusing(kind, key):
        if kind == "create":
            raise cas.BackendError("refused")
        return begin(kind, key)

    return refusing


class Later:
    """A clock an hour ahead, by which files just written are old enough to be trusted."""

    def now_ns(self):
        return SystemClock().now_ns() + 3_600_000_000_000


@pytest.mark.parametrize("has_journal", [False, True], ids=["index", "journal"])
def test_facts_below_the_floor_are_not_used(scene, first, has_journal):
    """Neither an old segment nor the journal may lead to blobs of which the log says nothing."""
    source = [str(scene.source(first))]

    def put_on(backend):
        parts = replace(scene.store(backend, journal=has_journal).parts, clock=Later())
        return put(parts, source, NAME, PLAIN)

    put_on(scene.truth)
    assert (put_on(scene.truth).read_files == 0) == has_journal
    purge(scene, 0)
    scene.truth.put(keys.floor_key(5), [encode_floor(5)])
    listed = [*scene.listed("blobs"), *scene.listed("meta")]
    old = [keys.parse_blob_key(key).raw for key in listed]
    backend = scene.meddling("create", "versions/", lambda: destroy(scene.truth, old))

    outcome = put_on(backend)

    assert outcome.read_files == len(first)
    assert scene.held(outcome.ref) == first
    assert scene.store().version(outcome.ref).record.stamp == 5


def test_a_run_that_is_decided_during_the_put_raises_the_stamp_of_the_version(scene, first):
    """The log check saw it resolved, so who builds on this version need not look at it again."""

    def collect():
        condemn(scene.truth, ids=[b"x" * 32])
        decide(scene.truth)

    scene.put(first, scene.meddling("put", "sessions/", collect))

    assert scene.store().version("data").record.stamp == 1


@pytest.mark.parametrize(("cleared", "shared"), [("all", True), ("named", True), ("none", False)])
def test_only_what_a_verdict_clears_is_shared(scene, first, cleared, shared):
    """The run is over: what it cleared lives, what it did not clear is being deleted."""
    scene.put(first)
    ids = condemn(scene.truth, "blobs")
    decide(scene.truth, cleared=ids if cleared == "named" else (), everything=cleared == "all")
    scene.truth.put(keys.done_key(1), [encode_done(1)])
    # Another artifact: nothing but the index, whose stamp is older than the run, leads there.
    outcome = scene.store().put(scene.source(first), "other", PLAIN)
    if not shared:
        destroy(scene.truth, ids)

    named = {
        row.tobytes()
        for page in scene.store().version("other")._pages.iter_pages()
        for row in page.blob_ids
    }
    assert (named <= set(ids)) == shared
    assert bool(named & set(ids)) == shared
    assert scene.held(outcome.ref) == first
    assert scene.store().version("other").record.stamp == 1


def test_a_hole_in_the_log_makes_the_put_learn_afresh_and_never_publish_on_it(scene, first):
    """A run whose number is missing may have killed anything; after some tries the put says so."""
    scene.put(first)
    condemn(scene.truth, ids=[b"x" * 32], run=2)

    with pytest.raises(cas.ConflictError):
        scene.store().put(scene.source(first), "data", FORCED)

    assert scene.live() == [0]
    assert scene.listed("sessions") == {}


def test_a_record_that_goes_while_it_is_read_makes_the_put_learn_afresh(scene, first):
    """Expired between listing and reading: the floor that replaced it is found at the next try."""
    scene.put(first)

    def expire():
        scene.truth.put(keys.floor_key(1), [encode_floor(1)])
        scene.truth.delete(keys.condemn_key(1))

    watching = scene.meddling("get", "gc/", expire)
    backend = scene.meddling("put", "sessions/", lambda: condemn(scene.truth, ids=[b"x" * 32]))
    backend._backend = watching

    outcome = scene.store(backend).put(scene.source(first), "data", FORCED)

    assert scene.store().version(outcome.ref).record.stamp == 1
    assert scene.held(outcome.ref) == first


def test_the_log_is_listed_before_the_version_is_read(scene, first):
    """Afresh: what a run killed before the listing is not in a version that is visible after it."""
    scene.put(first)
    backend = FaultyBackend(scene.truth)

    read_surroundings(backend, PageReader(backend), NAME)

    kinds = [(one.kind, one.key.partition("/")[0]) for one in backend.log]
    assert kinds[0] == ("list_objects", "gc")
    assert kinds.count(("list_objects", "gc")) == 1
    assert ("list_objects", "artifacts") in kinds


def test_blobs_stored_again_have_new_keys(scene, first):
    """A deletion still under way hits the old key, never the new one."""
    scene.put(first)
    old = set(scene.listed("blobs"))
    condemn(scene.truth, "blobs")

    scene.store().put(scene.source(first), "data", FORCED)

    assert old < set(scene.listed("blobs"))


def test_a_collector_that_always_condemns_ends_in_a_clear_error(scene):
    """After eight tries the put gives up, publishes nothing and leaves no intent."""
    tree = {b"noise": random_content(3, 50_000)}
    runs = iter(range(1, 100))

    class Collecting(FaultyBackend):
        def put(self, key, parts):
            if key.startswith("sessions/"):
                intent = decode_intent(b"".join(parts), what=key)
                condemn(scene.truth, run=next(runs), ids=ids_of(intent.blob_ids))
            super().put(key, parts)

    with pytest.raises(cas.ConflictError) as caught:
        scene.put(tree, Collecting(scene.truth))

    assert caught.value.code is cas.ErrorCode.LOST_RACE
    assert next(runs) == 9
    assert scene.live() == []
    assert scene.listed("sessions") == {}


def test_the_newest_record_of_all_is_the_one_that_the_stamp_speaks_of(scene, first):
    """A version's stamp is what its log check saw resolved, and readers of it start there."""
    condemn(scene.truth, ids=[b"x" * 32])
    decide(scene.truth)
    condemn(scene.truth, ids=[b"y" * 32], run=2)

    scene.put(first)

    record = read_slot(scene.truth, NAME, 0)
    assert isinstance(record, VersionRecord)
    assert record.stamp == 1
    assert record.created_ns <= SystemClock().now_ns()
