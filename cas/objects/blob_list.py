"""The blobs that one operation speaks of, by row: id, size, where the table begins, stamp.

Rows stand for blobs in extents until pages are encoded; a blob that is still being filled has a
row before it has an id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.model.ids import BlobId


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRef:
    """Where a stored blob is and where its table begins; sizes in bytes."""

    blob_id: bytes
    size: int
    table_offset: int
    stamp: int

    @property
    def id(self) -> BlobId:
        """The id as a value."""
        return BlobId(self.blob_id)


class BlobList:
    """Rows of blobs, each id once. Not thread-safe: one thread of an operation owns it."""

    def __init__(self) -> None:
        self._refs: list[BlobRef | None] = []
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._refs)

    def reserve(self) -> int:
        """Return a new row for a blob that has no id yet."""
        self._refs.append(None)
        return len(self._refs) - 1

    def fill(self, row: int, ref: BlobRef) -> None:
        """Say what the blob of a reserved row became."""
        self._refs[row] = ref
        self._rows[ref.blob_id] = row

    def row_of(self, ref: BlobRef) -> int:
        """Return the row of a blob, a new one at its first mention. The higher stamp stays."""
        row = self._rows.get(ref.blob_id)
        if row is None:
            row = len(self._refs)
            self._refs.append(ref)
            self._rows[ref.blob_id] = row
            return row
        known = self._refs[row]
        if known is None or known.stamp < ref.stamp:
            self._refs[row] = ref
        return row

    def rows_of(
        self,
        blob_ids: NDArray[np.uint8],
        sizes: NDArray[np.uint32],
        table_offsets: NDArray[np.uint32],
        stamp: int,
    ) -> NDArray[np.int64]:
        """Return the rows of the blobs of a page's or segment's blob table, shape (b,)."""
        refs = zip(
            (blob_id.tobytes() for blob_id in blob_ids),
            sizes.tolist(),
            table_offsets.tolist(),
            strict=True,
        )
        rows = [
            self.row_of(BlobRef(blob_id=i, size=s, table_offset=t, stamp=stamp)) for i, s, t in refs
        ]
        return np.array(rows, np.int64)

    def ref(self, row: int) -> BlobRef:
        """Return the blob of a row that has an id."""
        ref = self._refs[row]
        if ref is None:
            raise RuntimeError(f"blob row {row} is used before it is stored")
        return ref

    def is_stored(self, row: int) -> bool:
        """Tell whether the row's blob has an id, hence is stored or about to be."""
        return self._refs[row] is not None

    def row_of_id(self, blob_id: bytes) -> int | None:
        """Return the row of a blob id, or None if it was never mentioned."""
        return self._rows.get(blob_id)
