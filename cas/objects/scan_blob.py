"""The table of a blob made anew from the clear heads of its frames, where its own cannot be read."""

from __future__ import annotations

import numpy as np

from cas.errors import CorruptionError, UnsupportedError
from cas.format.blob import (
    HEADER_BYTES,
    NONCE_BYTES,
    BlobHeader,
    BlobTable,
    FrameHead,
    decode_frame_head,
    decode_header,
    encode_table,
    table_blob_id,
)
from cas.format.encoding import MAX_BLOB_CHUNKS, Buffer
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.objects.examine_blob import BlobTarget


def scan_blob(content: Buffer, target: BlobTarget) -> BlobTable | None:
    """Return a table of the frames that stand one after another from the beginning; None for none.

    Nothing vouches for it unless `is_table_of` says so.

    Args:
        content: the bytes of the blob, as far as they are there.
    """
    view = memoryview(content)
    try:
        header = decode_header(view, what=target.key)
    except (CorruptionError, UnsupportedError):
        header = BlobHeader(target.kind, bytes(NONCE_BYTES), SessionId(bytes(SESSION_ID_BYTES)))
    heads: list[FrameHead] = []
    offsets: list[int] = []
    at, chunks = HEADER_BYTES, 0
    while True:
        try:
            head = decode_frame_head(view[at:], what=target.key)
        except CorruptionError:
            break  # the table begins here, or damage
        chunks += len(head.chunk_lengths)
        if chunks > MAX_BLOB_CHUNKS:
            return None
        heads.append(head)
        offsets.append(at)
        at += head.length
    return _table_of(header, heads, offsets) if heads else None


def is_table_of(table: BlobTable, target: BlobTarget) -> bool:
    """Tell whether a table is just the one that the blob's id vouches for."""
    return table_blob_id(encode_table(table)) == target.id


def _table_of(header: BlobHeader, heads: list[FrameHead], offsets: list[int]) -> BlobTable:
    return BlobTable(
        nonce=header.nonce,
        session=header.session,
        frame_offsets=np.array(offsets, np.uint32),
        frame_stored=np.array([head.stored for head in heads], np.uint32),
        frame_raw=np.array([head.raw_length for head in heads], np.uint32),
        frame_codecs=np.array([head.codec for head in heads], np.uint8),
        frame_params=np.array([head.param for head in heads], np.uint16),
        frame_chunks=np.array([len(head.chunk_lengths) for head in heads], np.uint16),
        chunk_ids=np.concatenate([head.chunk_ids for head in heads]),
        chunk_lengths=np.concatenate([head.chunk_lengths for head in heads]),
    )
