"""Copying chunks out of seeds, and hashing them where they arrived.

Nobody else writes to the temporary file that they arrive in, so it does not matter what becomes of a
seed while it is read, and the bytes may be moved, or shared, by the kernel alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from blake3 import blake3

from cas.format.blob import BlobTable
from cas.transfer.plan import Placement
from cas.transfer.seeds import COPY_BYTES, LocalCopy, SeedIndex
from cas.transfer.target import PendingFile

COPIES_TOGETHER = 64


def batch_copies(copies: Sequence[LocalCopy]) -> Iterator[list[LocalCopy]]:
    """Yield copies by as many as make a fair piece of work for a thread."""
    batch: list[LocalCopy] = []
    size = 0
    for copy in copies:
        batch.append(copy)
        size += copy.placement.length
        if size >= COPY_BYTES or len(batch) >= COPIES_TOGETHER:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class SeedReader:
    """Reads seeds, keeping the last one open. For one thread; closed by leaving its block."""

    def __init__(self, index: SeedIndex) -> None:
        self._index = index
        self._number = -1
        self._descriptor: int | None = None

    def copy(self, copy: LocalCopy, target: PendingFile) -> bool:
        """Copy bytes to where they belong, not verified; False if the seed has them no more."""
        descriptor = self._open(copy.seed)
        if descriptor is None:
            return False
        placement = copy.placement
        try:
            return target.copy_from(descriptor, copy.start, placement.offset, placement.length)
        except OSError:
            # The seed's or the target's: if the target cannot be written, fetching will tell.
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _open(self, number: int) -> int | None:
        if number != self._number:
            self._close()
            self._number = number
            self._descriptor = self._index.seeds[number].open_unchanged()
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wrong_chunks(placement: Placement, target: PendingFile, table: BlobTable) -> list[Placement]:
    """Return the chunks of a placement that are not in their place."""
    content = memoryview(target.read_at(placement.length, placement.offset))
    lengths = table.chunk_lengths[placement.first : placement.stop].tolist()
    wrong: list[Placement] = []
    at = 0
    for row, length in enumerate(lengths, placement.first):
        if blake3(content[at : at + length]).digest() != table.chunk_ids[row].tobytes():
            offset = placement.offset + at
            wrong.append(Placement(placement.file, offset, row, row + 1, length))
        at += length
    return wrong
