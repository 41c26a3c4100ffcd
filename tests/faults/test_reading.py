"""A version that is moved or purged while it is read. Rule R3 of specs/protocol/reading.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cas
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.format import keys
from cas.format.manifest import encode_page, encode_root
from cas.format.version import MoveKind, RevisionRecord, encode_revision
from cas.model.ids import SessionId
from cas.model.names import ArtifactName
from cas.objects.manifests import assemble_manifest, located_columns, write_meta_blob
from cas.objects.versions import add_move
from cas.operations.compare_folder import FolderOptions, diff_folder
from cas.operations.init import init_store
from cas.operations.version_pages import VersionPages
from cas.testing.trees import read_tree

NAME = ArtifactName("data")
PLAIN = cas.PutOptions(provenance=False)


@pytest.fixture
def elsewhere(scene, first):
    """The objects of another copy of version 0, and where its root lies in them."""
    other = MemoryBackend()
    init_store(other, SystemClock(), chunk_average=64 << 10)
    store = cas.Store.on(other, options=cas.StoreOptions(jobs=2, journal=False))
    store.put(scene.source(first), "data", PLAIN)
    objects = {
        one.key: other.get(one.key)
        for prefix in ("blobs", "meta")
        for one in other.list_objects(prefix)
    }
    return objects, store.version("data").record


def drop(scene, prefix):
    for key in scene.listed(prefix):
        scene.truth.delete(key)


def move(scene, elsewhere, *prefixes):
    """Do as a repack and a collection do: new objects, a revision, the old objects gone."""
    objects, record = elsewhere
    for prefix in prefixes:
        drop(scene, prefix)
    for key, content in objects.items():
        scene.truth.put(key, [content])
    revision = RevisionRecord(
        session=SessionId(bytes(16)), root=record.root, stamp=0, digest=record.digest
    )
    scene.truth.create(keys.revision_key(NAME, 0, 1), encode_revision(revision))


def purge(scene):
    """Do as a purge and a collection do."""
    add_move(scene.truth, NAME, 0, 1, MoveKind.TRASH, 0)
    add_move(scene.truth, NAME, 0, 2, MoveKind.PURGE, 0)
    drop(scene, "blobs")
    drop(scene, "meta")


@pytest.mark.parametrize("seen", ["meta/", "blobs/"], ids=["pages", "blobs"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_get_follows_a_version_that_is_moved_meanwhile(scene, first, elsewhere, seen, nth):
    """The newest revision is read and all is planned again with it; nothing of it is an error."""
    scene.put(first)
    backend = scene.meddling("get", seen, lambda: move(scene, elsewhere, "blobs", "meta"), nth)

    outcome = scene.store(backend).get("data:v0", scene.folder / "out")

    assert read_tree(scene.folder / "out") == first
    assert (outcome.files, outcome.unchanged_files) == (3, 0)


def test_what_was_written_before_a_move_stays(scene, first, elsewhere):
    """The second plan finds complete files in the target and leaves them."""
    scene.put(first)
    target = scene.folder / "out"
    version = scene.store().version("data:v0")
    version.get(target, path="tiny")
    move(scene, elsewhere, "blobs")

    outcome = version.get(target)

    assert read_tree(target) == first
    assert outcome.unchanged_files == 1


@pytest.mark.parametrize("prefixes", [("blobs",), ("meta",), ("blobs", "meta")], ids=str)
def test_an_open_version_reads_on_when_it_is_moved(scene, first, elsewhere, prefixes):
    """Files that are open already, and those that are opened later."""
    scene.put(first)
    version = scene.store().version("data:v0")
    with version.open("a/one.bin") as file:
        move(scene, elsewhere, *prefixes)

        assert file.read() == first[b"a/one.bin"]
    assert version.read("a/two.txt") == first[b"a/two.txt"]
    assert version.read("tiny") == b"t"


@pytest.mark.parametrize("seen", ["meta/", "blobs/"], ids=["pages", "blobs"])
def test_a_version_that_is_purged_while_it_is_got_is_said_to_be_deleted(scene, first, seen):
    """It is not taken for damage, and nothing half written is left."""
    scene.put(first)
    backend = scene.meddling("get", seen, lambda: purge(scene))

    with pytest.raises(cas.NotFoundError, match="deleted for good while") as caught:
        scene.store(backend).get("data:v0", scene.folder / "out")

    assert caught.value.code is cas.ErrorCode.VERSION_DELETED
    assert read_tree(scene.folder / "out").items() <= first.items()


def test_a_version_that_is_purged_while_a_file_is_open_is_said_to_be_deleted(scene, first):
    """The next read that needs the store tells."""
    scene.put(first)
    with scene.store().version("data:v0").open("a/one.bin") as file:
        purge(scene)

        with pytest.raises(cas.NotFoundError, match="deleted for good while"):
            file.read()


@pytest.mark.parametrize("prefix", ["blobs", "meta"])
def test_what_is_missing_though_nobody_moved_it_is_damage(scene, first, prefix):
    """A version that is there must have its objects; one in the trash too."""
    scene.put(first)
    version = scene.store().version("data:v0")
    drop(scene, prefix)

    with pytest.raises(cas.CorruptionError, match="is missing") as caught:
        version.get(scene.folder / "out")
    with pytest.raises(cas.CorruptionError, match="is missing"):
        version.read("a/one.bin")
    scene.store().delete("data:v0")
    with pytest.raises(cas.CorruptionError, match="is missing"):
        version.read("a/one.bin")

    assert caught.value.code is cas.ErrorCode.MISSING_OBJECT


def test_what_is_missing_in_the_newest_revision_too_is_damage(scene, first, elsewhere):
    """One look at the version is enough: there is no going round in circles."""
    scene.put(first)
    version = scene.store().version("data:v0")
    move(scene, elsewhere)
    drop(scene, "blobs")

    with pytest.raises(cas.CorruptionError, match="is missing"):
        version.get(scene.folder / "out")
    with pytest.raises(cas.CorruptionError, match="is missing"):
        version.read("a/one.bin")


def test_pages_that_a_digest_vouched_for_are_checked_again_after_a_move(
    scene, first, second, elsewhere
):
    """A revision that leads to other pages under the same digest is found out."""
    digest = scene.put(first).digest.hex
    scene.put(second)
    lie = scene.store().version("data:v1").record.root
    backend = scene.meddling("get", "blobs/", lambda: mislead(scene, lie, elsewhere[1].digest))

    with pytest.raises(cas.CorruptionError):
        scene.store(backend).get(f"data:{digest}", scene.folder / "out")

    assert read_tree(scene.folder / "out").items() <= first.items()


def mislead(scene, root, digest):
    drop(scene, "blobs")
    revision = RevisionRecord(session=SessionId(bytes(16)), root=root, stamp=0, digest=digest)
    scene.truth.create(keys.revision_key(NAME, 0, 1), encode_revision(revision))


@pytest.mark.parametrize("seen", ["meta/", "blobs/"], ids=["pages", "blobs"])
@pytest.mark.parametrize("act", ["copy", "plan"])
def test_a_version_is_copied_though_it_is_moved_meanwhile(scene, first, elsewhere, seen, act):
    """What it copies from is found anew, whatever of it was missing."""
    scene.put(first)
    backend = scene.meddling("get", seen, lambda: move(scene, elsewhere, "blobs", "meta"))
    other = MemoryBackend()
    init_store(other, SystemClock(), chunk_average=64 << 10)
    target = cas.Store.on(other, options=cas.StoreOptions(jobs=2, journal=False))

    if act == "plan":
        assert scene.store(backend).plan_copy("data:v0", target).new_bytes > 300_000
        return
    scene.store(backend).copy("data:v0", target)

    version = target.version("data:v0")
    assert {path.encode(): version.read(path) for path in version} == first


def test_a_version_that_is_purged_while_it_is_copied_is_said_to_be_deleted(scene, first):
    """It is no damage of the source."""
    scene.put(first)
    backend = scene.meddling("get", "blobs/", lambda: purge(scene))
    other = MemoryBackend()
    init_store(other, SystemClock(), chunk_average=64 << 10)
    target = cas.Store.on(other, options=cas.StoreOptions(jobs=2, journal=False))

    with pytest.raises(cas.NotFoundError, match="deleted for good while"):
        scene.store(backend).copy("data:v0", target)

    assert list(other.list_objects("artifacts")) == []
    assert list(other.list_objects("sessions")) == []


@pytest.mark.parametrize("act", ["list", "look up", "compare"])
def test_pages_are_followed_by_whoever_reads_them(scene, first, elsewhere, act):
    """The rule is one for all: what lists, looks up or compares needs none of its own."""
    scene.put(first)
    version = scene.store().version("data:v0")
    move(scene, elsewhere, "blobs", "meta")

    if act == "list":
        assert [path.encode() for path in version] == sorted(first)
    elif act == "look up":
        assert version["tiny"].size == 1
    else:
        difference = diff_folder(
            version._store.parts,
            version._pinned,
            str(scene.source(first)),
            FolderOptions(renames=False),
        )
        assert difference.is_empty


def test_a_version_that_is_purged_while_it_is_listed_is_said_to_be_deleted(scene, first):
    """A page that is missing leads to the same look at the version as a blob."""
    scene.put(first)
    version = scene.store().version("data:v0")
    purge(scene)

    with pytest.raises(cas.NotFoundError, match="deleted for good while"):
        list(version)


@pytest.mark.parametrize("states_groups", [True, False])
def test_pages_at_a_new_place_are_compared_with_a_digest_that_was_typed(
    scene, first, states_groups
):
    """A store that lies in a revision is found out, where the user vouched for the version: be its
    groups those of the version, or none, as if the digest were of kind 1.
    """
    scene.put(first)
    digest = scene.store().version("data:v0").digest.hex
    record = scene.store().version("data:v0").record
    groups = scene.store().version("data:v0")._pages.root.groups if states_groups else None
    scene.put(first | {b"tiny": b"u"})
    other = scene.store().version("data:v1")
    (page,) = other._pages.iter_pages()
    root = other._pages.root
    root = replace(root, digest=record.digest, totals=record.totals, groups=groups)

    def encode(locations):
        return encode_root(replace(root, **located_columns(locations)))

    forged = assemble_manifest(SessionId(bytes(16)), [encode_page(page)], encode)
    for key in scene.listed("meta"):
        scene.truth.delete(key)
    for blob in forged.blobs:
        write_meta_blob(scene.truth, blob)
    revision = RevisionRecord(
        session=SessionId(bytes(16)), root=forged.root, stamp=0, digest=record.digest
    )
    scene.truth.create(keys.revision_key(NAME, 0, 1), encode_revision(revision))

    with pytest.raises(cas.CorruptionError, match="what its digest says"):
        scene.store().version(f"data@{digest}")
    fresh = VersionPages(scene.store().parts, record, record.root, is_vouched=True)
    with pytest.raises(cas.CorruptionError, match="what its digest says"):
        list(fresh.iter_pages())


def test_a_revision_with_fewer_pages_is_damaged(scene, first):
    """Readers count on pages keeping their numbers."""
    scene.put(first)
    version = scene.store().version("data:v0")

    with pytest.raises(cas.CorruptionError, match="cuts its pages otherwise"):
        version._pages.page(1)
