"""When blobs were last read whole, so that small runs of verification cover all of them in turn.

A hint: whoever lies here keeps a blob from being read as often as it should, no more.
Spec: specs/protocol/verify-repair.md
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cas.backend.base import Backend
from cas.environment import random_bytes
from cas.format import keys
from cas.format.segment import chunk_keys
from cas.format.verification import ResultsRecord, decode_results, encode_results
from cas.model.ids import SESSION_ID_BYTES, SessionId
from cas.objects.superseding import marks_of, read_records, remove_superseded


def _no_keys() -> NDArray[np.uint64]:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class KnownResults:
    """What the records of results say together.

    Attributes:
        keys: uint64[n], strictly increasing; heads of blob ids.
        seconds: int64[n], when each was last found whole.
        read: keys of the records that were read or superseded.
        number: of the newest record.
        unread: keys of records that do not decode; the next one supersedes them.
    """

    keys: NDArray[np.uint64] = field(default_factory=_no_keys)
    seconds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    read: tuple[str, ...] = ()
    number: int = 0
    unread: tuple[str, ...] = ()

    def last_read(self, blob_ids: NDArray[np.uint8], now_seconds: int) -> NDArray[np.int64]:
        """Return when each blob was last read, 0 for never. What lies in the future is not believed.

        Args:
            blob_ids: uint8[n, 32].
        """
        wanted = chunk_keys(blob_ids)
        if len(self.keys) == 0 or len(wanted) == 0:
            return np.zeros(len(wanted), np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        seconds = np.where(self.keys[at] == wanted, self.seconds[at], 0)
        return np.where(seconds <= now_seconds, seconds, 0).astype(np.int64)


def read_results(backend: Backend) -> KnownResults:
    """Read what earlier runs left; what cannot be read is passed over."""
    listed = (stored.key for stored in backend.list_objects(keys.results_prefix()))
    found = read_records(backend, listed, keys.parse_results_key, decode_results)
    merged, seconds = _merge(
        [(record.keys, record.seconds.astype(np.int64)) for record in found.records]
    )
    return KnownResults(merged, seconds, found.read, found.number, found.unread)


def write_results(
    backend: Backend,
    known: KnownResults,
    blob_ids: NDArray[np.uint8],
    now_seconds: int,
    existing: NDArray[np.uint8],
) -> KnownResults:
    """Record that blobs were found whole now, and return what is known after that.

    Args:
        blob_ids: uint8[n, 32], the blobs found whole.
        existing: uint8[m, 32], all blobs there are; others are forgotten.

    Raises:
        BackendError: the record may or may not be stored.
    """
    fresh = np.unique(chunk_keys(blob_ids))
    merged, seconds = _merge(
        [(known.keys, known.seconds), (fresh, np.full(len(fresh), now_seconds, np.int64))]
    )
    kept = np.isin(merged, chunk_keys(existing))
    merged, seconds = merged[kept], np.minimum(seconds[kept], now_seconds)
    mark = SessionId(random_bytes(SESSION_ID_BYTES))
    record = ResultsRecord(
        session=mark,
        supersedes=marks_of((*known.read, *known.unread), keys.parse_results_key),
        keys=merged,
        seconds=seconds.astype(np.uint32),
    )
    key = keys.results_key(known.number + 1, mark)
    backend.put(key, [encode_results(record)])
    # Whoever has no right to delete leaves them; they are not read any more.
    left = () if remove_superseded(backend, known.read) else known.read
    return KnownResults(merged, seconds, (key, *left), known.number + 1)


def _merge(
    columns: list[tuple[NDArray[np.uint64], NDArray[np.int64]]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Join columns; of several times for one blob the latest counts."""
    keys_of = np.concatenate([_no_keys(), *(one for one, _ in columns)])
    seconds = np.concatenate([np.zeros(0, np.int64), *(times for _, times in columns)])
    order = np.lexsort((seconds, keys_of))
    keys_of, seconds = keys_of[order], seconds[order]
    last = np.ones(len(keys_of), np.bool_)
    last[:-1] = keys_of[1:] != keys_of[:-1]
    return keys_of[last], seconds[last]
