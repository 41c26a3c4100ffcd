"""Puts from URLs."""

from __future__ import annotations

import datetime
import tempfile
from pathlib import Path

import pytest
from memory_bucket import FILES, LONG_AGO
from text_trees import write_folder

import cas
from cas.errors import ErrorCode


def test_objects_make_the_version_that_the_same_files_make(store, bucket, tmp_path):
    """The digest tells, for small, big, empty and zero files."""
    from_folder = store.put(write_folder(tmp_path / "raw", FILES), "folder")

    from_url = store.put(bucket.put_all("raw", FILES), "objects")

    assert from_url.digest == from_folder.digest
    assert from_url.totals == from_folder.totals
    assert from_url.new_bytes == 0
    assert from_url.read_bytes == from_url.totals.size - (9 << 20)


def test_one_object_makes_a_version_of_one_file(store, bucket):
    """It is called as the URL ends."""
    bucket.put_all("raw", FILES)

    outcome = store.put(f"{bucket.url}/raw/d/big", "one")

    assert list(store.version(outcome.ref)) == ["d/big".rpartition("/")[2]]


def test_several_urls_stand_side_by_side(store, bucket):
    """Objects and prefixes, each under its own name."""
    bucket.put_all("raw", FILES)

    outcome = store.put([f"{bucket.url}/raw/d", f"{bucket.url}/raw/a.txt"], "several")

    assert sorted(store.version(outcome.ref)) == [
        *("a.txt", "d/big", "d/e/text", "d/mid", "d/zeros"),
    ]


def test_a_file_url_is_a_path(store, tmp_path):
    """As a source and as a target."""
    folder = write_folder(tmp_path / "raw", {"a": b"alpha"})

    outcome = store.put(f"file://{folder}", "local")
    store.get(outcome.ref, f"file://{tmp_path}/copy")

    assert (tmp_path / "copy" / "a").read_bytes() == b"alpha"


def test_unchanged_objects_are_not_read_again(store, bucket, reads):
    """The journal knows them by what the listing says."""
    url = bucket.put_all("raw", FILES)
    store.put(url, "objects")
    reads.clear()
    bucket.put("raw/a.txt", b"other", LONG_AGO + datetime.timedelta(seconds=1))

    changed = store.put(url, "objects")

    assert (changed.created, changed.read_files, reads) == (True, 1, ["a.txt"])


def test_an_object_just_written_is_read_again(store, bucket, reads):
    """It could change once more within the same tick of its server's clock."""
    bucket.put("raw/a", b"alpha", datetime.datetime.now(datetime.UTC))
    store.put(f"{bucket.url}/raw", "objects")
    reads.clear()

    again = store.put(f"{bucket.url}/raw", "objects")

    assert (again.created, reads) == (False, ["a"])


def test_nothing_is_copied_to_this_machine(store, bucket, tmp_path, monkeypatch):
    """Temporary folders stay empty."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    seen: list[list[Path]] = []
    url = bucket.put_all("raw", FILES)

    store.put(url, "objects", cas.PutOptions(progress=lambda _: seen.append([*scratch.iterdir()])))
    store.get("objects", f"{bucket.url}/copy")

    assert seen
    assert all(listing == [] for listing in [*seen, [*scratch.iterdir()]])


def test_names_that_are_no_paths_are_reported(store, bucket):
    """The version holds the others."""
    bucket.put("raw/good", b"1")
    bucket.put("raw//empty", b"2")
    bucket.put("raw/x/../up", b"3")
    bucket.put("raw/marker/", b"")

    outcome = store.put(f"{bucket.url}/raw", "objects")

    assert list(store.version(outcome.ref)) == ["good"]
    assert [skipped.path for skipped in outcome.skipped] == ["/empty", "x/../up"]


def test_patterns_leave_objects_out(store, bucket):
    """Those given, and those of `.casignore` objects."""
    url = bucket.put_all("raw", {"a": b"", "b.tmp": b"", "d/.casignore": b"x\n", "d/x": b""})

    outcome = store.put(url, "objects", cas.PutOptions(exclude=("*.tmp",)))

    assert list(store.version(outcome.ref)) == ["a", "d/.casignore"]


def test_paths_and_urls_are_not_mixed(store, bucket, tmp_path):
    """Nothing is read before that is said."""
    with pytest.raises(cas.CasError) as caught:
        store.put([f"{bucket.url}/raw", tmp_path], "both")

    assert caught.value.code is ErrorCode.INVALID_OPTION


def test_a_source_that_is_not_there_is_not_found(store, bucket):
    """And nothing is published."""
    with pytest.raises(cas.CasError) as caught:
        store.put(f"{bucket.url}/nothing", "objects")

    assert caught.value.code is ErrorCode.PATH_NOT_FOUND
    assert store.artifacts() == []


def test_secrets_of_a_url_are_not_recorded(store, bucket):
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


def test_what_was_asked_of_a_source_is_counted_apart(store, bucket, reads):
    """The look, the listing and each read, and the bytes that came."""
    outcome = store.put(bucket.put_all("raw", FILES), "objects")

    (tally,) = store.place_requests
    assert (tally.role, tally.url) == ("source", f"{bucket.url}/raw")
    counts = tally.requests
    assert (counts.list, counts.received_bytes) == (1, outcome.totals.size)
    assert counts.get > len(reads)  # objects are looked at, too
    assert counts.requests == counts.get + counts.list
