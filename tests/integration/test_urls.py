"""Sources and targets that are URLs, through the library: fsspec's memory stands for all of them."""

from __future__ import annotations

import datetime
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

import cas
from cas.backend.object_writers import MovingWriter
from cas.backend.places import Place
from cas.errors import ErrorCode
from cas.model.progress import Cancelled
from cas.transfer import cutting, journal, remote_content

BIG = os.urandom(3 << 20) * 3
FILES = {
    "a.txt": b"alpha",
    "empty": b"",
    "d/zeros": bytes(9 << 20),
    "d/big": BIG,
    "d/mid": os.urandom(2 << 20),
    "d/e/text": b"some text\n" * 5000,
    **{f"many/{number:03}": os.urandom(700) for number in range(100)},
}
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Bucket:
    """Objects in fsspec's memory, below a prefix of the test's own."""

    def __init__(self) -> None:
        self.filesystem: MemoryFileSystem = fsspec.filesystem("memory")
        self.name = f"urls-{uuid.uuid4().hex}"
        self.url = f"memory://{self.name}"

    def path(self, key: str) -> str:
        return f"/{self.name}/{key}"

    def put(self, key: str, content: bytes, written: datetime.datetime = LONG_AGO) -> None:
        file = MemoryFile(self.filesystem, self.path(key), content)
        file.created = written
        self.filesystem.store[self.path(key)] = file

    def put_all(self, prefix: str, files: dict[str, bytes]) -> str:
        """Put files below a prefix, and return its URL."""
        for path, content in files.items():
            self.put(f"{prefix}/{path}", content)
        return f"{self.url}/{prefix}"

    def delete(self, key: str) -> None:
        del self.filesystem.store[self.path(key)]

    def below(self, prefix: str) -> dict[str, bytes]:
        start = self.path(prefix) + "/"
        return {
            path.removeprefix(start): file.getvalue()
            for path, file in self.filesystem.store.items()
            if path.startswith(start)
        }


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()
    yield made
    for path in [path for path in made.filesystem.store if path.startswith(made.path(""))]:
        del made.filesystem.store[path]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[cas.Store]:
    cas.Store.create(tmp_path / "store").close()
    options = cas.StoreOptions(cache_dir=str(tmp_path / "cache"))
    with cas.Store.open(tmp_path / "store", options=options) as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all reads of places, as they come."""
    seen: list[str] = []
    read = Place.read

    def noted(place: Place, path: str, start: int, stop: int) -> bytes:
        seen.append(path)
        return read(place, path, start, stop)

    monkeypatch.setattr(Place, "read", noted)
    return seen


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def act_before_read(
    monkeypatch: pytest.MonkeyPatch, path: str, act: Callable[[], None], times: int = 1
) -> None:
    """Do something each time before an object is read, the first few times."""
    read, left = Place.read, [times]

    def acting(place: Place, asked: str, start: int, stop: int) -> bytes:
        if asked == path and left[0]:
            left[0] -= 1
            act()
        return read(place, asked, start, stop)

    monkeypatch.setattr(Place, "read", acting)


class TestPut:
    def test_objects_make_the_version_that_the_same_files_make(self, store, bucket, tmp_path):
        """The digest tells, for small, big, empty and zero files."""
        from_folder = store.put(write_folder(tmp_path / "raw", FILES), "folder")

        from_url = store.put(bucket.put_all("raw", FILES), "objects")

        assert from_url.digest == from_folder.digest
        assert from_url.totals == from_folder.totals
        assert from_url.new_bytes == 0
        assert from_url.read_bytes == from_url.totals.size - (9 << 20)

    def test_one_object_makes_a_version_of_one_file(self, store, bucket):
        """It is called as the URL ends."""
        bucket.put_all("raw", FILES)

        outcome = store.put(f"{bucket.url}/raw/d/big", "one")

        assert list(store.version(outcome.ref)) == ["d/big".rpartition("/")[2]]

    def test_several_urls_stand_side_by_side(self, store, bucket):
        """Objects and prefixes, each under its own name."""
        bucket.put_all("raw", FILES)

        outcome = store.put([f"{bucket.url}/raw/d", f"{bucket.url}/raw/a.txt"], "several")

        assert sorted(store.version(outcome.ref)) == [
            *("a.txt", "d/big", "d/e/text", "d/mid", "d/zeros"),
        ]

    def test_a_file_url_is_a_path(self, store, tmp_path):
        """As a source and as a target."""
        folder = write_folder(tmp_path / "raw", {"a": b"alpha"})

        outcome = store.put(f"file://{folder}", "local")
        store.get(outcome.ref, f"file://{tmp_path}/copy")

        assert (tmp_path / "copy" / "a").read_bytes() == b"alpha"

    def test_unchanged_objects_are_not_read_again(self, store, bucket, reads):
        """The journal knows them by what the listing says."""
        url = bucket.put_all("raw", FILES)
        store.put(url, "objects")
        reads.clear()
        bucket.put("raw/a.txt", b"other", LONG_AGO + datetime.timedelta(seconds=1))

        changed = store.put(url, "objects")

        assert (changed.created, changed.read_files, reads) == (True, 1, ["a.txt"])

    def test_an_object_just_written_is_read_again(self, store, bucket, reads):
        """It could change once more within the same tick of its server's clock."""
        bucket.put("raw/a", b"alpha", datetime.datetime.now(datetime.UTC))
        store.put(f"{bucket.url}/raw", "objects")
        reads.clear()

        again = store.put(f"{bucket.url}/raw", "objects")

        assert (again.created, reads) == (False, ["a"])

    def test_nothing_is_copied_to_this_machine(self, store, bucket, tmp_path, monkeypatch):
        """Temporary folders stay empty."""
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        monkeypatch.setenv("TMPDIR", str(scratch))
        seen: list[list[Path]] = []
        url = bucket.put_all("raw", FILES)

        store.put(
            url, "objects", cas.PutOptions(progress=lambda _: seen.append([*scratch.iterdir()]))
        )
        store.get("objects", f"{bucket.url}/copy")

        assert seen
        assert all(listing == [] for listing in [*seen, [*scratch.iterdir()]])

    def test_names_that_are_no_paths_are_reported(self, store, bucket):
        """The version holds the others."""
        bucket.put("raw/good", b"1")
        bucket.put("raw//empty", b"2")
        bucket.put("raw/x/../up", b"3")
        bucket.put("raw/marker/", b"")

        outcome = store.put(f"{bucket.url}/raw", "objects")

        assert list(store.version(outcome.ref)) == ["good"]
        assert [skipped.path for skipped in outcome.skipped] == ["/empty", "x/../up"]

    def test_patterns_leave_objects_out(self, store, bucket):
        """Those given, and those of `.casignore` objects."""
        url = bucket.put_all("raw", {"a": b"", "b.tmp": b"", "d/.casignore": b"x\n", "d/x": b""})

        outcome = store.put(url, "objects", cas.PutOptions(exclude=("*.tmp",)))

        assert list(store.version(outcome.ref)) == ["a", "d/.casignore"]

    def test_paths_and_urls_are_not_mixed(self, store, bucket, tmp_path):
        """Nothing is read before that is said."""
        with pytest.raises(cas.CasError) as caught:
            store.put([f"{bucket.url}/raw", tmp_path], "both")

        assert caught.value.code is ErrorCode.INVALID_OPTION

    def test_a_source_that_is_not_there_is_not_found(self, store, bucket):
        """And nothing is published."""
        with pytest.raises(cas.CasError) as caught:
            store.put(f"{bucket.url}/nothing", "objects")

        assert caught.value.code is ErrorCode.PATH_NOT_FOUND
        assert store.artifacts() == []

    def test_secrets_of_a_url_are_not_recorded(self, store, bucket):
        """Neither its user part and query, nor what the driver is told."""
        bucket.put("raw/a", b"alpha")
        words = (
            *("cas", "put", "s3://me:hidden@bucket/raw?sig=hidden", "-n", "x"),
            *("--source-option", "key=hidden", "--source-option=secret=hidden"),
        )

        outcome = store.put(f"{bucket.url}/raw", "x", cas.PutOptions(command=words))

        command = store.version(outcome.ref).record.producer["command"]
        assert "hidden" not in " ".join(command)
        assert command[:5] == ["cas", "put", "s3://bucket/raw", "-n", "x"]


