"""The cache of chunks beside a model of it: least recently used go first, within known bounds."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cached_chunks import chunk
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.chunk_cache import limits
from cas.chunk_cache.cache import ChunkCache
from cas.chunk_cache.files import OLD_SHARE
from cas.chunk_cache.segments import used_bytes
from cas.model.units import KIB, MIB

# As a cache of 2 GiB with chunks of 2 MiB would be, a thousandth of the size.
LIMIT = 2 * MIB
SEGMENT_BYTES = 16 * KIB
SIZES = {number: 1000 + 500 * (number % 5) for number in range(3000)}
CHUNKS = {number: chunk(number, size) for number, size in SIZES.items()}
HOT = range(10)
runs = st.lists(st.tuples(st.integers(0, 2940), st.integers(1, 60)), max_size=20)
FILLING = [(first, 60) for first in range(0, 2940, 60)]


@pytest.fixture(scope="module", autouse=True)
def small():
    """Segments and slots for small chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MINIMUM_SEGMENT_BYTES", SEGMENT_BYTES)
        patch.setattr(limits, "BYTES_PER_SLOT", 512)
        yield


@settings(max_examples=4)
@given(runs)
def test_what_was_used_last_is_there_and_the_limit_holds(chosen):
    """Whatever is read in whatever order: what an LRU of an eighth of the size has, this has, and
    the files never take more than the limit.
    """
    allowed = limits.geometry_of(LIMIT).segments_bytes()
    # Segments go as wholes, and what does not fit into the rest of one begins the next.
    sure = _Model(allowed // OLD_SHARE - 3 * SEGMENT_BYTES)
    with TemporaryDirectory() as name:
        folder = Path(name) / "data-1"
        cache = ChunkCache(folder, LIMIT)
        for first, count in [*FILLING, *chosen]:
            for number in (*range(first, first + count), *HOT):
                chunk_id, raw = CHUNKS[number]

                found = cache.find(chunk_id, len(raw))
                if found is None:
                    cache.keep([(chunk_id, raw)])

                assert found in (None, raw)
                assert found is not None or not sure.has(number)
                sure.use(number)
            assert used_bytes(folder) <= LIMIT
        cache.close()


class _Model:
    """An exact LRU by bytes."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._kept: OrderedDict[int, int] = OrderedDict()

    def has(self, number: int) -> bool:
        return number in self._kept

    def use(self, number: int) -> None:
        self._left += self._kept.pop(number, 0)
        self._kept[number] = SIZES[number]
        self._left -= SIZES[number]
        while self._left < 0:
            self._left += self._kept.popitem(last=False)[1]
