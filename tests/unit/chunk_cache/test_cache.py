"""What was kept is found by everybody, what is not right is not there, and nothing ever fails."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import shutil
import threading
import warnings
from pathlib import Path

import pytest
from cached_chunks import LIMIT, chunk, is_kept

from cas.chunk_cache.cache import PENDING_BYTES, CacheCounts, CacheWarning, ChunkCache
from cas.chunk_cache.segments import Appender, used_bytes
from cas.chunk_cache.upkeep import check_cache, measure_cache
from cas.model.units import MIB

SIZE = 60_000


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.chunks"))


def fill(cache: ChunkCache, numbers: range) -> None:
    for number in numbers:
        cache.keep([chunk(number)])


def test_what_is_kept_is_found_by_others(cache, folder):
    """By another object, as in another process, and it is counted."""
    cache.keep([chunk(1), chunk(2)])
    other = ChunkCache(folder, LIMIT)

    found = [is_kept(other, number) for number in (1, 2, 3)]

    assert found == [True, True, False]
    assert other.counts == CacheCounts(hits=2, misses=1, hit_bytes=2 * SIZE)
    assert other.counts.hit_rate == pytest.approx(2 / 3)


def test_nothing_is_made_before_it_is_needed(cache, folder):
    """An object that is never asked leaves no trace."""
    cache.close()

    assert not folder.exists()


def test_a_chunk_is_kept_once(cache, folder):
    """However often, and by whomever, it is read."""
    other = ChunkCache(folder, LIMIT)
    for one in (cache, other, cache):
        one.keep([chunk(1), chunk(1)])

    assert [path.stat().st_size for path in segments(folder)] == [SIZE]


def test_what_was_not_used_for_long_goes(cache, folder):
    """The newest stay, the oldest go, and the folder never takes more than its limit."""
    largest = 0
    for number in range(600):
        cache.keep([chunk(number)])
        largest = max(largest, used_bytes(folder))

    assert largest <= LIMIT
    assert [is_kept(cache, number) for number in (0, 100, 598, 599)] == [False, False, True, True]


def test_what_is_used_stays(cache):
    """Though ten times as much as the cache holds is read meanwhile, once each."""
    fill(cache, range(10))
    for number in range(100, 3000):
        cache.keep([chunk(number)])
        if number % 20 == 0:
            assert [is_kept(cache, one) for one in range(10)] == [True] * 10

    assert cache.counts.misses == 0


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE + 1, 4_000_000_000])
def test_a_chunk_of_another_length_is_not_it(cache, length):
    """The table that the blob's id vouches for says the length; nothing else is read."""
    chunk_id, raw = chunk(1)
    cache.keep([(chunk_id, raw)])

    assert cache.find(chunk_id, length) is None
    assert cache.counts.damaged == 0


def test_a_slot_of_another_length_does_not_keep_a_chunk_out(cache):
    """A wrong one is written over by the right one, though nobody looked before."""
    chunk_id, raw = chunk(1)
    cache.keep([(chunk_id, raw[:100])])

    cache.keep([(chunk_id, raw)])

    assert is_kept(cache, 1)


@pytest.mark.parametrize("at", [0, 1, SIZE // 2, SIZE - 1])
def test_damaged_bytes_are_a_miss_and_go(cache, folder, at):
    """A single wrong bit is found, wherever it is, and the next reader brings the chunk again."""
    cache.keep([chunk(1)])
    with segments(folder)[0].open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))

    before = is_kept(cache, 1), cache.counts.damaged, measure_cache(folder).entries
    cache.keep([chunk(1)])

    assert before == (False, 1, 0)
    assert is_kept(cache, 1)


@pytest.mark.parametrize("left", [0, 1, SIZE - 1])
def test_a_truncated_segment_is_a_miss(cache, folder, left):
    """What is cut off is fetched again, and kept."""
    cache.keep([chunk(1)])
    os.truncate(segments(folder)[0], left)

    before = is_kept(cache, 1)
    cache.keep([chunk(1)])

    assert (before, is_kept(cache, 1)) == (False, True)


@pytest.mark.parametrize("name", ["*.chunks", "index", "lock", "CACHEDIR.TAG", "*"])
def test_what_vanishes_is_made_anew(cache, folder, name):
    """Anything in the folder may be deleted at any time, while it is in use."""
    fill(cache, range(5))
    for path in folder.glob(name):
        path.unlink()

    fill(cache, range(5, 10))

    assert all(is_kept(ChunkCache(folder, LIMIT), number) for number in range(5, 10))
    assert cache.problem is None


