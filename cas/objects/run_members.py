"""Which of some blobs a run condemns, or clears, reading as little of its record as that takes.

A record of a big run has 32 MiB; whoever has few blobs to check reads its head, and then for each
of them the one block that can hold it. Spec: specs/format/10-collection.md
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.format import keys
from cas.format.collection import (
    BLOCK_IDS,
    FIRST_READ_BYTES,
    BlockRange,
    SetHead,
    block_ranges,
    condemn_head,
    condemned_rows,
    decode_block,
    decode_condemn,
    decode_verdict,
    listed_rows,
    verdict_head,
)
from cas.format.encoding import ID_BYTES, malformed
from cas.objects.id_sets import Ids

# Up to here the whole record costs no more than its head and another round trip.
WHOLE_RECORD_BYTES = 1 << 20
BLOCK_READERS = 16
_BLOCK_BYTES = BLOCK_IDS * ID_BYTES


def condemned_by(backend: Backend, run: int, size: int, ids: Ids) -> NDArray[np.bool_]:
    """Tell which of `ids`, shape (n, 32), a run condemns.

    Args:
        size: bytes of its condemn record, as a listing has them.

    Raises:
        NotFoundError: the record is gone.
        CorruptionError: it is damaged where it was read, or another run's.
    """
    key = keys.condemn_key(run)
    if _is_read_whole(size, ids):
        record = decode_condemn(backend.get(key), what=key)
        _check_run(record.run, run, key)
        return condemned_rows(record, ids)
    head = condemn_head(backend.get(key, 0, FIRST_READ_BYTES), what=key)
    _check_run(head.run, run, key)
    return _rows_in_blocks(backend, key, head, ids)


def cleared_by(backend: Backend, run: int, size: int, ids: Ids) -> NDArray[np.bool_]:
    """Tell which of `ids` the verdict of a run clears. Args and errors are as for `condemned_by`."""
    key = keys.verdict_key(run)
    if _is_read_whole(size, ids):
        record = decode_verdict(backend.get(key), what=key)
        _check_run(record.run, run, key)
        return condemned_rows(record, ids)
    head = verdict_head(backend.get(key, 0, FIRST_READ_BYTES), what=key)
    _check_run(head.run, run, key)
    if head.all:
        return np.ones(len(ids), np.bool_)
    return _rows_in_blocks(backend, key, head, ids)


def _is_read_whole(size: int, ids: Ids) -> bool:
    return size <= max(WHOLE_RECORD_BYTES, len(ids) * _BLOCK_BYTES)


def _rows_in_blocks(backend: Backend, key: str, head: SetHead, ids: Ids) -> NDArray[np.bool_]:
    def read(block: BlockRange) -> Ids:
        content = backend.get(key, block.start, block.stop)
        return decode_block(head, block, content, what=key)

    blocks = block_ranges(head, ids)
    found = np.zeros(len(ids), np.bool_)
    if backend.capabilities.local or len(blocks) < 2:
        for block in blocks:
            found |= listed_rows(read(block), ids)
        return found
    with ThreadPoolExecutor(BLOCK_READERS, thread_name_prefix="cas-log") as pool:
        for listed in pool.map(read, blocks):
            found |= listed_rows(listed, ids)
    return found


def _check_run(found: int, run: int, key: str) -> None:
    if found != run:
        raise malformed(key, f"is the record of run {found}")
