"""What never changes is asked for once, and nothing in the cache is trusted unchecked."""

from __future__ import annotations

from pathlib import Path

import pytest

from cas.backend.caching import LARGEST_ENTRY_BYTES, CachingBackend
from cas.backend.counting import RequestCounter
from cas.backend.local import LocalBackend
from cas.testing.fault_plan import Fault
from cas.testing.faulty import FaultyBackend


@pytest.fixture
def counter(tmp_path: Path) -> RequestCounter:
    return RequestCounter(LocalBackend(str(tmp_path / "store"), create_root=True))


@pytest.fixture
def cached(counter: RequestCounter, tmp_path: Path) -> CachingBackend:
    return CachingBackend(counter, tmp_path / "cache", ("meta", "index"))


def entries(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").glob("*/*") if path.is_file()]


def test_a_range_is_fetched_once(counter: RequestCounter, cached: CachingBackend) -> None:
    """The second reader, in whatever process, asks nobody."""
    counter.put("meta/a", [b"0123456789"])

    answers = [cached.get("meta/a", 2, 5) for _ in range(3)]

    assert (answers, counter.counts.get) == ([b"234"] * 3, 1)


def test_what_was_put_need_not_be_fetched(counter: RequestCounter, cached: CachingBackend) -> None:
    """Any range of a small object that this machine stored is here."""
    cached.put("meta/a", [b"01234", b"56789"])

    answers = [cached.get("meta/a", start, start + 3) for start in (0, 4, 8)]

    assert (answers, counter.counts.get) == ([b"012", b"456", b"89"], 0)


@pytest.mark.parametrize(("key", "stop"), [("gc/1", 3), ("meta/a", None), ("metadata/a", 3)])
def test_what_may_change_is_always_asked_for(
    counter: RequestCounter, cached: CachingBackend, key: str, stop: int | None
) -> None:
    """Only ranges with an end, of objects that are never replaced, are kept."""
    counter.put(key, [b"old"])
    cached.get(key, 0, stop)
    counter.put(key, [b"new"])

    assert cached.get(key, 0, stop) == b"new"


def test_large_objects_are_not_kept(
    counter: RequestCounter, cached: CachingBackend, tmp_path: Path
) -> None:
    """Data goes by."""
    size = LARGEST_ENTRY_BYTES + 1
    cached.put("meta/a", [bytes(size)])
    cached.get("meta/a", 0, size)

    assert (entries(tmp_path), counter.counts.get) == ([], 1)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_fetched_again(
    counter: RequestCounter, cached: CachingBackend, tmp_path: Path, damage: str
) -> None:
    """A wrong byte in the cache is as good as none."""
    cached.put("meta/a", [b"0123456789"])
    (entry,) = entries(tmp_path)
    content = entry.read_bytes()
    entry.write_bytes(
        {"flip": content[:-1] + b"x", "cut": content[:-1], "empty": b""}[damage],
    )

    assert (cached.get("meta/a", 0, 10), counter.counts.get) == (b"0123456789", 1)


def test_a_cache_that_cannot_be_written_costs_only_time(
    counter: RequestCounter, tmp_path: Path
) -> None:
    """A file stands where the folder would be."""
    (tmp_path / "cache").write_bytes(b"")
    cached = CachingBackend(counter, tmp_path / "cache", ("meta",))

    cached.put("meta/a", [b"0123"])

    assert (cached.get("meta/a", 0, 4), counter.counts.get) == (b"0123", 1)


def test_closing_throws_out_what_was_not_used_for_longest(
    counter: RequestCounter, tmp_path: Path
) -> None:
    """The limit holds after each use, and the last entries stay."""
    cached = CachingBackend(counter, tmp_path / "cache", ("meta",), limit_bytes=4000)
    for number in range(10):
        cached.put(f"meta/{number}", [bytes(1000)])

    cached.close()

    sizes = [path.stat().st_size for path in entries(tmp_path)]
    assert 0 < sum(sizes) <= 4000


def test_a_deleted_object_is_forgotten(counter: RequestCounter, cached: CachingBackend) -> None:
    """Whoever deletes through it does not read it afterwards."""
    cached.put("index/a", [b"0123"])
    cached.delete("index/a")
    counter.put("index/a", [b"4567"])

    assert cached.get("index/a", 0, 4) == b"4567"


def test_what_was_kept_wrongly_is_replaced_by_what_is_stored(
    counter: RequestCounter, tmp_path: Path
) -> None:
    """An answer that was spoilt on its way into the cache does not come back from there."""
    counter.put("meta/a", [b"right content"])
    spoiling = FaultyBackend(counter).fail_nth("get", 1, Fault.WRONG)
    cache = CachingBackend(spoiling, tmp_path / "cache", ["meta"])
    spoilt = [cache.get("meta/a", 0, 5), cache.get("meta/a", 0, 5)]

    anew = cache.get_anew("meta/a", 0, 5)

    assert spoilt[0] == spoilt[1] != b"right"
    assert [anew, cache.get("meta/a", 0, 5)] == [b"right", b"right"]


def test_the_end_of_a_large_object_that_was_put_may_be_kept(
    counter: RequestCounter, cached: CachingBackend
) -> None:
    """Just the bytes that whoever put it named; others are asked for."""
    content = bytes(range(256)) * (LARGEST_ENTRY_BYTES // 256 + 1)
    cached.put("meta/a", [content])
    cached.keep("meta/a", len(content) - 5, content[-5:])

    answers = [cached.get("meta/a", len(content) - length, len(content)) for length in (5, 6)]

    assert (answers, counter.counts.get) == ([content[-5:], content[-6:]], 1)


def test_what_may_change_is_not_kept_either(
    counter: RequestCounter, cached: CachingBackend
) -> None:
    """Whoever asks for it to be kept."""
    counter.put("gc/1", [b"new"])
    cached.keep("gc/1", 0, b"old")

    assert cached.get("gc/1", 0, 3) == b"new"
