from __future__ import annotations

import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile

CUTTER = Cutter(ChunkProfile(4096))
CONTENT = random.Random(1).randbytes(300_001)


def test_no_bytes_have_no_chunks():
    """An empty stream gives an empty array of the promised type."""
    ends = CUTTER.cut(b"")

    assert (ends.dtype, ends.shape) == (np.dtype(np.int64), (0,))


def test_chunks_keep_to_the_profile_and_cover_the_stream():
    """Only the last chunk may be shorter than the minimum."""
    ends = CUTTER.cut(CONTENT)
    lengths = np.diff(ends, prepend=0)

    assert ends[-1] == len(CONTENT)
    assert lengths[:-1].min() >= CUTTER.profile.minimum
    assert lengths.max() <= CUTTER.profile.maximum


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_every_kind_of_buffer_is_cut_alike(kind):
    """What holds the bytes does not matter."""
    assert CUTTER.cut(kind(CONTENT)).tolist() == CUTTER.cut(CONTENT).tolist()


def test_view_of_wider_items_is_cut_as_bytes():
    """A view of numbers is cut by its bytes, not by its items."""
    content = CONTENT[:300_000]

    assert CUTTER.cut(memoryview(content).cast("I")).tolist() == CUTTER.cut(content).tolist()


def test_ends_one_by_one_are_the_ends_at_once():
    """The lazy form gives the same cuts."""
    assert list(CUTTER.iter_ends(CONTENT)) == CUTTER.cut(CONTENT).tolist()


def test_insertion_moves_only_the_cuts_near_it():
    """Cuts find their way back, which is what deduplication lives on."""
    edited = CONTENT[:100_000] + b"inserted" + CONTENT[100_000:]
    before = set(CUTTER.cut(CONTENT).tolist())
    after = {end - 8 for end in CUTTER.cut(edited).tolist() if end > 140_000}

    assert after <= before


def test_cutter_survives_pickling():
    """Worker processes get a cutter that cuts the same."""
    copy = pickle.loads(pickle.dumps(CUTTER))

    assert copy == CUTTER
    assert copy.cut(CONTENT).tolist() == CUTTER.cut(CONTENT).tolist()


def test_threads_share_one_cutter():
    """Concurrent cuts of different streams do not disturb each other."""
    contents = [CONTENT[start:] for start in range(0, 80_000, 10_000)]

    with ThreadPoolExecutor(4) as pool:
        together = [ends.tolist() for ends in pool.map(CUTTER.cut, contents)]

    assert together == [CUTTER.cut(content).tolist() for content in contents]