class TestChanges:
    """Objects that change between the listing and the end of their reading."""

    @pytest.mark.parametrize("path", ["a.txt", "d/mid", "d/big"])
    def test_an_object_that_vanished_is_reported(self, store, bucket, monkeypatch, path):
        """With its name; nothing is published."""
        url = bucket.put_all("raw", FILES)
        act_before_read(monkeypatch, path, lambda: bucket.delete(f"raw/{path}"))

        with pytest.raises(cas.IncompleteError) as caught:
            store.put(url, "objects")

        assert caught.value.problems == (f"{path}: was removed since it was listed",)
        assert store.artifacts() == []

    @pytest.mark.parametrize("path", ["a.txt", "d/mid", "d/big"])
    @pytest.mark.parametrize("change", [b"", b"longer " * 500_000, b"short"])
    def test_an_object_of_another_size_is_read_again(
        self, store, bucket, monkeypatch, path, change
    ):
        """The version holds what it became, whole."""
        url = bucket.put_all("raw", FILES)
        later = LONG_AGO + datetime.timedelta(hours=1)
        act_before_read(monkeypatch, path, lambda: bucket.put(f"raw/{path}", change, later))

        outcome = store.put(url, "objects")

        assert store.version(outcome.ref).open(path).read() == change

    def test_a_big_object_that_is_replaced_midway_is_read_again(
        self, store, bucket, monkeypatch, reads
    ):
        """Its size is the same, but not its mark: no version mixes the two."""
        monkeypatch.setattr(cutting, "SEGMENT_BYTES", 1 << 20)
        monkeypatch.setattr(remote_content, "SEGMENT_BYTES", 1 << 20)
        bucket.put("raw/big", BIG)
        other = bytes(reversed(BIG[:100])) + BIG[100:-100] + bytes(100)
        later = LONG_AGO + datetime.timedelta(hours=1)

        def replace() -> None:
            if len(reads) == 5:
                bucket.put("raw/big", other, later)

        act_before_read(monkeypatch, "big", replace, times=100)

        outcome = store.put(f"{bucket.url}/raw", "objects")

        assert store.version(outcome.ref).open("big").read() == other

    def test_an_object_that_never_rests_is_reported(self, store, bucket, monkeypatch):
        """After a few attempts."""
        bucket.put("raw/a", b"1")
        sizes = iter(range(2, 100))
        act_before_read(
            monkeypatch, "a", lambda: bucket.put("raw/a", b"x" * next(sizes)), times=100
        )

        with pytest.raises(cas.IncompleteError) as caught:
            store.put(f"{bucket.url}/raw", "objects")

        assert caught.value.problems == ("a: kept changing while it was read",)

    def test_a_change_that_the_stamp_missed_is_seen_by_the_next_put(
        self, store, bucket, monkeypatch
    ):
        """Bytes newer than their stamp are taken, and looked at again."""
        monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
        bucket.put("raw/a", b"one")
        later = LONG_AGO + datetime.timedelta(seconds=1)
        act_before_read(monkeypatch, "a", lambda: bucket.put("raw/a", b"two", later))

        first = store.put(f"{bucket.url}/raw", "objects")
        again = store.put(f"{bucket.url}/raw", "objects")

        assert store.version(first.ref).open("a").read() == b"two"
        assert (again.created, again.read_files) == (False, 1)

    def test_an_object_that_is_forbidden_is_reported(self, store, bucket, monkeypatch):
        """Beside others, which may be readable."""
        url = bucket.put_all("raw", FILES)

        def refuse() -> None:
            raise cas.BackendError("no", code=ErrorCode.ACCESS_DENIED)

        act_before_read(monkeypatch, "a.txt", refuse)

        with pytest.raises(cas.IncompleteError) as caught:
            store.put(url, "objects")

        assert caught.value.problems == ("a.txt: reading it is not allowed",)

    def test_a_storage_that_fails_stops_the_put(self, store, bucket, monkeypatch):
        """Nothing is published; the next put does it all."""
        url = bucket.put_all("raw", FILES)

        def fail() -> None:
            raise cas.BackendError("gone", code=ErrorCode.BACKEND_FAILED)

        act_before_read(monkeypatch, "many/050", fail)

        with pytest.raises(cas.BackendError):
            store.put(url, "objects")
        missing = store.artifacts()
        again = store.put(url, "objects")

        assert missing == []
        assert again.totals.files == len(FILES)


