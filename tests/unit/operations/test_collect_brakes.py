"""A collection that sees something wrong deletes nothing, says what, and names the override."""

from __future__ import annotations

from dataclasses import replace

import pytest
from collected import (
    AT_ONCE,
    NAME,
    OPTIONS,
    TREES,
    Interrupted,
    collect,
    copied,
    die_at,
    held,
    live_ids,
    purge,
    put,
)

import cas
from cas.backend.base import StoredObject
from cas.backend.forwarding import ForwardingBackend
from cas.backend.memory import MemoryBackend
from cas.cli.failures import exit_code_of, explain
from cas.environment import SystemClock
from cas.format import keys
from cas.format.version import VoidRecord
from cas.model.ids import BlobId
from cas.model.names import ArtifactName
from cas.objects.collection_log import list_log
from cas.objects.collections import put_floor
from cas.objects.id_sets import without
from cas.objects.versions import list_slots, read_slot
from cas.operations.brakes import BrakeKind
from cas.operations.collect_garbage import collect_garbage
from cas.operations.init import init_store
from cas.operations.plan_collection import plan_collection
from cas.operations.plan_repack import RepackLimits
from cas.operations.survey import Survey
from cas.testing.corpora import random_content

ALONE = {b"alone": random_content(50, 9000)}
CAREFUL = replace(AT_ONCE, overrides=frozenset())


