"""What is known to be damaged: read by every put that meets a record of it, written by whoever
verified or repaired. A hint: without it a put shares damaged chunks as if they were whole, and with a
wrong one it stores some chunks again.

Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend, create_confirmed
from cas.environment import random_bytes
from cas.errors import BackendError
from cas.format import keys
from cas.format.verification import (
    MAX_DAMAGED_BLOBS,
    MAX_DAMAGED_CHUNKS,
    DamageRecord,
    DamageState,
    decode_damage,
    encode_damage,
)
from cas.model.ids import SESSION_ID_BYTES, BlobId, SessionId
from cas.model.units import format_count
from cas.objects.superseding import marks_of, read_records, remove_superseded

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class BlobDamage:
    """What is wrong with one blob; `chunks` are rows of its table, none unless the state is CHUNKS."""

    blob_id: bytes
    is_meta: bool
    state: DamageState
    chunks: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def key(self) -> str:
        """The key of the blob."""
        blob_id = BlobId(self.blob_id)
        return keys.meta_key(blob_id) if self.is_meta else keys.blob_key(blob_id)

    def is_same(self, other: BlobDamage | None) -> bool:
        """Tell whether another record says just this."""
        return (
            other is not None
            and (self.blob_id, self.is_meta, self.state)
            == (other.blob_id, other.is_meta, other.state)
            and np.array_equal(self.chunks, other.chunks)
        )

    def describe(self) -> str:
        """Return a clause that says it."""
        return {
            DamageState.MISSING: "is missing",
            DamageState.TABLE: "has another size than pages say, or a table that cannot be read",
            DamageState.CHUNKS: f"has {format_count(len(self.chunks), 'damaged chunk')}",
            DamageState.HEADS: "has damaged heads, though all chunks can be read",
        }[self.state]


@dataclass(frozen=True, slots=True, eq=False)
class KnownDamage:
    """What the records of damage say together.

    Attributes:
        blobs: by blob id.
        read: keys of the records that were read, or are superseded by such a one.
        unread: keys of records that are damaged themselves.
        failed: keys of records that the storage did not give; nothing is known of what they say.
        number: of the newest record; 0 if there is none.
    """

    blobs: Mapping[bytes, BlobDamage] = field(default_factory=dict)
    read: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    number: int = 0

    @property
    def bad_blobs(self) -> frozenset[bytes]:
        """Blobs of which a writer may use nothing: all pages of a damaged meta blob, too."""
        return frozenset(
            blob.blob_id
            for blob in self.blobs.values()
            if blob.state in (DamageState.MISSING, DamageState.TABLE)
            or (blob.is_meta and blob.state is DamageState.CHUNKS)
        )

    @property
    def bad_chunks(self) -> dict[bytes, Int64s]:
        """Rows of damaged chunks of data blobs that can be used otherwise."""
        return {
            blob.blob_id: blob.chunks
            for blob in self.blobs.values()
            if blob.state is DamageState.CHUNKS and not blob.is_meta
        }


NO_DAMAGE = KnownDamage()


def list_damage(backend: Backend) -> list[str]:
    """Return the keys of the records of damage."""
    listed = (stored.key for stored in backend.list_objects(keys.collections_prefix()))
    return sorted(key for key in listed if keys.parse_damage_key(key) is not None)


def read_damage(backend: Backend, listed: Sequence[str]) -> KnownDamage:
    """Read records of damage, the newest first; what cannot be read is passed over.

    Args:
        listed: their keys, as a listing of the log of collections has them.
    """
    if not listed:
        return NO_DAMAGE
    found = read_records(backend, listed, keys.parse_damage_key, decode_damage)
    blobs: dict[bytes, BlobDamage] = {}
    for record in found.records:
        for one in _blobs_of(record):
            blobs.setdefault(one.blob_id, one)
    return KnownDamage(blobs, found.read, found.unread, found.failed, found.number)


def write_damage(backend: Backend, known: KnownDamage, blobs: Iterable[BlobDamage]) -> None:
    """Record that `blobs` are damaged and, of all that `known` speaks of, no others.

    Records that are useless after that are removed where the right to delete is given; else they
    stay and are not read any more.

    Raises:
        BackendError: the record may or may not be stored.
    """
    ordered = sorted(blobs, key=lambda one: one.blob_id)
    if not ordered and not known.read and not known.unread:
        return
    if not ordered and not known.unread and remove_superseded(backend, known.read):
        return
    mark = SessionId(random_bytes(SESSION_ID_BYTES))
    marks = marks_of((*known.read, *known.unread), keys.parse_damage_key)
    record = _record_of(mark, marks, ordered)
    key, content = keys.damage_key(known.number + 1, mark), encode_damage(record)
    if backend.capabilities.create_if_absent:
        # Where writers may only create below gc/ this is allowed, too.
        create_confirmed(backend, key, content)
    else:
        backend.put(key, [content])
    remove_superseded(backend, known.read)


def _record_of(
    mark: SessionId, supersedes: tuple[SessionId, ...], blobs: Sequence[BlobDamage]
) -> DamageRecord:
    """Make a record, of as many blobs as one may name."""
    kept: list[BlobDamage] = []
    chunks = 0
    for one in blobs[:MAX_DAMAGED_BLOBS]:
        chunks += len(one.chunks)
        if chunks > MAX_DAMAGED_CHUNKS:
            break
        kept.append(one)
    rows = [one.chunks for one in kept]
    return DamageRecord(
        session=mark,
        supersedes=supersedes,
        blob_ids=np.frombuffer(b"".join(one.blob_id for one in kept), np.uint8).reshape(-1, 32),
        kinds=np.array([one.is_meta for one in kept], np.uint8),
        states=np.array([one.state for one in kept], np.uint8),
        chunk_counts=np.array([len(one.chunks) for one in kept], np.uint32),
        chunks=np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.uint32),
    )


def _blobs_of(record: DamageRecord) -> list[BlobDamage]:
    ends = np.cumsum(record.chunk_counts, dtype=np.int64)
    starts = ends - record.chunk_counts
    return [
        BlobDamage(
            record.blob_ids[row].tobytes(),
            bool(record.kinds[row]),
            DamageState(int(record.states[row])),
            record.chunks[starts[row] : ends[row]].astype(np.int64),
        )
        for row in range(len(record.blob_ids))
    ]


def merge_damage(
    known: KnownDamage, found: Iterable[BlobDamage], sound: Iterable[bytes]
) -> list[BlobDamage] | None:
    """Return what is damaged after some blobs were examined, or None if nothing changed.

    Args:
        found: what was found now; it replaces what was known of those blobs.
        sound: ids of blobs that were found whole.
    """
    blobs = dict(known.blobs)
    changed = False
    for one in found:
        changed = changed or not one.is_same(blobs.get(one.blob_id))
        blobs[one.blob_id] = one
    for blob_id in sound:
        changed = blobs.pop(blob_id, None) is not None or changed
    return list(blobs.values()) if changed else None


def forget_damage(backend: Backend, sound: Iterable[bytes]) -> None:
    """Take blobs out of the records of damage, since nobody needs them or they are whole."""
    known = read_damage(backend, list_damage(backend))
    merged = merge_damage(known, (), sound)
    if merged is not None:
        with suppress(BackendError):  # a hint
            write_damage(backend, known, merged)
