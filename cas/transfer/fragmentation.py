"""Which dedup hits cost more reads than they save bytes.

A version that is scattered over too many places of the store is slow to read for ever. Hits are
grouped into clusters that one ranged read can fetch; when a version needs more clusters than
8 + 1 per MiB, the smallest hits are refused and their bytes stored again. Measured on real
histories: costs nothing where nothing is wrong, and holds sixty versions of one edited table to
39 reads for 5 to 7 % more bytes.

What an interrupted run of the same put stored is never refused: this run would make blobs of the
same size. With little memory those are small, and all of them would be stored again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLUSTER_GAP_BYTES = 1 << 20
FREE_CLUSTERS = 8
BYTES_PER_CLUSTER = 1 << 20
LARGEST_REFUSED_BYTES = 1 << 20

Int64s = NDArray[np.int64]


class FragmentationGuard:
    """Accepts or refuses hits, batch by batch, as a version goes by. Not thread-safe."""

    def __init__(self) -> None:
        self._bytes = 0
        self._clusters = 0
        self._last_stop: dict[int, int] = {}
        self.refused_bytes = 0

    def refuse(
        self, blobs: Int64s, offsets: Int64s, lengths: Int64s, exempt: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return which hits of a batch to store again, bool, shape (n,).

        Args:
            blobs: blob row of each item, -1 where it is no hit.
            offsets: raw offset of the chunk in its blob.
            lengths: bytes of each item.
            exempt: items that are never refused: of small files that are wholly hits, and of
                blobs that an interrupted run stored.
        """
        refused = np.zeros(len(blobs), np.bool_)
        self._bytes += int(lengths.sum())
        hits = np.flatnonzero(blobs >= 0)
        if len(hits) == 0:
            return refused
        order = hits[np.lexsort((offsets[hits], blobs[hits]))]
        ordered_blobs, starts = blobs[order], offsets[order]
        stops = starts + lengths[order]
        begins = np.ones(len(order), np.bool_)
        near = starts[1:] - stops[:-1] <= CLUSTER_GAP_BYTES
        begins[1:] = ~(near & (ordered_blobs[1:] == ordered_blobs[:-1]))
        cluster = np.cumsum(begins) - 1
        sizes = np.bincount(cluster, weights=lengths[order]).astype(np.int64)
        keep = np.bincount(cluster, weights=exempt[order]).astype(np.int64) > 0
        first = np.flatnonzero(begins)
        continues = np.array(
            [
                0 <= start - self._last_stop.get(blob, -(1 << 62)) <= CLUSTER_GAP_BYTES
                for blob, start in zip(
                    ordered_blobs[first].tolist(), starts[first].tolist(), strict=True
                )
            ],
            np.bool_,
        )
        budget = FREE_CLUSTERS + self._bytes // BYTES_PER_CLUSTER
        excess = self._clusters + int((~continues).sum()) - budget
        may_go = np.flatnonzero(~keep & ~continues & (sizes < LARGEST_REFUSED_BYTES))
        dropped = np.zeros(len(sizes), np.bool_)
        if excess > 0:
            dropped[may_go[np.argsort(sizes[may_go], kind="stable")][:excess]] = True
        refused[order[dropped[cluster]]] = True
        self.refused_bytes += int(sizes[dropped].sum())
        self._clusters += int((~continues & ~dropped).sum())
        kept = ~dropped[cluster]
        kept_blobs, kept_stops = ordered_blobs[kept], stops[kept]
        is_last = np.ones(len(kept_blobs), np.bool_)
        is_last[:-1] = kept_blobs[1:] != kept_blobs[:-1]
        self._last_stop.update(
            zip(kept_blobs[is_last].tolist(), kept_stops[is_last].tolist(), strict=True)
        )
        return refused