@pytest.fixture
def backend(tmp_path):
    """A store of v0, purged, v1 and v2."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    for tree in (ALONE, *TREES[1:3]):
        put(backend, tmp_path, tree)
    purge(backend, 0)
    return backend


class Hiding(ForwardingBackend):
    """Leaves keys out of listings, from the nth listing of their folder on."""

    def __init__(self, backend, hidden, *, part="", since=1):
        super().__init__(backend)
        self._hidden = hidden
        self._part = part
        self._since = since

    def list_objects(self, prefix):
        if self._part in prefix:
            self._since -= 1
        if self._since > 0:
            return self._backend.list_objects(prefix)
        return iter([o for o in self._backend.list_objects(prefix) if not self._hidden(o.key)])

    def list_folders(self, prefix):
        found = self._backend.list_folders(prefix)
        return [name for name in found if not self._hidden(f"{prefix}/{name}")]


def braked(backend, options=CAREFUL, **opening):
    """Collect, expect a brake, and return its error; everything must still be there."""
    truth = getattr(backend, "_backend", backend)
    before = blobs(truth)
    parts = cas.Store.on(backend, options=replace(OPTIONS, **opening)).parts
    with pytest.raises(cas.RefusedError) as caught:
        collect_garbage(parts, options)
    assert blobs(truth) >= before, "nothing was deleted"
    assert all("verdict" in kinds for kinds in list_log(truth).runs.values()), "no run stays open"
    assert caught.value.code is cas.ErrorCode.BRAKE
    assert exit_code_of(explain(caught.value)) == 10
    return caught.value


def blobs(backend):
    return {one.key for folder in ("blobs", "meta") for one in backend.list_objects(folder)}


def overriding(*kinds):
    return replace(CAREFUL, overrides=frozenset({BrakeKind.TOO_MUCH, *kinds}))


def test_more_than_a_third_of_the_bytes_goes_only_when_that_is_asked_for(backend):
    """The message says how much it is, the hint how to let it go."""
    error = braked(backend)

    assert "% of the bytes in the store would go" in str(error)
    assert "--override too-much" in (error.hint or "")
    assert collect(backend, overriding()).deleted.blobs == 2


def test_a_plan_shows_the_brakes_that_would_hold(backend):
    """Nobody needs to try it out."""
    plan = plan_collection(cas.Store.on(backend, options=OPTIONS).parts, CAREFUL)

    assert [brake.kind for brake in plan.brakes] == [BrakeKind.TOO_MUCH]
    assert plan.garbage.blobs == 2


def test_a_missing_blob_of_a_live_version_is_named_with_the_version(backend):
    """Something else deletes here: better find out than delete more."""
    root = read_slot(backend, NAME, 1).root
    backend.delete(keys.meta_key(root.blob_id))

    error = braked(backend, overriding(BrakeKind.UNREADABLE_PAGE))

    assert f"data:v1 needs blobs that are not there: {root.blob_id.short}" in str(error)
    assert "--override missing-blob" in (error.hint or "")


def test_a_missing_blob_can_be_overridden(backend):
    """What is lost is lost; the rest is collected."""
    backend.delete(keys.meta_key(read_slot(backend, NAME, 1).root.blob_id))
    everything = overriding(BrakeKind.MISSING_BLOB, BrakeKind.UNREADABLE_PAGE)

    outcome = collect(backend, everything)

    assert outcome.deleted.blobs == 2
    assert held(backend, "data:v2") == TREES[2]


def damage(backend, key, at):
    content = bytearray(backend.get(key))
    content[at] ^= 1
    backend.put(key, [content])


def test_a_damaged_page_of_a_version_stops_it(backend):
    """What is behind it cannot be told from garbage."""
    root = read_slot(backend, NAME, 1).root
    damage(backend, keys.meta_key(root.blob_id), root.offset + 60)

    error = braked(backend, overriding())

    assert "which data:v1 needs" in str(error)
    assert "--override unreadable-page" in (error.hint or "")
    assert collect(backend, overriding(BrakeKind.UNREADABLE_PAGE)).deleted.blobs == 2
    assert held(backend, "data:v2") == TREES[2]


def test_a_damaged_record_of_a_version_stops_it(backend):
    """It may need anything."""
    damage(backend, keys.version_key(NAME, 1), 30)

    assert "versions/0000000001" in str(braked(backend, overriding()))


@pytest.mark.parametrize("grace", [0, 3600], ids=["dead", "alive"])
def test_a_damaged_intent_stops_it(backend, tmp_path, grace):
    """It may protect anything, and whose slot it names cannot be told."""
    die_at(backend, tmp_path, TREES[3], "create", "versions/")
    (intent,) = backend.list_objects("sessions")
    damage(backend, intent.key, 30)

    options = replace(overriding(), grace_seconds=grace)
    plan = plan_collection(cas.Store.on(backend, options=OPTIONS).parts, options)
    error = braked(backend, options)

    assert str(error).count(intent.key) == 1
    assert BrakeKind.UNREADABLE_PAGE in {brake.kind for brake in plan.brakes}


def test_a_damaged_intent_that_is_overridden_stops_no_later_collection(backend, tmp_path):
    """It protects nothing any more; the slot that others of its session name is settled first."""
    die_at(backend, tmp_path, TREES[3], "create", "versions/")
    (intent,) = backend.list_objects("sessions")
    twin = keys.intent_key(keys.parse_intent_key(intent.key)[0], 7)
    backend.put(twin, [b"no intent"])
    with pytest.raises(cas.RefusedError):
        collect(backend, overriding())
    assert 3 not in list_slots(backend, NAME).slots

    collect(backend, overriding(BrakeKind.UNREADABLE_PAGE))
    again = collect(backend, overriding())

    assert isinstance(read_slot(backend, NAME, 3), VoidRecord)
    assert [*backend.list_objects("sessions")] == []
    assert again.runs == ()


def test_a_damaged_intent_of_a_writer_at_work_stays_though_it_is_overridden(backend, tmp_path):
    """It is nobody's to settle."""
    die_at(backend, tmp_path, TREES[3], "create", "versions/")
    (intent,) = backend.list_objects("sessions")
    damage(backend, intent.key, 30)

    collect(backend, replace(overriding(BrakeKind.UNREADABLE_PAGE), grace_seconds=3600))

    assert [one.key for one in backend.list_objects("sessions")] == [intent.key]


def test_a_slot_missing_between_others_shows_that_the_listing_is_short(backend):
    """Slots are taken one after the other and never given back."""
    hiding = Hiding(backend, lambda key: key == keys.version_key(NAME, 1))

    assert "data:v1 is not listed" in str(braked(hiding, overriding()))


def test_the_newest_slot_is_missed_by_who_collected_here_before(backend, tmp_path):
    """Each machine notes how many versions there were when it last looked."""
    options = {"journal": True, "cache_dir": str(tmp_path / "cache")}
    store = cas.Store.on(backend, options=replace(OPTIONS, **options))
    assert plan_collection(store.parts, overriding()).brakes[:-1] == ()
    hiding = Hiding(backend, lambda key: key == keys.version_key(NAME, 2))

    error = braked(hiding, overriding(), **options)

    assert "data:v2 is not listed though an earlier collection knows of it" in str(error)


def test_an_alias_of_a_slot_that_is_not_listed_gives_it_away(backend):
    """An alias points only at what was there."""
    cas.Store.on(backend, options=OPTIONS).tag("data:v2", ["production"])
    hiding = Hiding(backend, lambda key: key == keys.version_key(NAME, 2))

    assert "its alias 'production' knows of it" in str(braked(hiding, overriding()))


