"""Pages rewritten for chunks that moved: any extents, any new places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import CorruptionError, ErrorCode
from cas.format.manifest import HOLE, Page, decode_page, encode_page, has_same_entries
from cas.model.entry import EntryKind
from cas.objects.blob_list import BlobRef
from cas.transfer.relocation import STAYS, MovedBlob, Relocation

BLOBS, CHUNKS = 3, 12
LENGTHS = np.arange(1, CHUNKS + 1, dtype=np.int64) * 10


def id_of(name):
    return bytes([name]) * 32


def ref_of(name):
    return BlobRef(blob_id=id_of(name), size=100 + name, table_offset=50 + name, stamp=0)


runs = st.integers(0, CHUNKS - 1).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(1, CHUNKS - first))
)
extent = st.one_of(
    st.tuples(st.just(HOLE), st.just((0, 0))), st.tuples(st.integers(0, BLOBS - 1), runs)
)
files = st.lists(st.lists(extent, max_size=4), min_size=1, max_size=5)
# By chunk of a blob: in which of two new blobs it lies now, and where in it; or it stays.
places = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 1), st.integers(0, 99))),
    min_size=CHUNKS,
    max_size=CHUNKS,
)
moves = st.dictionaries(st.integers(0, BLOBS - 1), places, max_size=BLOBS)


def bytes_of(blob, run):
    first, chunks = run
    return 7 if blob == HOLE else int(LENGTHS[first : first + chunks].sum())


def page_of(tree):
    extents = [one for file in tree for one in file]
    count = len(tree)
    return Page(
        paths=[b"%03d" % number for number in range(count)],
        kinds=np.full(count, EntryKind.FILE, np.uint8),
        modes=np.zeros(count, np.uint8),
        sizes=np.array([sum(bytes_of(*one) for one in file) for file in tree], np.uint64),
        hashes=np.arange(count * 32, dtype=np.uint64).astype(np.uint8).reshape(count, 32),
        inline_lengths=np.zeros(count, np.uint32),
        inline=b"",
        extent_counts=np.array([len(file) for file in tree], np.uint32),
        extent_blobs=np.array([blob for blob, _ in extents], np.uint32),
        extent_first=np.array([first for _, (first, _) in extents], np.uint32),
        extent_chunks=np.array([chunks for _, (_, chunks) in extents], np.uint32),
        extent_lengths=np.array([bytes_of(*one) for one in extents], np.uint64),
        blob_ids=np.array([list(id_of(name)) for name in range(BLOBS)], np.uint8),
        blob_sizes=np.array([100 + name for name in range(BLOBS)], np.uint32),
        table_offsets=np.array([50 + name for name in range(BLOBS)], np.uint32),
    )


def relocation_of(moved):
    found = {}
    for name, chunks in moved.items():
        found[id_of(name)] = MovedBlob(
            [ref_of(20), ref_of(10)],
            np.array([STAYS if at is None else at[0] for at in chunks], np.int64),
            np.array([0 if at is None else at[1] for at in chunks], np.int64),
            LENGTHS,
        )
    return Relocation(found)


def chunks_of(page):
    """Return every chunk of each file as (blob id, row), and holes as their bytes."""
    found = []
    for row in range(len(page.paths)):
        file = []
        for at in range(*page.extent_starts[row : row + 2].tolist()):
            blob, first = int(page.extent_blobs[at]), int(page.extent_first[at])
            if blob == HOLE:
                file.append(("hole", int(page.extent_lengths[at])))
                continue
            name = page.blob_ids[blob].tobytes()[0]
            file += [(name, first + number) for number in range(int(page.extent_chunks[at]))]
        found.append(file)
    return found


def joined_holes(file):
    joined = []
    for one in file:
        if one[0] == "hole" and joined and joined[-1][0] == "hole":
            one = ("hole", one[1] + joined.pop()[1])
        joined.append(one)
    return joined


@given(files, moves)
def test_every_chunk_is_followed_to_its_new_place_and_nothing_else_changes(tree, moved):
    """Chunk by chunk; a page of which nothing moved is none."""
    page = page_of(tree)
    expected = [
        joined_holes(
            one
            if one[0] == "hole" or (at := moved.get(one[0], [None] * CHUNKS)[one[1]]) is None
            else ((20, 10)[at[0]], at[1])
            for one in file
        )
        for file in chunks_of(page)
    ]

    rewritten = relocation_of(moved).apply(page)

    if rewritten is None:
        assert expected == [joined_holes(file) for file in chunks_of(page)]
        return
    assert list(map(joined_holes, chunks_of(rewritten))) == expected
    assert has_same_entries(page, rewritten)
    again = decode_page(encode_page(rewritten), None)
    assert chunks_of(again) == chunks_of(rewritten)
    named = [row.tobytes() for row in rewritten.blob_ids]
    assert named == sorted({id_of(one[0]) for file in expected for one in file if one[0] != "hole"})
    sizes = {ref_of(name).blob_id: ref_of(name) for name in (*range(BLOBS), 10, 20)}
    assert rewritten.blob_sizes.tolist() == [sizes[one].size for one in named]
    assert rewritten.table_offsets.tolist() == [sizes[one].table_offset for one in named]


@given(files, moves)
def test_a_page_that_was_rewritten_has_nothing_left_to_move(tree, moved):
    """Doing it twice is doing it once, if what moved moved as a whole."""
    whole = {name: [at or (0, 0) for at in chunks] for name, chunks in moved.items()}
    relocation = relocation_of(whole)
    rewritten = relocation.apply(page_of(tree)) or page_of(tree)

    assert relocation.apply(rewritten) is None


def test_chunks_that_lie_together_afterwards_are_one_extent():
    """Two runs of two blobs that were copied one after the other; the next file's stay apart."""
    page = page_of([[(0, (0, 2)), (1, (4, 2))], [(1, (6, 1))]])
    at = {0: [(0, 0), (0, 1)], 1: [None] * 4 + [(0, 2), (0, 3), (0, 4)]}
    moved = {name: places + [None] * (CHUNKS - len(places)) for name, places in at.items()}

    rewritten = relocation_of(moved).apply(page)

    assert rewritten.extent_counts.tolist() == [1, 1]
    assert rewritten.extent_first.tolist() == [0, 4]
    assert rewritten.extent_chunks.tolist() == [4, 1]


@pytest.mark.parametrize("changed", ["extent_lengths", "extent_chunks", "extent_first"])
def test_a_page_that_disagrees_with_the_table_of_its_blob_is_damaged(changed):
    """Nothing is made of it: lengths of chunks must add up, and there must be that many."""
    page = page_of([[(0, (CHUNKS - 3, 3))]])
    column = getattr(page, changed).copy()
    column += 1
    object.__setattr__(page, changed, column)

    with pytest.raises(CorruptionError, match="disagree") as caught:
        relocation_of({0: [(0, row) for row in range(CHUNKS)]}).apply(page)

    assert caught.value.code is ErrorCode.MALFORMED_OBJECT
