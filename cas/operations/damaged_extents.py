"""Which extents and entries of a page need what is damaged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cas.format.manifest import HOLE, Page
from cas.format.verification import DamageState
from cas.objects.damage import BlobDamage

Damages = Mapping[bytes, BlobDamage]
Int64s = NDArray[np.int64]


def damaged_extents(page: Page, damage: Damages) -> Int64s:
    """Return the rows of the extents of a page that need damaged chunks."""
    found: list[Int64s] = [np.zeros(0, np.int64)]
    for row, blob_id in enumerate(page.blob_ids):
        one = damage.get(blob_id.tobytes())
        if one is None or one.state is DamageState.HEADS:
            continue
        rows = np.flatnonzero(page.extent_blobs == row)
        if one.state is DamageState.CHUNKS:
            first = page.extent_first[rows].astype(np.int64)
            begin = np.searchsorted(one.chunks, first)
            end = np.searchsorted(one.chunks, first + page.extent_chunks[rows])
            rows = rows[end > begin]
        found.append(rows.astype(np.int64))
    return np.sort(np.concatenate(found))


def damaged_entries(page: Page, extents: Int64s) -> Int64s:
    """Return the rows of the entries that extents belong to, each once."""
    return np.unique(np.searchsorted(page.extent_starts, extents, side="right") - 1)


def damaged_blob_ids(page: Page, extents: Int64s) -> set[bytes]:
    """Return the ids of the blobs of some extents."""
    rows = np.unique(page.extent_blobs[extents])
    return {page.blob_ids[row].tobytes() for row in rows[rows != HOLE].tolist()}
