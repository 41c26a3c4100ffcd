"""Objects that change between the listing and the end of their reading."""

from __future__ import annotations

import datetime

import pytest
from memory_bucket import BIG, FILES, LONG_AGO

import cas
from cas.errors import ErrorCode
from cas.transfer import cutting, journal, remote_content


@pytest.mark.parametrize("path", ["a.txt", "d/mid", "d/big"])
def test_an_object_that_vanished_is_reported(store, bucket, act_before_read, path):
    """With its name; nothing is published."""
    url = bucket.put_all("raw", FILES)
    act_before_read(path, lambda: bucket.delete(f"raw/{path}"))

    with pytest.raises(cas.IncompleteError) as caught:
        store.put(url, "objects")

    assert caught.value.problems == (f"{path}: was removed since it was listed",)
    assert store.artifacts() == []


@pytest.mark.parametrize("path", ["a.txt", "d/mid", "d/big"])
@pytest.mark.parametrize("change", [b"", b"longer " * 500_000, b"short"])
def test_an_object_of_another_size_is_read_again(store, bucket, act_before_read, path, change):
    """The version holds what it became, whole."""
    url = bucket.put_all("raw", FILES)
    later = LONG_AGO + datetime.timedelta(hours=1)
    act_before_read(path, lambda: bucket.put(f"raw/{path}", change, later))

    outcome = store.put(url, "objects")

    assert store.version(outcome.ref).open(path).read() == change


def test_a_big_object_that_is_replaced_midway_is_read_again(
    store, bucket, monkeypatch, act_before_read, reads
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

    act_before_read("big", replace, times=100)

    outcome = store.put(f"{bucket.url}/raw", "objects")

    assert store.version(outcome.ref).open("big").read() == other


def test_an_object_that_never_rests_is_reported(store, bucket, act_before_read):
    """After a few attempts."""
    bucket.put("raw/a", b"1")
    sizes = iter(range(2, 100))
    act_before_read("a", lambda: bucket.put("raw/a", b"x" * next(sizes)), times=100)

    with pytest.raises(cas.IncompleteError) as caught:
        store.put(f"{bucket.url}/raw", "objects")

    assert caught.value.problems == ("a: kept changing while it was read",)


def test_a_change_that_the_stamp_missed_is_seen_by_the_next_put(
    store, bucket, monkeypatch, act_before_read
):
    """Bytes newer than their stamp are taken, and looked at again."""
    monkeypatch.setattr(journal, "RACY_NS", -(1 << 62))
    bucket.put("raw/a", b"one")
    later = LONG_AGO + datetime.timedelta(seconds=1)
    act_before_read("a", lambda: bucket.put("raw/a", b"two", later))

    first = store.put(f"{bucket.url}/raw", "objects")
    again = store.put(f"{bucket.url}/raw", "objects")

    assert store.version(first.ref).open("a").read() == b"two"
    assert (again.created, again.read_files) == (False, 1)


def test_an_object_that_is_forbidden_is_reported(store, bucket, act_before_read):
    """Beside others, which may be readable."""
    url = bucket.put_all("raw", FILES)

    def refuse() -> None:
        raise cas.BackendError("no", code=ErrorCode.ACCESS_DENIED)

    act_before_read("a.txt", refuse)

    with pytest.raises(cas.IncompleteError) as caught:
        store.put(url, "objects")

    assert caught.value.problems == ("a.txt: reading it is not allowed",)


def test_a_storage_that_fails_stops_the_put(store, bucket, act_before_read):
    """Nothing is published; the next put does it all."""
    url = bucket.put_all("raw", FILES)

    def fail() -> None:
        raise cas.BackendError("gone", code=ErrorCode.BACKEND_FAILED)

    act_before_read("many/050", fail)

    with pytest.raises(cas.BackendError):
        store.put(url, "objects")
    missing = store.artifacts()
    again = store.put(url, "objects")

    assert missing == []
    assert again.totals.files == len(FILES)
