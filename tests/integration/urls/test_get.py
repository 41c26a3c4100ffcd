"""Gets to URLs: files become plain objects, verified before they appear."""

from __future__ import annotations

import os

import pytest
from memory_bucket import BIG, FILES
from text_trees import write_folder

import cas
from cas.backend.object_writers import MovingWriter
from cas.backend.places import Place
from cas.errors import ErrorCode
from cas.model.progress import Cancelled


@pytest.fixture
def version(store, tmp_path) -> str:
    return store.put(write_folder(tmp_path / "raw", FILES), "files").ref


def test_files_become_objects(store, bucket, version):
    """All of them, with their own bytes, and nothing beside them."""
    outcome = store.get(version, f"{bucket.url}/copy")

    assert bucket.below("copy") == FILES
    assert outcome.files == len(FILES)
    assert outcome.written_bytes == outcome.size == sum(map(len, FILES.values()))
    assert outcome.dest == f"{bucket.url}/copy"


def test_files_that_lie_together_are_fetched_together(store, bucket, version):
    """A hundred small files of one blob take a few reads."""
    before = store.requests
    store.get(f"{version}/many", f"{bucket.url}/copy")

    assert (store.requests - before).get < 20
    assert len(bucket.below("copy")) == 100


def test_what_is_there_is_not_sent_again(store, bucket, version):
    """Nor is what another get wrote."""
    store.get(version, f"{bucket.url}/copy")

    outcome = store.get(version, f"{bucket.url}/copy")

    assert (outcome.written_bytes, outcome.unchanged_files) == (0, len(FILES))


@pytest.mark.parametrize("other", [b"other", b"alphA", b""])
def test_an_object_that_differs_is_kept(store, bucket, version, other):
    """Of the same size, too; unless told otherwise."""
    bucket.put("copy/a.txt", other)

    with pytest.raises(cas.AlreadyExistsError) as caught:
        store.get(version, f"{bucket.url}/copy")
    kept = bucket.below("copy")
    store.get(version, f"{bucket.url}/copy", cas.GetOptions(overwrite=True))

    assert caught.value.code is ErrorCode.TARGET_EXISTS
    assert kept == {"a.txt": other}
    assert bucket.below("copy") == FILES


def test_files_and_folders_of_one_name_are_refused(store, bucket, version):
    """No object stands where others have a folder, even to overwrite."""
    bucket.put("copy/d", b"")

    with pytest.raises(cas.AlreadyExistsError):
        store.get(version, f"{bucket.url}/copy", cas.GetOptions(overwrite=True))

    assert bucket.below("copy") == {"d": b""}


def test_a_part_of_a_version_is_written(store, bucket, version):
    """What lies below a path and fits the patterns."""
    options = cas.GetOptions(include=("mid", "text"), exclude=("mid",))

    store.get(f"{version}/d", f"{bucket.url}/copy", options)

    assert bucket.below("copy") == {"e/text": FILES["d/e/text"]}


def test_a_path_that_is_not_there_is_not_found(store, bucket, version):
    """And nothing is written."""
    with pytest.raises(cas.NotFoundError):
        store.get(f"{version}/nothing", f"{bucket.url}/copy")

    assert bucket.below("copy") == {}


def test_what_no_object_can_be_is_reported(store, bucket, tmp_path):
    """Links, empty folders, and names that are not UTF-8."""
    folder = write_folder(tmp_path / "odd", {"a": b"alpha"})
    (folder / "link").symlink_to("a")
    (folder / "nothing").mkdir()
    (folder / os.fsdecode(b"latin-\xe9")).write_bytes(b"e")
    ref = store.put(folder, "odd").ref

    outcome = store.get(ref, f"{bucket.url}/copy")

    assert bucket.below("copy") == {"a": b"alpha"}
    assert len(outcome.skipped) == 3
    assert outcome.files == 1


def test_damage_makes_no_object(store, bucket, version, tmp_path):
    """Small and big files are verified before they appear."""
    for blob in (tmp_path / "store" / "blobs").rglob("*"):
        if blob.is_file():
            content = bytearray(blob.read_bytes())
            content[5000 : len(content) - (1 << 16) : 5000] = bytes(
                len(range(5000, len(content) - (1 << 16), 5000))
            )
            blob.chmod(0o600)
            blob.write_bytes(content)

    for path in ("d/mid", "d/big"):
        with pytest.raises(cas.CorruptionError):
            store.get(f"{version}/{path}", f"{bucket.url}/copy")

    assert bucket.below("copy") == {}


def test_a_write_that_fails_is_an_error(store, bucket, version, monkeypatch):
    """What was written stays, and the same get goes on from there."""

    def failing(place: Place, path: str, content: bytes) -> None:
        raise cas.BackendError(f"{path}: gone", code=ErrorCode.BACKEND_FAILED)

    with monkeypatch.context() as patched:
        patched.setattr(Place, "write", failing)
        with pytest.raises(cas.BackendError):
            store.get(version, f"{bucket.url}/copy")
    store.get(version, f"{bucket.url}/copy")

    assert bucket.below("copy") == FILES


def test_a_part_that_fails_sends_its_file_again(store, bucket, version, monkeypatch):
    """From its beginning: what became of the part is unknown."""
    write = MovingWriter.write
    failures = [cas.BackendError("gone for a moment", code=ErrorCode.BACKEND_FAILED)]

    def failing(writer: MovingWriter, content: bytes) -> None:
        write(writer, content)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(MovingWriter, "write", failing)

    outcome = store.get(f"{version}/d/big", f"{bucket.url}/copy")

    assert bucket.below("copy") == {"big": BIG}
    assert outcome.written_bytes == len(BIG)


def test_a_get_is_told_to_stop(store, bucket, version, monkeypatch):
    """It leaves whole objects only."""
    cancel = cas.Cancel()
    write = Place.write

    def stopping(place: Place, path: str, content: bytes) -> None:
        write(place, path, content)
        cancel.set()

    monkeypatch.setattr(Place, "write", stopping)

    with pytest.raises(Cancelled):
        store.get(version, f"{bucket.url}/copy", cas.GetOptions(cancel=cancel))

    assert all(FILES[path] == content for path, content in bucket.below("copy").items())


def test_options_of_a_url_are_not_for_a_folder(store, version, tmp_path):
    """A wrong word is not ignored."""
    with pytest.raises(cas.CasError):
        store.get(version, tmp_path / "copy", cas.GetOptions(dest_options={"key": "x"}))