def test_the_folder_may_vanish(cache, folder):
    """A cache is safe to delete at any time."""
    fill(cache, range(5))
    shutil.rmtree(folder)

    before = is_kept(cache, 1)
    fill(cache, range(5))
    fill(cache, range(5, 10))

    assert (before, cache.problem) == (False, None)
    assert is_kept(ChunkCache(folder, LIMIT), 7)


def test_every_byte_of_the_index_may_be_wrong(cache, folder):
    """Header or slot, whatever a field says: a hit is right, all else is a miss, and goes on."""
    cache.keep([chunk(1)])
    index = folder / "index"
    sound = index.read_bytes()
    places = [at for at in range(len(sound)) if sound[at]]
    for at in [*range(80), *places, *(place + 1 for place in places if place + 1 < len(sound))]:
        for wrong in (sound[at] ^ 1, sound[at] ^ 255):
            index.write_bytes(sound[:at] + bytes([wrong]) + sound[at + 1 :])
            one = ChunkCache(folder, LIMIT)
            is_kept(one, 1)
            one.keep([chunk(1), chunk(2)])

            assert is_kept(one, 1)
            assert is_kept(one, 2)
            assert (one.problem, used_bytes(folder) <= LIMIT) == (None, True)
            index.write_bytes(sound)


@pytest.mark.parametrize("left", [0, 10, 63, 4096, 5000])
def test_a_truncated_index_is_filled_again(cache, folder, left):
    """Without a header it is begun anew, with one the rest is empty."""
    fill(cache, range(20))
    os.truncate(folder / "index", left)
    other = ChunkCache(folder, LIMIT)

    [is_kept(other, number) for number in range(20)]
    fill(other, range(20))

    assert all(is_kept(other, number) for number in range(20))


@pytest.mark.parametrize("name", ["0000000001.chunks", "index", "lock"])
def test_a_link_in_the_place_of_a_file_is_not_followed(cache, folder, tmp_path, name):
    """What it leads to is not written."""
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    cache.keep([chunk(1)])
    (folder / name).unlink()
    (folder / name).symlink_to(target)
    other = ChunkCache(folder, LIMIT)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)
        is_kept(other, 1)
        fill(other, range(2, 5))

    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["0000000001.chunks", "index", "lock"])
def test_a_folder_in_the_place_of_a_file_costs_the_cache_only(folder, name):
    """It is told once, and reading goes on."""
    (folder / name).mkdir(parents=True)
    folder.chmod(0o700)
    cache = ChunkCache(folder, LIMIT)

    with pytest.warns(CacheWarning, match="data cache .* is not (used|filled)"):
        fill(cache, range(3))

    assert not is_kept(cache, 1)
    assert cache.problem is not None


def test_a_full_disk_is_told_once(cache, folder, monkeypatch):
    """What is there is still read; no more is written, and nothing is left of what was half."""
    cache.keep([chunk(1)])
    before = used_bytes(folder)

    def full(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Appender, "append", full)
    with pytest.warns(CacheWarning, match="No space left") as told:
        fill(cache, range(2, 5))

    assert len(told) == 1
    assert (is_kept(cache, 1), is_kept(cache, 2), used_bytes(folder)) == (True, False, before)


def test_a_warning_that_is_an_error_is_none_here(folder):
    """Who turns warnings into errors reads on all the same."""
    folder.write_text("no folder")
    cache = ChunkCache(folder, LIMIT)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.find(*chunk(1)[:1], SIZE) is None

    assert cache.problem is not None


def test_a_half_written_chunk_leaves_nothing(cache, folder, monkeypatch):
    """The system may write fewer bytes than it was given."""
    cache.keep([chunk(1)])
    whole = os.pwrite
    monkeypatch.setattr(
        os,
        "pwrite",
        lambda fd, data, at: whole(fd, data[:1000] if len(data) == SIZE else data, at),
    )
    with pytest.warns(CacheWarning):
        cache.keep([chunk(2)])
    monkeypatch.undo()

    assert [path.stat().st_size for path in segments(folder)] == [SIZE]


