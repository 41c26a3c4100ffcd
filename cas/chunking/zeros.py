"""Runs of zeros: where whole blocks of a file hold nothing.

Spec: specs/format/04-chunking.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview

ZERO_BLOCK_BYTES: Final = 256 << 10
SHORTEST_ZERO_BYTES: Final = 4 << 10

# Rules out nearly all blocks that begin with zeros, before the whole block is read.
_FIRST_LOOK_BYTES = 4 << 10


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes `start` to `stop` of a buffer, either all zero or not to be treated as such."""

    start: int
    stop: int
    zero: bool


def split_zeros(content: Buffer, block: int = ZERO_BLOCK_BYTES) -> list[Run]:
    """Split bytes that begin at a multiple of `block` in their file into runs.

    A zero run is as many consecutive blocks as are wholly zero; a last block that is cut short
    counts if it has at least 4 KiB. Runs cover `content` in order, and kinds alternate.
    """
    length = len(content)
    if length == 0:
        return []
    octets = np.frombuffer(content, np.uint8)
    whole = length // block
    zeros = _zero_blocks(octets[: whole * block].reshape(whole, block)) if whole else []
    rest = length - whole * block
    rest_is_zero = rest >= SHORTEST_ZERO_BYTES and _is_zero(octets[whole * block :])
    if not zeros and not rest_is_zero:
        return [Run(0, length, zero=False)]
    if rest_is_zero:
        zeros.append(whole)
    return _runs(zeros, block, length)


def _zero_blocks(blocks: NDArray[np.uint8]) -> list[int]:
    """Return the numbers of the rows that are all zero."""
    ends = blocks[:, 0] | blocks[:, -1] | blocks[:, blocks.shape[1] // 3]
    if ends.all():
        return []
    return [row for row in np.flatnonzero(ends == 0).tolist() if _is_zero(blocks[row])]


def _is_zero(octets: NDArray[np.uint8]) -> bool:
    if octets[0] or octets[-1] or octets[:_FIRST_LOOK_BYTES].max():
        return False
    # The maximum of bytes runs at the speed of memory without the GIL; `any` takes 4 times as long.
    return not octets.max()


def _runs(zeros: list[int], block: int, length: int) -> list[Run]:
    """Return the runs of `length` bytes whose blocks `zeros` are zero."""
    runs: list[Run] = []
    position = 0
    start = stop = -1
    for row in [*zeros, -1]:
        if row * block == stop:
            stop = min(stop + block, length)
            continue
        if start >= 0:
            if position < start:
                runs.append(Run(position, start, zero=False))
            runs.append(Run(start, stop, zero=True))
            position = stop
        start, stop = row * block, min(row * block + block, length)
    if position < length:
        runs.append(Run(position, length, zero=False))
    return runs
