"""What a put knows of its entries: extents joined, kept in columns, made into pages and back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from cas.format.manifest import HOLE, decode_page, encode_page
from cas.model.entry import EntryKind
from cas.model.ids import PageId
from cas.objects.blob_list import BlobList, BlobRef
from cas.transfer.rows import (
    FIRST_CAPACITY,
    HOLE_ROW,
    EntryColumns,
    Extents,
    merge_extents,
    ranges,
)


def extents(rows):
    columns = np.array(rows, np.int64).reshape(-1, 4)
    return Extents(*(columns[:, at] for at in range(4)))


def as_rows(found):
    columns = (found.blobs, found.first, found.chunks, found.lengths)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def merge(rows, starts):
    joined, per_file = merge_extents(extents(rows), np.array(starts, np.int64))
    return as_rows(joined), per_file.tolist()


def test_consecutive_chunks_of_a_blob_are_one_extent():
    """A chunk left out, another blob, or going back begins a new one."""
    rows = [(0, 4, 1, 10), (0, 5, 1, 20), (0, 7, 1, 5), (1, 8, 1, 5), (1, 7, 1, 1), (1, 8, 2, 2)]

    assert merge(rows, [0]) == (
        [(0, 4, 2, 30), (0, 7, 1, 5), (1, 8, 1, 5), (1, 7, 3, 3)],
        [4],
    )


def test_holes_that_touch_are_one_hole():
    """A run of zeros has no chunks that could follow each other."""
    rows = [(HOLE_ROW, 0, 0, 8), (HOLE_ROW, 0, 0, 9), (2, 0, 1, 1), (HOLE_ROW, 0, 0, 7)]

    assert merge(rows, [0]) == (
        [(HOLE_ROW, 0, 0, 17), (2, 0, 1, 1), (HOLE_ROW, 0, 0, 7)],
        [3],
    )


def test_an_extent_never_goes_on_into_the_next_file():
    """Neighbours in a blob belong to two files as two extents."""
    rows = [(0, 0, 1, 10), (0, 1, 1, 10), (0, 2, 1, 10)]

    assert merge(rows, [0, 1]) == ([(0, 0, 1, 10), (0, 1, 2, 20)], [1, 1])


def test_nothing_joined_is_nothing():
    """No rows of no files."""
    assert merge([], []) == ([], [])


def chunks_in(rows):
    """Return the single chunks that extents stand for, and the bytes of holes."""
    return [
        (blob, first + number) if blob != HOLE_ROW else ("hole", length)
        for blob, first, chunks, length in rows
        for number in range(max(chunks, 1))
    ]


SINGLE = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 4), st.just(1), st.integers(1, 9)),
    st.tuples(st.just(HOLE_ROW), st.just(0), st.just(0), st.integers(1, 9)),
)


@given(st.lists(st.lists(SINGLE, min_size=1, max_size=8), min_size=1, max_size=4))
def test_joined_extents_are_the_same_chunks_in_as_few_rows_as_can_be(files):
    """Per file: same chunks, same bytes, and no two neighbours that could be one."""
    flat = [row for file in files for row in file]
    starts = np.cumsum([0, *map(len, files[:-1])]).tolist()

    rows, per_file = merge(flat, starts)

    at = 0
    for file, count in zip(files, per_file, strict=True):
        mine, at = rows[at : at + count], at + count
        chunks = [one for one in chunks_in(file) if one[0] != "hole"]
        assert [one for one in chunks_in(mine) if one[0] != "hole"] == chunks
        assert sum(row[3] for row in mine) == sum(row[3] for row in file)
        for one, following in pairwise(mine):
            assert one[0] != following[0] or following[1] != one[1] + one[2]
    assert at == len(rows)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=8))
def test_ranges_are_one_after_another(rows):
    """The same as writing each out, empty ones included."""
    starts, counts = (np.array([row[at] for row in rows], np.int64) for at in (0, 1))

    expected = [number for start, count in rows for number in range(start, start + count)]

    assert ranges(starts, counts).tolist() == expected


def test_extents_are_kept_for_each_entry_whatever_the_order():
    """Entries are told of in any order, beyond the first capacity, and some never."""
    columns = EntryColumns(4)
    many = [(0, number, 1, 3) for number in range(FIRST_CAPACITY + 10)]

    columns.add_extents(np.array([2]), np.array([1]), extents([(7, 1, 1, 5)]))
    columns.add_extents(
        np.array([0, 3]), np.array([len(many), 2]), extents([*many, (1, 1, 1, 1), (2, 2, 2, 2)])
    )

    assert as_rows(columns.extents_of(0)) == many
    assert as_rows(columns.extents_of(1)) == []
    assert as_rows(columns.extents_of(2)) == [(7, 1, 1, 5)]
    assert as_rows(columns.extents_of(3)) == [(1, 1, 1, 1), (2, 2, 2, 2)]
    assert columns.extent_counts().tolist() == [len(many), 0, 1, 2]


def blob(number):
    return BlobRef(blob_id=bytes([number]) * 32, size=900 + number, table_offset=800, stamp=0)


def blob_list(*numbers):
    blobs = BlobList()
    for number in numbers:
        blobs.row_of(blob(number))
    return blobs


KINDS = np.array([EntryKind.FILE, EntryKind.FILE, EntryKind.SYMLINK, EntryKind.DIRECTORY], np.uint8)
PATHS = [b"a", b"b/sparse", b"c", b"d"]


def filled():
    """Columns of an inlined file, a sparse one in two blobs, a link, and an empty folder."""
    columns = EntryColumns(4)
    columns.sizes[:] = [5, 5000, 1, 0]
    columns.modes[0] = 1
    for row, content in ((0, b"hello"), (2, b"a")):
        columns.set_inline(row, content)
        columns.hashes[row] = np.frombuffer(blake3(content).digest(), np.uint8)
    columns.hashes[1] = 7
    places = [(1, 3, 2, 1000), (HOLE_ROW, 0, 0, 3500), (0, 9, 1, 500)]
    columns.add_extents(np.array([1]), np.array([3]), extents(places))
    return columns


def test_a_page_names_just_the_blobs_of_its_entries():
    """Its own table of blobs, a hole standing for none of them."""
    page = filled().page(0, 4, PATHS, KINDS, blob_list(50, 51, 52))

    stored = decode_page(content := encode_page(page), PageId(blake3(content).digest()))

    assert [row.tobytes()[:1] for row in stored.blob_ids] == [bytes([50]), bytes([51])]
    assert stored.blob_sizes.tolist() == [950, 951]
    assert stored.extent_blobs.tolist() == [1, HOLE, 0]
    assert stored.extent_first.tolist() == [3, 0, 9]
    assert stored.inline == b"helloa"
    assert stored.modes.tolist() == [1, 0, 0, 0]


def test_entries_taken_from_a_page_make_the_same_page():
    """Other rows, and blobs that were met in another order, change nothing: the page is shared."""
    page = filled().page(0, 4, PATHS, KINDS, blob_list(50, 51))
    copy = EntryColumns(6)
    others = blob_list(60, 51, 50)
    rows = others.rows_of(page.blob_ids, page.blob_sizes, page.table_offsets, 0)

    copy.copy_rows(page, np.array([3, 1]), np.array([4, 2]), rows)
    copy.copy_rows(page, np.array([0, 2]), np.array([1, 3]), rows)

    assert copy.is_known.tolist() == [False, True, True, True, True, False]
    again = copy.page(1, 5, [b"", *PATHS, b""], np.concatenate([[0], KINDS, [0]]), others)
    assert encode_page(again) == encode_page(page)


def test_blobs_of_entries_are_told_without_holes():
    """Each once, in order."""
    columns = filled()

    assert columns.blob_rows(0, 4).tolist() == [0, 1]
    assert columns.blob_rows(2, 4).tolist() == []


def test_no_page_is_made_of_what_is_not_stored():
    """A blob without an id would be a pointer to nothing."""
    blobs = blob_list(50)
    blobs.reserve()

    with pytest.raises(RuntimeError, match="before it is stored"):
        filled().page(0, 4, PATHS, KINDS, blobs)
