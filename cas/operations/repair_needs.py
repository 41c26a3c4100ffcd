"""What versions need of damaged blobs: which chunks, and which bytes of which files they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cas.format.blob import BlobTable
from cas.format.encoding import MAX_BLOB_CHUNKS
from cas.format.manifest import Page
from cas.objects.damage import BlobDamage
from cas.objects.examine_blob import BlobTarget
from cas.operations.damaged_extents import Int64s
from cas.operations.version_pages import PageContents
from cas.transfer.reading import FileContent


@dataclass(frozen=True, slots=True)
class Span:
    """Chunks `first` to `first + chunks` of a blob: bytes `start` to `stop` of a file."""

    first: int
    chunks: int
    start: int
    stop: int


@dataclass(slots=True, eq=False)
class FileNeed:
    """A file that needs a blob of which no table is known.

    Attributes:
        content: where all of it lies.
        spans: the parts of it that lie in that blob.
    """

    hash: bytes
    content: FileContent
    spans: list[Span] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class BlobNeed:
    """A damaged data blob, and what is needed of it.

    Attributes:
        used: which rows of chunks some version needs, bool[16384].
        table: its table, once that is known.
        files: by hash, while no table is known.
    """

    target: BlobTarget
    damage: BlobDamage
    used: np.ndarray = field(default_factory=lambda: np.zeros(MAX_BLOB_CHUNKS, np.bool_))
    table: BlobTable | None = None
    files: dict[bytes, FileNeed] = field(default_factory=dict)

    @property
    def rows(self) -> Int64s:
        """The rows of chunks that are needed."""
        found: Int64s = np.flatnonzero(self.used)
        return found


class RepairNeeds:
    """Collects what pages need of damaged blobs."""

    def __init__(self, damage: Mapping[bytes, BlobDamage]) -> None:
        self._damage = damage
        self.blobs: dict[bytes, BlobNeed] = {}

    def add(self, page: Page) -> None:
        """Add what one page needs."""
        for row, blob_id in enumerate(page.blob_ids):
            damage = self._damage.get(blob_id.tobytes())
            if damage is not None:
                self._add_blob(page, row, damage)

    def _add_blob(self, page: Page, row: int, damage: BlobDamage) -> None:
        need = self.blobs.get(damage.blob_id)
        if need is None:
            size, offset = int(page.blob_sizes[row]), int(page.table_offsets[row])
            target = BlobTarget(damage.blob_id, False, size, offset)
            need = self.blobs[damage.blob_id] = BlobNeed(target, damage)
        extents = np.flatnonzero(page.extent_blobs == row)
        for extent in extents.tolist():
            first = int(page.extent_first[extent])
            need.used[first : first + int(page.extent_chunks[extent])] = True
        contents = PageContents(page)
        owners = np.searchsorted(page.extent_starts, extents, side="right") - 1
        for owner in np.unique(owners).tolist():
            self._add_file(need, page, contents, owner)

    @staticmethod
    def _add_file(need: BlobNeed, page: Page, contents: PageContents, owner: int) -> None:
        file_hash = page.hashes[owner].tobytes()
        content = contents.content(owner)
        file = need.files.setdefault(file_hash, FileNeed(file_hash, content))
        start = 0
        for ref, first, chunks, length in content.extents:
            span = Span(first, chunks, start, start + length)
            if ref is not None and ref.blob_id == need.target.blob_id and span not in file.spans:
                file.spans.append(span)
            start += length

    def wanted(self) -> Iterable[BlobNeed]:
        """Return the blobs, in the order of their ids."""
        return [self.blobs[blob_id] for blob_id in sorted(self.blobs)]