def test_a_file_that_may_not_grow_is_as_a_full_disk(cache, folder):
    """With the system's own limit, in a process of its own: what was there is still read."""
    cache.keep([chunk(1)])
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE + 1000, SIZE + 1000))
            warnings.simplefilter("ignore")
            cache.keep([chunk(2)])
            found = is_kept(cache, 1), is_kept(cache, 2), cache.problem is not None
            os._exit(0 if found == (True, False, True) else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert [path.stat().st_size for path in segments(folder)] == [SIZE]


def test_a_locked_cache_is_read_and_filled_later(cache, folder):
    """Nobody waits for whoever writes; what came meanwhile waits, up to a bound, and is found."""
    cache.keep([chunk(1)])
    other = ChunkCache(folder, LIMIT)
    is_kept(other, 1)
    with cache._files.locked() as is_mine:
        fill(other, range(2, 200))
        meanwhile = [is_kept(other, number) for number in (1, 2, 199)]
        held = other._pending_bytes
    other.close()

    assert is_mine
    assert meanwhile == [True, False, True]
    assert held <= PENDING_BYTES
    assert is_kept(ChunkCache(folder, LIMIT), 199)


def test_others_may_not_write_there(folder):
    """A folder that others could have filled is not used, and it is told why."""
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    cache = ChunkCache(folder, LIMIT)

    with pytest.warns(CacheWarning, match="others may write"):
        cache.keep([chunk(1)])

    assert not is_kept(cache, 1)
    assert list(folder.iterdir()) == []


def test_a_folder_of_somebody_else_is_not_used(folder, monkeypatch):
    """Whoever owns it could change it."""
    folder.mkdir(mode=0o700)
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    cache = ChunkCache(folder, LIMIT)

    with pytest.warns(CacheWarning, match="belongs to another user"):
        cache.keep([chunk(1)])

    assert list(folder.iterdir()) == []


def test_it_is_private_and_marked_as_a_cache(cache, folder):
    """Nobody else looks in, and backups leave it out."""
    cache.keep([chunk(1)])

    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*.chunks"))
    assert (folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172")


def test_many_threads_share_one(cache):
    """Reading, filling and evicting at the same time, every answer is right."""
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(seed, 400, 3):
                is_kept(cache, number % 50)
                cache.keep([chunk(number), chunk(number % 50)])
        except BaseException as error:  # noqa: BLE001 - a test tells it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert cache.counts.damaged == 0


def test_what_many_threads_bring_at_once_is_all_kept(folder):
    """Threads of one process wait for each other before anything is dropped."""
    cache = ChunkCache(folder, 64 * MIB)
    chunks = [chunk(number, 250_000) for number in range(160)]
    threads = [
        threading.Thread(target=lambda at=at: [cache.keep(chunks[at : at + 10])])
        for at in range(0, 160, 10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.close()

    assert all(is_kept(ChunkCache(folder, 64 * MIB), number, 250_000) for number in range(160))


@pytest.mark.parametrize("limits", [(64 * MIB, 16 * MIB), (16 * MIB, 64 * MIB), (256 * MIB, LIMIT)])
def test_another_limit_keeps_what_fits(folder, limits):
    """A cache that is made larger or smaller is not begun anew, and keeps to its limit at once."""
    before = ChunkCache(folder, limits[0])
    fill(before, range(100))
    after = ChunkCache(folder, limits[1])

    fill(after, range(100, 110))

    assert all(is_kept(after, number) for number in range(60, 110))
    assert used_bytes(folder) <= limits[1]
    fill(before, range(110, 120))
    assert all(is_kept(after, number) for number in range(100, 120))


def test_a_larger_cache_holds_more(folder):
    """Sixteen times as much, in segments and an index that fit."""
    large = ChunkCache(folder, 64 * MIB)

    fill(large, range(900))

    assert all(is_kept(large, number) for number in range(900))


def test_counts_of_all_processes_are_added_up(cache, folder):
    """Whoever closes a cache leaves what it counted."""
    cache.keep([chunk(1)])
    for one in (cache, ChunkCache(folder, LIMIT)):
        is_kept(one, 1)
        is_kept(one, 2)
        one.close()
        one.close()

    use = measure_cache(folder)

    assert (use.hits, use.misses, use.hit_bytes) == (2, 2, 2 * SIZE)


def test_verifying_finds_and_removes_what_is_wrong(cache, folder):
    """Every chunk is read; those of which a bit is wrong are gone afterwards."""
    fill(cache, range(10))
    with segments(folder)[0].open("r+b") as file:
        file.seek(3 * SIZE + 7)
        file.write(b"?")

    first, second = check_cache(folder), check_cache(folder)

    assert (first.chunks, first.removed, first.size) == (9, 1, 9 * SIZE)
    assert (second.chunks, second.removed) == (9, 0)


def test_a_child_shares_no_lock_with_its_parent(cache, folder):
    """A forked process opens the files anew, so that the two keep apart."""
    fill(cache, range(5))
    with cache._files.locked():
        child = os.fork()
        if child == 0:
            try:
                cache.keep([chunk(50)])  # the lock is the parent's
                os._exit(0 if is_kept(cache, 1) and len(cache._pending) == 1 else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    fill(cache, range(5, 10))
    assert all(is_kept(cache, number) for number in range(10))


def test_a_warning_survives_pickling():
    """Data-loader workers send home what they were told."""
    warning = CacheWarning("the data cache")

    assert str(pickle.loads(pickle.dumps(warning))) == "the data cache"
