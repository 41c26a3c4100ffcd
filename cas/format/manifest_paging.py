"""Where a sorted list of paths is cut into pages, so that versions share the unchanged ones, and
into groups, of which their digests are made.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

MIN_PAGE_ENTRIES = 1024
MAX_PAGE_ENTRIES = 16384
# One entry in 4096 ends a page: pages of 300 to 500 KiB, some 100 KiB compressed.
CUT_SHIFT = 20
# The crc is linear, so names that differ in a few digits may never have given bits all zero; a
# product with an odd number (2^32 over the golden ratio) spreads them over the highest bits.
CUT_FACTOR = 0x9E3779B1
# Names, inlined bytes and extents of one page. A single entry may weigh more and then stands alone.
MAX_PAGE_WEIGHT = 4 << 20


def is_page_end(path: bytes, count: int) -> bool:
    """Tell whether a page of `count` entries ends after this last path, by path and count alone."""
    if count >= MAX_PAGE_ENTRIES:
        return True
    return count >= MIN_PAGE_ENTRIES and is_group_end(path)


def is_group_end(path: bytes) -> bool:
    """Tell whether a group of entries that version digests are made of ends after this path."""
    return (zlib.crc32(path) * CUT_FACTOR & 0xFFFFFFFF) >> CUT_SHIFT == 0


def group_ends(paths: list[bytes]) -> NDArray[np.int64]:
    """Return the row after each entry of sorted paths that ends a group, whatever their number."""
    checksums = np.fromiter(map(zlib.crc32, paths), np.uint32, len(paths))
    return np.flatnonzero(checksums * np.uint32(CUT_FACTOR) >> CUT_SHIFT == 0) + 1


def split_paths(paths: list[bytes], weights: NDArray[np.int64] | None = None) -> list[int]:
    """Return the row after the last entry of each page, for all of a version's sorted paths.

    A page ends where `is_page_end` says, or before the entry that would take its weight over
    `MAX_PAGE_WEIGHT`.

    Args:
        paths: sorted.
        weights: bytes that each entry takes in a page, shape (n,); None if none matters.
    """
    count = len(paths)
    if count == 0:
        return []
    cuts = group_ends(paths)
    heavy = np.zeros(1, np.int64) if weights is None else np.cumsum(weights, dtype=np.int64)
    before = heavy - (0 if weights is None else weights)
    ends: list[int] = []
    start = 0
    while start < count:
        at = int(np.searchsorted(cuts, start + MIN_PAGE_ENTRIES))
        end = min(start + MAX_PAGE_ENTRIES, count)
        if at < len(cuts):
            end = min(end, int(cuts[at]))
        if weights is not None:
            fits = int(np.searchsorted(heavy, before[start] + MAX_PAGE_WEIGHT, "right"))
            end = min(end, max(fits, start + 1))
        ends.append(end)
        start = end
    return ends