def test_a_version_made_from_one_that_is_not_listed_gives_it_away(backend, tmp_path):
    """So does another artifact's lineage for a whole artifact."""
    source = tmp_path / "made"
    source.mkdir()
    (source / "file").write_bytes(b"made")
    made = cas.PutOptions(provenance=False, inputs=("data:v2",))
    cas.Store.on(backend, options=OPTIONS).put(source, "made", made)
    hiding = Hiding(backend, lambda key: key.startswith("artifacts/data"))

    assert "data:v2 is not listed though made:v0 knows of it" in str(braked(hiding, overriding()))


def test_a_log_that_ends_before_a_version_was_put_is_short(backend, tmp_path):
    """Its number would be used again."""
    put_floor(backend, 7)
    put(backend, tmp_path, TREES[3])
    backend.delete(keys.floor_key(7))

    assert "ends at run 0, and a version knows of 7" in str(braked(backend, overriding()))


def test_what_is_listed_at_first_and_not_after_condemning_stops_it(backend):
    """The second look decides what dies, so it must not show less than the first."""
    hiding = Hiding(
        backend,
        lambda key: key == keys.version_key(NAME, 2),
        part="artifacts/data/versions",
        since=2,
    )

    error = braked(hiding, overriding())

    assert "data:v2 is not listed though it was a moment ago" in str(error)
    assert held(backend, "data:v2") == TREES[2]


def test_a_version_published_meanwhile_that_lost_a_blob_stops_it(backend, tmp_path):
    """Either the protocol was broken or somebody else deletes here."""

    def publish_and_lose(truth):
        before = blobs(truth)
        put(truth, tmp_path, TREES[3])
        truth.delete(min(key for key in blobs(truth) - before if key.startswith("blobs/")))

    total = Interrupted(copied(backend), -1, put)
    collect(total, overriding())
    condemn = next(one.number for one in total.log if one.kind == "create")
    meddling = Interrupted(backend, condemn, publish_and_lose)

    error = braked(meddling, overriding())

    assert "data:v3, published meanwhile, needs blobs that are not there" in str(error)
    assert "--override young-loss" in (error.hint or "")


def test_what_was_moved_and_collected_meanwhile_is_not_missing(mostly_dead):
    """A repack by somebody else led the version away from what is gone."""
    parts = cas.Store.on(mostly_dead, options=OPTIONS).parts
    with Survey(parts, CAREFUL) as survey:
        versions = [one for one in survey.live.add_versions() if not one.is_purged]
        needed = survey.live.needed.ids()

        collect(mostly_dead, REPACKING)
        gone = without(needed, survey.list_blobs().ids)

        assert len(gone)
        assert survey.missing(versions, needed, survey.list_blobs()) == []


class Dated(ForwardingBackend):
    """Says that everything was stored at one time."""

    def __init__(self, backend, time_ns):
        super().__init__(backend)
        self._time_ns = time_ns

    def list_objects(self, prefix):
        for one in self._backend.list_objects(prefix):
            yield StoredObject(one.key, one.size, self._time_ns)


def test_what_is_young_stays_unless_a_purged_version_named_it(backend):
    """So deleting for good frees space at once, and a put that just began is left alone."""
    backend.put(keys.blob_key(BlobId(b"y" * 32)), [b"of a put that just began"])
    now = SystemClock().now_ns()
    options = replace(overriding(), grace_seconds=3600)

    young = collect(Dated(backend, now - 60 * 10**9), options)
    old = collect(Dated(backend, now - 7200 * 10**9), options)

    assert [share.why for share in young.plan.shares] == ["purged"]
    assert young.deleted.blobs == 2
    assert young.plan.young.blobs > 0
    assert [share.why for share in old.plan.shares] == ["unreferenced"]
    assert old.plan.young.blobs == 0


def test_with_a_brake_on_no_version_is_let_go(backend):
    """Neither purged nor put into the trash: both wait until the brake is gone or overridden."""
    store = cas.Store.on(backend, options=OPTIONS)
    store.set_ttl("data:v2", "0s")
    store.delete("data:v1")
    policy = cas.RetentionPolicy(trash_keep_ns=0)

    error = braked(backend, replace(CAREFUL, policy=policy))
    moves = dict(list_slots(backend, NAME).moves)
    outcome = collect(backend, replace(overriding(), policy=policy))

    assert "would go" in str(error)
    assert moves == {0: 2, 1: 1}
    assert [one.number for one in outcome.moved.purged] == [1]
    assert [one.number for one in outcome.moved.trashed] == [2]
    assert blobs(backend) == needed_by_trash(backend)


