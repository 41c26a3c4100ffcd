"""Processes that share a cache of chunks and are killed at any instant leave one that works."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from cached_chunks import LIMIT, chunk, is_kept

from cas.chunk_cache import limits
from cas.chunk_cache.cache import ChunkCache
from cas.chunk_cache.segments import used_bytes
from cas.chunk_cache.upkeep import check_cache

TESTS = Path(__file__).parents[1]
WORKER = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cached_chunks import LIMIT, chunk, is_kept
from cas.chunk_cache import limits
from cas.chunk_cache.cache import ChunkCache

chosen = random.Random(int(sys.argv[3]))
for _ in range(int(sys.argv[4])):
    cache = ChunkCache(Path(sys.argv[2]), LIMIT)
    for _ in range(25):
        number = chosen.randrange(500)
        if not is_kept(cache, number):
            cache.keep([chunk(number)])
    cache.close()
    assert cache.problem is None
    print(cache.counts.damaged, flush=True)
"""


def start(folder: Path, seed: int, rounds: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", WORKER, TESTS, folder, str(seed), str(rounds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_leave_a_cache_that_works(tmp_path, seed):
    """Each after a few steps, at whatever it was doing, while the others go on."""
    folder = tmp_path / "data-1"
    chosen = random.Random(seed)
    for _ in range(2):
        workers = [start(folder, chosen.randrange(1000), 10_000) for _ in range(3)]
        for worker in workers:
            for _ in range(chosen.randrange(2, 12)):
                assert worker.stdout.readline()
            worker.kill()
            worker.communicate()

            assert used_bytes(folder) <= LIMIT

    assert check_cache(folder).removed == 0
    cache = ChunkCache(folder, LIMIT)
    for number in range(1000, 1010):
        cache.keep([chunk(number)])
    assert all(is_kept(cache, number) for number in range(1000, 1010))
    assert cache.problem is None


def test_processes_read_fill_and_evict_together(tmp_path):
    """None of them ever reads anything else than what was kept, and all of it fits."""
    folder = tmp_path / "data-1"

    workers = [start(folder, seed, 12) for seed in range(4)]
    outputs = [worker.communicate()[0].split() for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * 4
    assert [len(output) for output in outputs] == [12] * 4
    # What a reader was about to read may be evicted under it, but never be another's bytes.
    assert used_bytes(folder) <= LIMIT
    assert check_cache(folder).removed == 0


class _Killed(BaseException):
    """The process ends here."""


SIZE = 60_000
SMALL = 1 << 20
CALLS = ("pwrite", "truncate", "ftruncate", "unlink", "replace", "rename", "open", "mkdir")


@pytest.fixture
def die_at(monkeypatch):
    """A function by which the process ends before the n-th call that changes or opens a file; with
    0 never.
    """
    true = {name: getattr(os, name) for name in CALLS}

    def arm(count: int) -> None:
        left = count

        def wrap(call):
            def counted(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    raise _Killed
                return call(*args, **kwargs)

            return counted

        for name in CALLS:
            monkeypatch.setattr(os, name, wrap(true[name]))

    return arm


@lru_cache
def small_chunk(number: int) -> tuple[bytes, bytes]:
    return chunk(number, SIZE)


def fill(cache: ChunkCache, first: int) -> bool:
    """Read until segments were evicted; tell whether the process lived."""
    try:
        for number in range(first, first + 24):
            cache.keep([small_chunk(number)])
        cache.close()
    except _Killed:
        return False
    return True


@pytest.mark.parametrize("before", ["nothing", "full", "larger", "smaller"])
def test_an_end_before_any_call_leaves_a_cache_that_works(tmp_path, die_at, monkeypatch, before):
    """While it is made, filled, full, or changed to another limit; whichever step comes next."""
    monkeypatch.setattr(limits, "MINIMUM_SEGMENT_BYTES", 64 << 10)
    made = tmp_path / "made"
    limits_of_both = {"larger": (4 * SMALL, SMALL), "smaller": (SMALL, 4 * SMALL)}
    limit, now = limits_of_both.get(before, (SMALL, SMALL))
    if before != "nothing":
        fill(ChunkCache(made, limit), 0)
    # Every step at first, where files are made or changed over; then some of many that are alike.
    for count in itertools.chain(range(1, 20), itertools.count(20, 9)):
        folder = tmp_path / f"{count}"
        if before != "nothing":
            shutil.copytree(made, folder)
        die_at(count)
        survived = fill(ChunkCache(folder, now), 50)
        die_at(0)

        assert used_bytes(folder) <= max(now, limit)
        assert check_cache(folder).removed == 0
        after = ChunkCache(folder, now)
        assert fill(after, 80)
        assert all(is_kept(after, number, SIZE) for number in range(95, 104))
        assert (after.problem, used_bytes(folder) <= now) == (None, True)
        shutil.rmtree(folder)
        if survived:
            break
