"""What verification found: when blobs were last read whole, and which are damaged. Hints only.

    results := record { session | supersedes | keys | seconds }
    damage  := record { session | supersedes | blob_ids | kinds | states | chunk_counts | chunks }

A record says all that its writer knew; it names those records that it makes useless. Nothing in
either is believed where it matters: a result saves reading, a damage record costs storing some
chunks again. Spec: specs/format/12-verification.md
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from cas.format.encoding import (
    MAX_BLOB_CHUNKS,
    MIB,
    Buffer,
    column,
    is_increasing,
    malformed,
    pack_record,
    sortable_ids,
    unpack_record,
    unsupported,
)
from cas.format.fields import FieldReader
from cas.model.ids import SESSION_ID_BYTES, SessionId

RESULTS_MAGIC = b"CASK"
DAMAGE_MAGIC = b"CASW"
# 12 bytes for each blob: 2.8 million of them, 170 TiB.
MAX_RESULTS_BYTES = 32 * MIB
# Every put with a damaged store reads this. What does not fit is found again by the next run.
MAX_DAMAGE_BYTES = 2 * MIB
MAX_DAMAGED_BLOBS = 16384
MAX_DAMAGED_CHUNKS = 1 << 18


class DamageState(IntEnum):
    """What is wrong with a blob.

    MISSING: it is not there.
    TABLE: it has not the size that it must have, or its table cannot be read, so that nobody finds
        its chunks; its frames may be whole.
    CHUNKS: some chunks are not what they must be.
    HEADS: only what scans go by is wrong; every chunk can be read.
    """

    MISSING = 0
    TABLE = 1
    CHUNKS = 2
    HEADS = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResultsRecord:
    """When blobs were last found whole.

    Attributes:
        session: a mark of its writer; it stands in the key, too.
        supersedes: marks of records all of whose entries stand here or are of no use any more.
        keys: uint64[n], strictly increasing; the first 8 bytes of each blob id, big-endian.
        seconds: uint32[n], seconds since the epoch by the clock of whoever read the blob.
    """

    session: SessionId
    supersedes: tuple[SessionId, ...]
    keys: NDArray[np.uint64]
    seconds: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DamageRecord:
    """Blobs that were found damaged, d of them.

    Attributes:
        blob_ids: uint8[d, 32], strictly increasing.
        kinds: uint8[d], 0 for a data blob, 1 for a meta blob.
        states: uint8[d], a `DamageState` each.
        chunk_counts: uint32[d], how many chunks are named; none unless the state is CHUNKS.
        chunks: uint32[n], rows of damaged chunks, for one blob after another.
    """

    session: SessionId
    supersedes: tuple[SessionId, ...]
    blob_ids: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    states: NDArray[np.uint8]
    chunk_counts: NDArray[np.uint32]
    chunks: NDArray[np.uint32]


def encode_results(record: ResultsRecord) -> bytes:
    """Return the bytes of a record of results."""
    return pack_record(
        RESULTS_MAGIC,
        {
            "session": record.session.raw,
            "supersedes": _pack_marks(record.supersedes),
            "keys": column(record.keys, "<u8"),
            "seconds": column(record.seconds, "<u4"),
        },
    )


def decode_results(content: Buffer, *, what: str) -> ResultsRecord:
    """Return the results that `content` holds.

    Raises:
        CorruptionError: it is damaged.
        UnsupportedError: a later cas wrote it.
    """
    fields = FieldReader(
        unpack_record(RESULTS_MAGIC, content, what=what, limit=MAX_RESULTS_BYTES), what
    )
    keys = fields.column("keys", np.uint64, None)
    record = ResultsRecord(
        session=fields.session(),
        supersedes=_read_marks(fields, what),
        keys=keys,
        seconds=fields.column("seconds", np.uint32, len(keys)),
    )
    fields.rest()
    if not is_increasing(keys):
        raise malformed(what, "its blobs are not in order")
    return record


def encode_damage(record: DamageRecord) -> bytes:
    """Return the bytes of a record of damage."""
    return pack_record(
        DAMAGE_MAGIC,
        {
            "session": record.session.raw,
            "supersedes": _pack_marks(record.supersedes),
            "blob_ids": column(record.blob_ids, "u1"),
            "kinds": column(record.kinds, "u1"),
            "states": column(record.states, "u1"),
            "chunk_counts": column(record.chunk_counts, "<u4"),
            "chunks": column(record.chunks, "<u4"),
        },
    )


def decode_damage(content: Buffer, *, what: str) -> DamageRecord:
    """Return the damage that `content` tells of. Raises as `decode_results` does."""
    fields = FieldReader(
        unpack_record(DAMAGE_MAGIC, content, what=what, limit=MAX_DAMAGE_BYTES), what
    )
    blob_ids = fields.ids("blob_ids", None)
    count = len(blob_ids)
    record = DamageRecord(
        session=fields.session(),
        supersedes=_read_marks(fields, what),
        blob_ids=blob_ids,
        kinds=fields.column("kinds", np.uint8, count),
        states=fields.column("states", np.uint8, count),
        chunk_counts=fields.column("chunk_counts", np.uint32, count),
        chunks=fields.column("chunks", np.uint32, None),
    )
    fields.rest()
    _check_damage(record, what)
    return record


def _check_damage(record: DamageRecord, what: str) -> None:
    count = len(record.blob_ids)
    if count > MAX_DAMAGED_BLOBS or len(record.chunks) > MAX_DAMAGED_CHUNKS:
        raise malformed(what, f"{count} blobs and {len(record.chunks)} chunks are too many")
    if not is_increasing(sortable_ids(record.blob_ids)):
        raise malformed(what, "its blobs are not in order")
    if (record.kinds > 1).any() or (record.states > DamageState.HEADS).any():
        raise unsupported(what, "a kind of blob or damage that this cas does not know")
    if int(record.chunk_counts.sum(dtype=np.uint64)) != len(record.chunks):
        raise malformed(what, "its chunks do not add up")
    names_chunks = record.states == DamageState.CHUNKS
    if ((record.chunk_counts > 0) != names_chunks).any():
        raise malformed(what, "it names chunks of another damage, or none of damaged ones")
    if (record.chunks >= MAX_BLOB_CHUNKS).any():
        raise malformed(what, "a chunk that no blob can have")


def _pack_marks(marks: tuple[SessionId, ...]) -> bytes:
    return b"".join(mark.raw for mark in marks)


def _read_marks(fields: FieldReader, what: str) -> tuple[SessionId, ...]:
    packed = fields.octets("supersedes")
    if len(packed) % SESSION_ID_BYTES:
        raise malformed(what, "supersedes is not a list of marks")
    return tuple(
        SessionId(packed[at : at + SESSION_ID_BYTES])
        for at in range(0, len(packed), SESSION_ID_BYTES)
    )