def needed_by_trash(backend):
    """All that is left is what v2, in the trash, needs."""
    copy = copied(backend)
    cas.Store.on(copy, options=OPTIONS).restore("data:v2")
    assert held(copy, "data:v2") == TREES[2]
    return {
        f"{folder}/{raw.hex()[:2]}/{raw.hex()}"
        for raw in live_ids(backend)
        for folder in ("blobs", "meta")
    } & blobs(backend)


# -- with a repack


REPACKING = replace(CAREFUL, repack=cas.RepackOptions(limits=RepackLimits(live_share=0.9)))
FULL = {b"%d" % n: random_content(60 + n, 6000) for n in range(8)}


@pytest.fixture
def mostly_dead(tmp_path):
    """A store of v0, purged, and v1, which needs a little of its blob, and of a small artifact."""
    backend = MemoryBackend()
    init_store(backend, SystemClock(), chunk_average=4 << 10)
    put(backend, tmp_path, FULL)
    put(backend, tmp_path, {b"2": FULL[b"2"]})
    put(backend, tmp_path, TREES[1], "small")
    purge(backend, 0)
    return backend


def test_what_a_repack_supersedes_does_not_count_as_much(mostly_dead):
    """Most of the store goes, which was verified and stored anew before."""
    parts = cas.Store.on(mostly_dead, options=OPTIONS).parts

    plan = plan_collection(parts, REPACKING)
    outcome = collect(mostly_dead, REPACKING)

    assert plan.brakes == ()
    assert plan.garbage.bytes > 0.5 * plan.store.bytes
    assert outcome.deleted == plan.garbage
    assert held(mostly_dead, "data:v1") == {b"2": FULL[b"2"]}


def test_other_garbage_counts_beside_a_repack(mostly_dead, tmp_path):
    """A purged version of its own blobs brakes before anything is stored or moved."""
    put(mostly_dead, tmp_path, {b"alone": random_content(70, 60_000)}, "gone")
    purge(mostly_dead, 0, ArtifactName("gone"))
    parts = cas.Store.on(mostly_dead, options=OPTIONS).parts
    before = copied(mostly_dead)

    plan = plan_collection(parts, REPACKING)
    with pytest.raises(cas.RefusedError, match="nothing was deleted: "):
        collect(mostly_dead, REPACKING)

    assert [brake.kind for brake in plan.brakes] == [BrakeKind.TOO_MUCH]
    assert mostly_dead.__getstate__() == before.__getstate__()


def test_a_brake_after_a_repack_says_that_it_was_done(mostly_dead):
    """Nobody should wonder why the store grew."""
    version = cas.Store.on(mostly_dead, options=OPTIONS).version("small")
    lost = keys.blob_key(BlobId(version._pages.find(b"own")[0].blob_ids[0].tobytes()))

    def is_hidden(key):
        return key == lost and any(".r" in one.key for one in mostly_dead.list_objects(""))

    with pytest.raises(cas.RefusedError, match="nothing was deleted, but a repack was done: small"):
        collect(Hiding(mostly_dead, is_hidden), REPACKING)

    assert held(mostly_dead, "data:v1") == {b"2": FULL[b"2"]}


def test_a_repack_does_not_begin_where_pages_are_passed_over(mostly_dead):
    """It would end in the midst, when the policy has purged for good already."""
    options = replace(
        REPACKING,
        policy=cas.RetentionPolicy(trash_keep_ns=0),
        overrides=frozenset({BrakeKind.UNREADABLE_PAGE}),
    )
    cas.Store.on(mostly_dead, options=OPTIONS).delete("small:v0")
    before = copied(mostly_dead)

    with pytest.raises(cas.InvalidInputError, match="reads every page"):
        collect(mostly_dead, options)
    with pytest.raises(cas.InvalidInputError, match="reads every page"):
        plan_collection(cas.Store.on(mostly_dead, options=OPTIONS).parts, options)

    assert mostly_dead.__getstate__() == before.__getstate__()


def test_a_dry_run_that_cannot_look_ahead_tells_the_brakes_alone(mostly_dead):
    """A page that is missing keeps it from knowing what lives; the run would not begin."""
    record = read_slot(mostly_dead, ArtifactName("small"), 0)
    mostly_dead.delete(keys.meta_key(record.root.blob_id))
    parts = cas.Store.on(mostly_dead, options=OPTIONS).parts

    plan = plan_collection(parts, REPACKING)

    assert plan.repack is None
    assert BrakeKind.UNREADABLE_PAGE in {brake.kind for brake in plan.brakes}
