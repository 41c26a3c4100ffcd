"""Repair brings back what is to be had somewhere, says exactly what is not, and removes nothing."""

from __future__ import annotations

import pytest

import cas
from cas.format.blob import FRAME_TAG, HEADER_BYTES, decode_frame_head
from cas.model.progress import Cancel, Cancelled
from cas.testing.corpora import random_content, text_content

DATA = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
TREE = {
    b"large.bin": random_content(7, 2_000_000),
    b"sub/other": random_content(8, 200_000),
    b"sub/text": text_content(9, 90_000),
    b"tiny": b"tiny",
    b"zeros": bytes(400_000),
}
NEXT = TREE | {b"sub/other": random_content(10, 200_000)}


def flip(scene, key, at=None):
    content = bytearray(scene.truth.get(key))
    content[len(content) // 2 if at is None else at] ^= 1
    scene.truth.put(key, [bytes(content)])


def largest(scene, folder="blobs"):
    listed = scene.listed(folder)
    return max(listed, key=lambda key: listed[key])


def spoil(scene, how):
    """Damage the largest data blob."""
    key = largest(scene)
    content = scene.truth.get(key)
    if how == "missing":
        scene.truth.delete(key)
    elif how == "cut":
        scene.truth.put(key, [content[: len(content) // 2]])
    elif how == "table":
        flip(scene, key, -30)
    elif how == "header":
        flip(scene, key, 30)
    elif how == "head":
        flip(scene, key, 60)
    else:
        flip(scene, key)
    return key


HOWS = ("missing", "cut", "table", "header", "head", "chunk")


def repair(scene, ref=None, *, paths=(), stores=(), apply=True):
    options = cas.RepairOptions(apply=apply, paths=tuple(map(str, paths)))
    return scene.store().repair(ref, options, stores=stores)


def everything(scene):
    return {one.key: scene.truth.get(one.key) for one in scene.truth.list_objects("")}


def only_added(before, scene, *, may_go=("gc/damage-", "verify/")):
    """Whether all that was stored is still there as it was."""
    after = everything(scene)
    return all(
        after.get(key) == content for key, content in before.items() if not key.startswith(may_go)
    )


def two_versions(scene):
    scene.put(TREE)
    scene.put(NEXT)


def read_exactly(raw, size):
    content = bytearray()
    while len(content) < size:
        content += raw.read(size - len(content))
    return bytes(content)


def check_whole(scene):
    assert scene.held("data:v0") == TREE
    assert scene.held("data:v1") == NEXT
    outcome = scene.store().verify(None, DATA)
    assert (outcome.problems, outcome.unread) == ((), ())
    assert [key for key in scene.listed("gc") if "damage" in key] == []
    assert scene.listed("sessions") == {}


@pytest.mark.parametrize("how", HOWS)
def test_another_store_heals_whatever_happened_to_a_blob(make_scene, how):
    """The copy has other blobs, with the same chunks; both versions are whole after it."""
    scene, other = make_scene(), make_scene()
    two_versions(scene)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    spoil(scene, how)
    scene.store().verify(None, DATA)
    before = everything(scene)

    outcome = repair(scene, stores=[other.store()])

    assert outcome.is_whole, outcome
    assert outcome.revised == ("data:v0", "data:v1")
    assert only_added(before, scene)
    check_whole(scene)


@pytest.mark.parametrize("how", HOWS)
def test_plain_files_heal_whatever_happened_to_a_blob(scene, tmp_path, how):
    """Under any names: chunks are found by what they are, files by their hashes."""
    two_versions(scene)
    folder = tmp_path / "files"
    for number, content in enumerate({*TREE.values(), *NEXT.values()}):
        (folder / f"{number}").mkdir(parents=True)
        (folder / f"{number}" / "x").write_bytes(content)
    spoil(scene, how)
    scene.store().verify(None, DATA)
    before = everything(scene)

    outcome = repair(scene, paths=[folder])

    assert outcome.is_whole, outcome
    assert only_added(before, scene)
    check_whole(scene)


@pytest.mark.parametrize("how", ["table", "header", "head"])
def test_what_a_scan_finds_needs_no_other_copy(scene, how):
    """Every chunk is still there: its table is made again from the heads, or chunks move."""
    two_versions(scene)
    spoil(scene, how)
    scene.store().verify(None, DATA)

    outcome = repair(scene)

    assert outcome.is_whole, outcome
    check_whole(scene)


def test_a_table_with_a_damaged_head_is_made_up_for_by_whole_files(scene):
    """Nothing vouches for what the scan found but the hash of every file."""
    two_versions(scene)
    key = largest(scene)
    flip(scene, key, -30)
    flip(scene, key, 10)  # the nonce: the table cannot be made again
    scene.store().verify(None, DATA)

    outcome = repair(scene)

    assert outcome.is_whole, outcome
    check_whole(scene)


def test_another_blob_of_the_same_store_heals(scene):
    """A chunk that was stored twice."""
    two_versions(scene)
    key = spoil(scene, "chunk")
    content = scene.truth.get(key)
    scene.truth.delete(key)
    scene.store().verify(None)
    # Stored again as another artifact, since the blob was missing; now it is back, but damaged.
    scene.store().put(scene.source(TREE, "again"), "again", cas.PutOptions(provenance=False))
    scene.truth.put(key, [content])
    scene.store().verify(None, DATA)

    outcome = repair(scene)

    assert outcome.is_whole, outcome
    assert outcome.found_chunks == 1
    check_whole(scene)


def test_a_mirror_of_the_store_heals_by_the_same_blobs(make_scene):
    """A backup made object by object has the very same blob under the same key."""
    scene, mirror = make_scene(), make_scene()
    two_versions(scene)
    for key, content in everything(scene).items():
        mirror.truth.put(key, [content])
    spoil(scene, "missing")

    assert repair(scene, stores=[mirror.store()]).is_whole
    check_whole(scene)


@pytest.mark.parametrize("how", HOWS)
def test_what_is_lost_is_told_to_the_byte_and_nothing_else_is(scene, how):
    """Every byte outside of the holes can be read; the holes are of the right files."""
    two_versions(scene)
    spoil(scene, how)
    scene.store().verify(None, DATA)
    before = everything(scene)

    outcome = repair(scene)

    if how in ("table", "header", "head"):
        assert outcome.is_whole
        return
    assert outcome.lost
    assert only_added(before, scene)
    store = scene.store()
    for number, tree in enumerate((TREE, NEXT)):
        version = store.version(f"data:v{number}")
        for path in version:
            holes = [h for h in outcome.lost if (h.version, h.path) == (f"data:v{number}", path)]
            content = tree[path.encode()]
            at = 0
            for hole in [*sorted(holes, key=lambda h: h.start), None]:
                stop = len(content) if hole is None else hole.start
                with version.open(path) as file:
                    file.raw.seek(at)  # without a buffer that reads on into the hole
                    assert read_exactly(file.raw, stop - at) == content[at:stop]
                at = len(content) if hole is None else hole.stop
    if how == "chunk":
        assert sum(hole.stop - hole.start for hole in outcome.lost) < 600_000


def test_a_dry_run_writes_nothing_and_tells_the_same(make_scene):
    """It goes through everything but the writing."""
    scene, other = make_scene(), make_scene()
    two_versions(scene)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    for how in ("chunk", "missing"):
        spoil(scene, how)
        scene.store().verify(None, DATA)
        before = everything(scene)

        planned = repair(scene, stores=[other.store()], apply=False)

        assert everything(scene) == before
        done = repair(scene, stores=[other.store()])
        assert (planned.revised, planned.found_chunks) == (done.revised, done.found_chunks)
        assert (planned.is_whole, planned.applied, done.applied) == (True, False, True)


@pytest.mark.parametrize("how", ["missing", "root", "all"])
@pytest.mark.parametrize("source", ["store", "folder", "version"])
def test_pages_and_roots_are_made_again_from_a_copy_of_the_version(make_scene, how, source):
    """Of another store, a folder, or another version of the same digest."""
    scene, other = make_scene(), make_scene()
    scene.put(TREE)
    (meta,) = scene.listed("meta")
    scene.store().copy("data:v0", other.store())
    if source == "version":
        scene.store().put(
            scene.source(TREE | {b"x": b"x"}), "twin", cas.PutOptions(provenance=False)
        )
        scene.store().put(scene.source(TREE, "same"), "twin", cas.PutOptions(provenance=False))
    if how == "missing":
        scene.truth.delete(meta)
    else:
        size = len(scene.truth.get(meta))
        for at in range(50, size, 7) if how == "all" else (size - 400, size - 500):
            flip(scene, meta, at)
    paths = [scene.source(TREE, "copy")] if source == "folder" else []
    stores = [other.store()] if source == "store" else []

    assert not repair(scene).is_whole or source == "version"
    outcome = repair(scene, paths=paths, stores=stores)

    assert outcome.is_whole, outcome
    assert scene.held("data:v0") == TREE
    assert scene.store().verify(None, DATA).is_sound


def test_what_is_damaged_behind_the_last_round_is_told(make_scene, monkeypatch):
    """Pages that come back speak of data that nobody has looked at; nothing passes for whole unread."""
    scene, other = make_scene(), make_scene()
    two_versions(scene)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    for key in scene.listed("meta"):
        scene.truth.delete(key)
    flip(scene, largest(scene))

    with monkeypatch.context() as patch:
        patch.setattr("cas.operations.repair.ROUNDS", 1)
        first = repair(scene, stores=[other.store()])
    second = repair(scene, stores=[other.store()])

    assert not first.is_whole
    assert [line.split(":v")[0] for line in first.unrepaired] == ["data", "data"]
    assert second.is_whole
    check_whole(scene)


def test_pages_that_are_lost_for_good_are_told(scene):
    """Which files are gone cannot be known; between which names they stood may be."""
    scene.put(TREE)
    for key in scene.listed("meta"):
        scene.truth.delete(key)

    outcome = repair(scene)

    size = sum(map(len, TREE.values()))
    assert outcome.lost == (cas.Hole("data:v0", "", 0, size),)


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_lost_index_segments_are_made_again(scene, how):
    """So the next put finds its chunks; a damaged segment stays, and is read no more."""
    two_versions(scene)
    for key in scene.listed("index"):
        if how == "missing":
            scene.truth.delete(key)
        else:
            scene.truth.put(key, [scene.truth.get(key)[:-5]])
    before = everything(scene)

    outcome = repair(scene)

    assert outcome.rebuilt_blobs == len(scene.listed("blobs"))
    assert only_added(before, scene)
    assert scene.store().verify(None).is_sound
    assert repair(scene).rebuilt_blobs == 0
    store = scene.store()
    put = store.put(scene.source(NEXT, "again"), "again", cas.PutOptions(provenance=False))
    assert put.new_bytes == 0


def test_nothing_to_repair_changes_nothing(scene):
    """On a healthy store."""
    two_versions(scene)
    before = everything(scene)

    outcome = repair(scene)

    assert (outcome.is_whole, outcome.problems, outcome.revised) == (True, (), ())
    assert everything(scene) == before


def test_only_what_is_asked_for_is_repaired(make_scene):
    """The other version keeps its damage, and the record of it."""
    scene, other = make_scene(), make_scene()
    two_versions(scene)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    spoil(scene, "chunk")
    scene.store().verify(None, DATA)

    assert repair(scene, "data:v1", stores=[other.store()]).revised == ("data:v1",)

    assert scene.held("data:v1") == NEXT
    assert not scene.store().verify("data:v0", DATA).is_sound
    assert scene.store().verify("data:v1", DATA).is_sound
    assert repair(scene, stores=[other.store()]).is_whole
    check_whole(scene)


def test_a_source_that_lies_heals_nothing(make_scene):
    """Files and stores with other bytes under the same names."""
    scene, other = make_scene(), make_scene()
    scene.put(TREE)
    wrong = {path: content[::-1] for path, content in TREE.items()}
    other.put(wrong)
    spoil(scene, "missing")

    outcome = repair(scene, stores=[other.store()], paths=[scene.source(wrong, "wrong")])

    assert outcome.lost
    assert outcome.found_chunks == 0


def test_what_is_whole_stays_where_it_is_if_the_blob_stays_needed(scene, tmp_path):
    """Nothing is moved for nothing; what is found of two damaged chunks is stored alone."""
    two_versions(scene)
    key = largest(scene)
    size = len(scene.truth.get(key))
    flip(scene, key, size // 3)
    flip(scene, key, 2 * size // 3)
    scene.store().verify(None, DATA)

    nothing = repair(scene)
    half = tmp_path / "half"
    half.write_bytes(TREE[b"large.bin"][: size // 2])
    some = repair(scene, paths=[half])

    assert (nothing.moved_bytes, nothing.revised, nothing.lost_chunks) == (0, (), 2)
    assert (some.moved_bytes, some.found_chunks) == (some.found_bytes, 1)
    assert some.revised == ("data:v0", "data:v1")
    assert len(some.lost) == 2


@pytest.mark.parametrize("after", range(4))
def test_an_interrupted_repair_loses_nothing_and_the_next_does_the_rest(scene, after):
    """Wherever it is stopped; it leaves no intent behind."""
    two_versions(scene)
    flip(scene, largest(scene))
    scene.store().verify(None, DATA)
    before = everything(scene)
    cancel = Cancel()
    steps: list[str] = []

    def stop(progress):
        steps.append(progress.phase)
        if len(steps) > after:
            cancel.set()

    paths = (str(scene.source(NEXT | {b"old": TREE[b"sub/other"]}, "copy")),)
    options = cas.RepairOptions(apply=True, paths=paths, progress=stop, cancel=cancel)
    with pytest.raises(Cancelled):
        scene.store().repair(None, options)

    assert only_added(before, scene)
    assert scene.listed("sessions") == {}
    assert repair(scene, paths=paths).is_whole
    check_whole(scene)


def test_behind_a_damaged_head_everything_else_is_found_without_a_table(scene):
    """Only files with a part in that frame are lost, though nothing tells how many chunks it had."""
    tree = {b"%02d" % n: random_content(n, 40_000 + 1000 * n) for n in range(30)}
    scene.put(tree)
    key = largest(scene)
    content = scene.truth.get(key)
    heads = [HEADER_BYTES]
    while content[heads[-1]] == FRAME_TAG:
        heads.append(heads[-1] + decode_frame_head(content[heads[-1] :], what=key).length)
    flip(scene, key, heads[len(heads) // 2])
    flip(scene, key, -30)
    scene.store().verify(None, DATA)

    outcome = repair(scene)

    lost = {hole.path.encode() for hole in outcome.lost}
    assert 0 < len(lost) < 9
    version = scene.store().version("data")
    for path in tree.keys() - lost:
        assert version.read(path.decode()) == tree[path]


def test_a_damaged_revision_is_gone_around(make_scene):
    """Readers stop at it; another revision above it leads on from the one before."""
    scene, other = make_scene(), make_scene()
    two_versions(scene)
    scene.store().copy(["data:v0", "data:v1"], other.store())
    spoil(scene, "chunk")
    scene.store().verify(None, DATA)
    assert repair(scene, stores=[other.store()]).is_whole
    flip(scene, "artifacts/data/versions/0000000001.r0001")
    with pytest.raises(cas.CorruptionError):
        scene.held("data:v1")
    (problem,) = scene.store().verify(None).problems
    assert (problem.kind, problem.versions) == ("record", ("data:v1",))

    outcome = repair(scene)

    assert (outcome.is_whole, outcome.revised) == (True, ("data:v1",))
    check_whole(scene)


def test_a_damaged_record_of_a_version_is_told_and_left_alone(scene):
    """Nobody can make up what it said; the other version is as it was."""
    two_versions(scene)
    flip(scene, "artifacts/data/versions/0000000000")
    before = everything(scene)

    outcome = repair(scene)

    assert not outcome.is_whole
    assert "0000000000" in outcome.unrepaired[0]
    assert everything(scene) == before
    assert scene.held("data:v1") == NEXT
