"""Putting from and getting to real servers, as the tool and the library do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
from servers.place import StoreServer
from text_trees import write_folder

import cas
from cas.backend.places import Place, open_place
from cas.errors import ErrorCode
from cas.transfer import journal

pytest.importorskip("s3fs")

FILES = {
    "a.txt": b"alpha",
    "empty": b"",
    "d/big": os.urandom(20 << 20),
    "d/mid": os.urandom(2 << 20),
    "d/name with spaces + ümlaut?#[1].txt": b"some text\n" * 5000,
    **{f"many/{number:03}": os.urandom(700) for number in range(40)},
}

# Clients of aiohttp that are collected without being closed warn; it is not ours to close them.
pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass(frozen=True)
class Bucket:
    """A prefix or folder of the test's own, and what the driver needs to get there."""

    url: str
    options: Mapping[str, Any]

    def filesystem(self) -> Any:
        return fsspec.filesystem(
            self.url.partition(":")[0], **self.options, skip_instance_cache=True
        )

    def fill(self, prefix: str, files: dict[str, bytes]) -> str:
        """Put objects below a prefix, and return its URL."""
        filesystem = self.filesystem()
        for path, content in files.items():
            filesystem.pipe_file(f"{self.url}/{prefix}/{path}", content)
        return f"{self.url}/{prefix}"

    def below(self, prefix: str) -> dict[str, bytes]:
        place = open_place(f"{self.url}/{prefix}", self.options)
        return {
            one.path: place.read(one.path, 0, one.size) if one.size else b""
            for one in place.find_present()
        }


