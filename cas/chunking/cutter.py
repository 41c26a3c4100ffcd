"""Where chunks end: FastCDC 2020 over one stream of bytes.

Spec: specs/format/04-chunking.md
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cas.chunking.profile import ChunkProfile

if TYPE_CHECKING:
    from pyfastcdc import Chunk

Buffer = bytes | bytearray | memoryview

_length_of = attrgetter("length")


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts streams of bytes into chunks.

    A value: picklable, usable from any number of threads at once and after a fork. Cutting runs
    without the GIL, one native call for each chunk.
    """

    profile: ChunkProfile

    def cut(self, content: Buffer) -> NDArray[np.int64]:
        """Return where the chunks of a whole stream end.

        Returns:
            int64, shape (n,), strictly increasing, the last is `len(content)`; empty for no bytes.
        """
        ends = np.fromiter(map(_length_of, self._chunks(content)), np.int64)
        return np.cumsum(ends, out=ends)

    def iter_ends(self, content: Buffer) -> Iterator[int]:
        """Yield what `cut` returns, one by one, and cut no further than asked."""
        end = 0
        for chunk in self._chunks(content):
            end += chunk.length
            yield end

    def _chunks(self, content: Buffer) -> Iterator[Chunk]:
        from pyfastcdc import FastCDC  # 4 ms, which reading need not spend

        view = memoryview(content)
        if view.format != "B":
            view = view.cast("B")
        profile = self.profile
        # A fresh one costs half a microsecond, and FastCDC objects must not be shared by threads.
        return FastCDC(
            profile.average,
            min_size=profile.minimum,
            max_size=profile.maximum,
            normalized_chunking=profile.NORMALISATION,
        ).cut_buf(view)