class TestGet:
    @pytest.fixture
    def version(self, store, tmp_path) -> str:
        return store.put(write_folder(tmp_path / "raw", FILES), "files").ref

    def test_files_become_objects(self, store, bucket, version):
        """All of them, with their own bytes, and nothing beside them."""
        outcome = store.get(version, f"{bucket.url}/copy")

        assert bucket.below("copy") == FILES
        assert outcome.files == len(FILES)
        assert outcome.written_bytes == outcome.size == sum(map(len, FILES.values()))
        assert outcome.dest == f"{bucket.url}/copy"

    def test_files_that_lie_together_are_fetched_together(self, store, bucket, version):
        """A hundred small files of one blob take a few reads."""
        before = store.requests
        store.get(f"{version}/many", f"{bucket.url}/copy")

        assert (store.requests - before).get < 20
        assert len(bucket.below("copy")) == 100

    def test_what_is_there_is_not_sent_again(self, store, bucket, version):
        """Nor is what another get wrote."""
        store.get(version, f"{bucket.url}/copy")

        outcome = store.get(version, f"{bucket.url}/copy")

        assert (outcome.written_bytes, outcome.unchanged_files) == (0, len(FILES))

    @pytest.mark.parametrize("other", [b"other", b"alphA", b""])
    def test_an_object_that_differs_is_kept(self, store, bucket, version, other):
        """Of the same size, too; unless told otherwise."""
        bucket.put("copy/a.txt", other)

        with pytest.raises(cas.AlreadyExistsError) as caught:
            store.get(version, f"{bucket.url}/copy")
        kept = bucket.below("copy")
        store.get(version, f"{bucket.url}/copy", cas.GetOptions(overwrite=True))

        assert caught.value.code is ErrorCode.TARGET_EXISTS
        assert kept == {"a.txt": other}
        assert bucket.below("copy") == FILES

    def test_files_and_folders_of_one_name_are_refused(self, store, bucket, version):
        """No object stands where others have a folder, even to overwrite."""
        bucket.put("copy/d", b"")

        with pytest.raises(cas.AlreadyExistsError):
            store.get(version, f"{bucket.url}/copy", cas.GetOptions(overwrite=True))

        assert bucket.below("copy") == {"d": b""}

    def test_a_part_of_a_version_is_written(self, store, bucket, version):
        """What lies below a path and fits the patterns."""
        options = cas.GetOptions(include=("mid", "text"), exclude=("mid",))

        store.get(f"{version}/d", f"{bucket.url}/copy", options)

        assert bucket.below("copy") == {"e/text": FILES["d/e/text"]}

    def test_a_path_that_is_not_there_is_not_found(self, store, bucket, version):
        """And nothing is written."""
        with pytest.raises(cas.NotFoundError):
            store.get(f"{version}/nothing", f"{bucket.url}/copy")

        assert bucket.below("copy") == {}

    def test_what_no_object_can_be_is_reported(self, store, bucket, tmp_path):
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

    def test_damage_makes_no_object(self, store, bucket, version, tmp_path):
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

    def test_a_write_that_fails_is_an_error(self, store, bucket, version, monkeypatch):
        """What was written stays, and the same get goes on from there."""

        def failing(place: Place, path: str, content: bytes) -> None:
            raise cas.BackendError(f"{path}: gone", code=ErrorCode.BACKEND_FAILED)

        with monkeypatch.context() as patched:
            patched.setattr(Place, "write", failing)
            with pytest.raises(cas.BackendError):
                store.get(version, f"{bucket.url}/copy")
        store.get(version, f"{bucket.url}/copy")

        assert bucket.below("copy") == FILES

    def test_a_part_that_fails_sends_its_file_again(self, store, bucket, version, monkeypatch):
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

    def test_a_get_is_told_to_stop(self, store, bucket, version, monkeypatch):
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

    def test_options_of_a_url_are_not_for_a_folder(self, store, version, tmp_path):
        """A wrong word is not ignored."""
        with pytest.raises(cas.CasError):
            store.get(version, tmp_path / "copy", cas.GetOptions(dest_options={"key": "x"}))