@pytest.fixture
def bucket(ministack: StoreServer) -> Bucket:
    place = ministack.new_place()
    return Bucket(place.url, place.options)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[cas.Store]:
    cas.Store.create(tmp_path / "store").close()
    options = cas.StoreOptions(cache_dir=str(tmp_path / "cache"))
    with cas.Store.open(tmp_path / "store", options=options) as opened:
        yield opened


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read or looked at, as it comes."""
    seen: list[str] = []
    read, look = Place.read, Place.look

    def noted_read(place: Place, path: str, start: int, stop: int) -> bytes:
        seen.append(f"read {path}")
        return read(place, path, start, stop)

    def noted_look(place: Place, path: str) -> object:
        seen.append(f"look {path}")
        return look(place, path)

    monkeypatch.setattr(Place, "read", noted_read)
    monkeypatch.setattr(Place, "look", noted_look)
    return seen


def test_objects_make_the_version_that_the_same_files_make(store, bucket, tmp_path, requests):
    """Each object costs one request, a big one a few more."""
    put = cas.PutOptions(source_options=bucket.options)
    from_folder = store.put(write_folder(tmp_path / "raw", FILES), "folder")

    from_url = store.put(bucket.fill("raw", FILES), "objects", put)

    assert from_url.digest == from_folder.digest
    assert from_url.new_bytes == 0
    assert sorted(requests) == sorted(
        [f"read {path}" for path in FILES if path not in ("empty", "d/big")]
        + ["look d/big", *["read d/big"] * 3]
    )


def test_a_version_is_compared_with_objects(store, bucket, tmp_path, requests):
    """By what they hold; what no object can have is not compared, other sizes are not read."""
    folder = write_folder(tmp_path / "raw", FILES)
    (folder / "link").symlink_to("a.txt")
    (folder / "a.txt").chmod(0o755)
    store.put(folder, "data")
    url = bucket.fill("raw", FILES)
    same = store.diff_folder("data", url, source_options=bucket.options)
    requests.clear()
    bucket.fill("raw", {"a.txt": b"alphA", "d/big": b"short", "new": b"another size"})

    changed = store.diff_folder("data", url, source_options=bucket.options)

    assert same.is_empty
    assert [(one.kind, one.path) for one in changed.changes] == [
        ("modified", "a.txt"),
        ("modified", "d/big"),
        ("added", "new"),
    ]
    assert "read a.txt" in requests
    assert not {"read d/big", "read new"} & set(requests)


def test_unchanged_objects_cost_a_listing(store, bucket, requests, monkeypatch):
    """The journal knows them by etag, size and time."""
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
    put = cas.PutOptions(source_options=bucket.options)
    url = bucket.fill("raw", FILES)
    store.put(url, "objects", put)
    requests.clear()
    unchanged = store.put(url, "objects", put)
    bucket.fill("raw", {"a.txt": b"alphA"})

    changed = store.put(url, "objects", put)

    assert (unchanged.created, changed.created) == (False, True)
    assert requests == ["read a.txt"]


def test_markers_of_folders_are_no_files(store, bucket):
    """Consoles make them."""
    url = bucket.fill("raw", {"a": b"1"})
    filesystem = bucket.filesystem()
    name, _, key = url.removeprefix("s3://").partition("/")
    filesystem.call_s3("put_object", Bucket=name, Key=f"{key}/", Body=b"")
    filesystem.call_s3("put_object", Bucket=name, Key=f"{key}/sub/", Body=b"")
    filesystem.call_s3("put_object", Bucket=name, Key=f"{key}//x", Body=b"2")

    outcome = store.put(url, "objects", cas.PutOptions(source_options=bucket.options))

    assert list(store.version(outcome.ref)) == ["a"]
    assert [skipped.path for skipped in outcome.skipped] == ["/x"]


def test_an_object_and_a_prefix_of_one_name_are_told_apart(store, bucket):
    """A slash at the end means the prefix."""
    put = cas.PutOptions(source_options=bucket.options)
    url = bucket.fill("both", {"a": b"1"})
    bucket.filesystem().pipe_file(url, b"2")

    one, below = store.put(url, "one", put), store.put(f"{url}/", "below", put)

    assert list(store.version(one.ref)) == ["both"]
    assert list(store.version(below.ref)) == ["a"]


def test_a_whole_bucket_is_a_source(store, bucket):
    """Without any prefix."""
    bucket.fill("raw", {"a": b"1"})
    url = bucket.url.removesuffix("/some/prefix")

    outcome = store.put(url, "all", cas.PutOptions(source_options=bucket.options))

    assert list(store.version(outcome.ref)) == ["some/prefix/raw/a"]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_bucket_that_is_not_there_is_not_found(store, bucket, end):
    """Nor is a prefix without objects."""
    for url in ("s3://no-such-bucket-here", "s3://no-such-bucket-here/x", f"{bucket.url}/x"):
        with pytest.raises(cas.NotFoundError):
            store.put(url + end, "x", cas.PutOptions(source_options=bucket.options))


def test_files_become_objects(store, bucket, tmp_path):
    """Whole ones and such as go in parts; the next get sends nothing."""
    ref = store.put(write_folder(tmp_path / "raw", FILES), "files").ref
    get = cas.GetOptions(dest_options=bucket.options)

    outcome = store.get(ref, f"{bucket.url}/copy", get)
    again = store.get(ref, f"{bucket.url}/copy", get)

    assert bucket.below("copy") == FILES
    assert (outcome.files, again.unchanged_files, again.written_bytes) == (
        len(FILES),
        len(FILES),
        0,
    )


def test_a_target_without_a_bucket_is_a_missing_place(store, bucket, tmp_path):
    """For small files and for those that go in parts."""
    get = cas.GetOptions(dest_options=bucket.options)
    for name in ("a.txt", "d/big"):
        ref = store.put(write_folder(tmp_path / "raw", {name: FILES[name]}), "files").ref

        with pytest.raises(cas.NotFoundError) as caught:
            store.get(ref, "s3://no-such-bucket-here/copy", get)

        assert caught.value.code is ErrorCode.STORE_NOT_FOUND


class CancelInTheMiddle(cas.Cancel):
    """Is set from the fourth time on that the thread which sends a file asks."""

    asked = 0

    def is_set(self) -> bool:
        if threading.current_thread().name.startswith("cas-send"):
            self.asked += 1
        return self.asked > 3


def test_a_big_file_that_fails_midway_leaves_no_object_and_no_parts(store, bucket, tmp_path):
    """Its upload is taken back."""
    ref = store.put(write_folder(tmp_path / "raw", {"big": os.urandom(40 << 20)}), "files").ref
    get = cas.GetOptions(dest_options=bucket.options, cancel=CancelInTheMiddle())

    with pytest.raises(BaseException) as caught:
        store.get(ref, f"{bucket.url}/copy", get)

    name = bucket.url.removeprefix("s3://").partition("/")[0]
    filesystem = bucket.filesystem()
    assert type(caught.value).__name__ == "Cancelled"
    assert bucket.below("copy") == {}
    assert filesystem.list_multipart_uploads(name) == []


def test_the_tool_puts_and_gets_with_options_and_environment(bucket, tmp_path):
    """Credentials and endpoint come from either; none of them is recorded."""
    url = bucket.fill("raw", FILES)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "CAS_HOME": str(tmp_path / "home"),
        "CAS_STORE": str(tmp_path / "store"),
    }
    driver = {
        "AWS_ENDPOINT_URL": bucket.options["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "hidden",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }
    given = [f"--source-option={name}={value}" for name, value in bucket.options.items()]
    given[-1] = given[-1].replace("endpoint_url", "endpoint")  # as in settings

    def run(*words: str, **more: str) -> Any:
        command = [str(Path(sys.executable).with_name("cas")), *words, "--json"]
        done = subprocess.run(
            command, env={**environ, **more}, capture_output=True, timeout=60, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run("init")
    by_options = run("put", url, "raw", *given)
    by_environ = run("put", url, "raw", **driver)
    shown = run("show", "raw")
    got = run("get", "raw", f"{bucket.url}/copy", **driver)

    assert (by_options["created"], by_environ["created"]) == (True, False)
    assert bucket.below("copy") == FILES
    assert got["dest"] == f"{bucket.url}/copy"
    assert "hidden" not in json.dumps(shown)
    assert bucket.options["endpoint_url"] not in json.dumps(shown)


PEAK = """
import json, resource, sys, cas
cas.Store.create(sys.argv[1]).close()
store = cas.Store.open(sys.argv[1], options=cas.StoreOptions(journal=False, memory_bytes=64 << 20))
options = json.loads(sys.argv[3])
store.put(sys.argv[2] + "/raw/" + sys.argv[4], "x", cas.PutOptions(source_options=options))
store.get("x", sys.argv[2] + "/copy-" + sys.argv[4], cas.GetOptions(dest_options=options))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_objects(bucket, tmp_path):
    """256 MiB pass through little more than what 1 MiB takes and the budget of 64 MiB."""
    bucket.fill("raw", {"small": os.urandom(1 << 20), "large": os.urandom(256 << 20)})
    peaks = []
    for name in ("small", "large"):
        words = (str(tmp_path / name), bucket.url, json.dumps(bucket.options), name)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *words], capture_output=True, check=True, timeout=240
        )
        peaks.append(int(done.stdout))

    assert peaks[1] - peaks[0] < 192, peaks
