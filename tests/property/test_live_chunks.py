"""Which chunks of which blobs pages name, against sets of single chunks."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.format.manifest import HOLE, Page
from cas.objects import live_chunks
from cas.objects.live_chunks import LiveChunks

names = st.integers(0, 5)
extents = st.tuples(names, st.integers(0, 30), st.integers(1, 10))
pages = st.lists(st.lists(extents, max_size=6), max_size=6)


def page_of(found):
    named = sorted({name for name, _, _ in found}, reverse=True)
    count = len(found)
    return Page(
        paths=[b"file"],
        kinds=np.zeros(1, np.uint8),
        modes=np.zeros(1, np.uint8),
        sizes=np.zeros(1, np.uint64),
        hashes=np.zeros((1, 32), np.uint8),
        inline_lengths=np.zeros(1, np.uint32),
        inline=b"",
        extent_counts=np.array([count + 1], np.uint32),
        extent_blobs=np.array([*(named.index(name) for name, _, _ in found), HOLE], np.uint32),
        extent_first=np.array([*(first for _, first, _ in found), 0], np.uint32),
        extent_chunks=np.array([*(chunks for _, _, chunks in found), 0], np.uint32),
        extent_lengths=np.ones(count + 1, np.uint64),
        blob_ids=np.array([[name] * 32 for name in named], np.uint8).reshape(-1, 32),
        blob_sizes=np.array([1000 + name for name in named], np.uint32),
        table_offsets=np.array([500 + name for name in named], np.uint32),
    )


@pytest.mark.parametrize("waiting", [1 << 20, 1], ids=["at the end", "page by page"])
@given(pages)
def test_live_chunks_are_those_that_some_page_names(waiting, added):
    """Each once, whichever pages name it; joined now or later, the answer is the same."""
    expected = {}
    for found in added:
        for name, first, chunks in found:
            expected.setdefault(name, set()).update(range(first, first + chunks))
    live = LiveChunks()

    with patch.object(live_chunks, "_WAITING_ROWS", waiting):
        for found in added:
            live.add(page_of(found))
        blobs = live.blobs()

    named = [row.tobytes()[0] for row in blobs.ids]
    assert named == sorted(expected)
    assert blobs.sizes.tolist() == [1000 + name for name in named]
    assert blobs.table_offsets.tolist() == [500 + name for name in named]
    assert blobs.chunks.tolist() == [len(expected[name]) for name in named]
    for row, name in enumerate(named):
        assert blobs.chunks_of(row).tolist() == sorted(expected[name])


def test_a_whole_blob_is_one_interval():
    """The largest blob there may be, named file by file."""
    live = LiveChunks()
    for start in range(0, 16384, 1024):
        live.add(page_of([(1, start, 1024)]))

    blobs = live.blobs()

    assert blobs.chunks.tolist() == [16384]
    assert len(blobs._intervals) == 1
