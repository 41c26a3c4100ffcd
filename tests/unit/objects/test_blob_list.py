"""Rows of blobs: one for each id, with the best that is known of it."""

from __future__ import annotations

import numpy as np
import pytest

from cas.model.ids import BlobId
from cas.objects.blob_list import BlobList, BlobRef


def ref(letter, *, stamp=0, size=100):
    return BlobRef(blob_id=letter * 32, size=size, table_offset=60, stamp=stamp)


def test_a_blob_has_one_row_and_the_higher_stamp_stays():
    """A fact that proves more replaces one that proves less, never the other way."""
    blobs = BlobList()
    row = blobs.row_of(ref(b"a", stamp=3))

    assert blobs.row_of(ref(b"a", stamp=1)) == row
    assert blobs.ref(row).stamp == 3
    assert blobs.row_of(ref(b"a", stamp=5)) == row
    assert blobs.ref(row).stamp == 5
    assert len(blobs) == 1


def test_a_reserved_row_is_filled_once_its_blob_is_stored():
    """Until then it cannot be used by mistake."""
    blobs = BlobList()
    row = blobs.reserve()
    assert not blobs.is_stored(row)
    with pytest.raises(RuntimeError, match="before it is stored"):
        blobs.ref(row)

    blobs.fill(row, ref(b"a"))

    assert blobs.is_stored(row)
    assert blobs.ref(row) == ref(b"a")
    assert blobs.row_of(ref(b"a")) == row
    assert blobs.ref(row).id == BlobId(b"a" * 32)


def test_the_table_of_a_page_becomes_rows_in_its_order():
    """Blobs mentioned before keep their rows, new ones follow."""
    blobs = BlobList()
    blobs.row_of(ref(b"b", size=7))
    ids = np.frombuffer(b"".join(letter * 32 for letter in (b"a", b"b", b"c")), np.uint8)

    rows = blobs.rows_of(
        ids.reshape(3, 32), np.array([1, 2, 3], np.uint32), np.array([1, 1, 2], np.uint32), 4
    )

    assert rows.tolist() == [1, 0, 2]
    assert [(blobs.ref(row).size, blobs.ref(row).stamp) for row in rows.tolist()] == [
        (1, 4),
        (2, 4),
        (3, 4),
    ]
    assert (blobs.row_of_id(b"c" * 32), blobs.row_of_id(b"d" * 32)) == (2, None)
