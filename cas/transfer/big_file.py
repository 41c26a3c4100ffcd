"""A file too big for one piece of work, while its segments come: joined, hashed, and placed."""

from __future__ import annotations

import numpy as np
from blake3 import blake3

from cas.chunking.cutter import Cutter
from cas.transfer.content import OpenedFile
from cas.transfer.cutting import CutSegment, Items, SegmentJoiner
from cas.transfer.placing import Placer
from cas.transfer.rows import Extents, Int64s, merge_extents

ZEROS = bytes(16 << 20)


class BigFile:
    """A big file, or a stream, on its way: its segments come one after another. Not thread-safe.

    Attributes:
        row: of its entry in the tree.
        opened: where it is read from; None for a stream.
        attempt: how many times it has been read, this one included.
        failure: why a segment could not be read.
    """

    def __init__(
        self,
        row: int,
        cutter: Cutter,
        placer: Placer,
        opened: OpenedFile | None = None,
        attempt: int = 1,
    ) -> None:
        self.row = row
        self.opened = opened
        self.attempt = attempt
        self.failure: OSError | None = None
        self._placer = placer
        self._joiner = SegmentJoiner(cutter)
        self._hasher = blake3(max_threads=blake3.AUTO)
        self._parts: list[Extents] = []
        self._is_all_hole = True

    @property
    def size(self) -> int:
        """Bytes of what came so far and has its place."""
        return sum(int(part.lengths.sum()) for part in self._parts)

    def add(self, segment: CutSegment) -> None:
        """Take the next segment."""
        if segment.content is None:
            if not self._is_all_hole:
                hash_zeros(self._hasher, segment.length)
        else:
            if self._is_all_hole:
                hash_zeros(self._hasher, self.size)
            self._is_all_hole = False
            self._hasher.update(segment.content)
        self._place(self._joiner.add(segment))

    def finish(self) -> None:
        """Place what is left: all segments were added."""
        self._place(self._joiner.finish())

    def hash(self, hole_hashes: dict[int, bytes]) -> bytes:
        """Return the hash of the file, of which all was added. Used once.

        Args:
            hole_hashes: the hashes of files that are all hole, by size; they take long to compute.
        """
        if not self._is_all_hole:
            return self._hasher.digest()
        size = self.size
        if size not in hole_hashes:
            hash_zeros(self._hasher, size)
            hole_hashes[size] = self._hasher.digest()
        return hole_hashes[size]

    def extents(self) -> tuple[Extents, Int64s]:
        """Return where the file lies, neighbours merged, and how many extents that are."""
        parts = self._parts
        extents = Extents(
            np.concatenate([part.blobs for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.chunks for part in parts]),
            np.concatenate([part.lengths for part in parts]),
        )
        return merge_extents(extents, np.zeros(1, np.int64))

    def _place(self, items: Items) -> None:
        if items.ids:
            owners = np.repeat(np.int64(self.row), len(items.ids))
            self._parts.append(self._placer.place(items, owners, are_small=False))


def hash_zeros(hasher: blake3, length: int) -> None:
    """Feed `length` zero bytes to a hash."""
    whole, rest = divmod(length, len(ZEROS))
    for _ in range(whole):
        hasher.update(ZEROS)
    hasher.update(memoryview(ZEROS)[:rest])
