"""What says where the pages of versions, and the chunks that they speak of, lie from now on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cas.errors import CorruptionError
from cas.format.manifest import Page, Root
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation
from cas.objects.parts import StoreParts
from cas.transfer.relocation import Relocation


class NewPlaces(Protocol):
    """Says what becomes of the pages of versions.

    Implementers guarantee that every blob named by a page that they give is stored, and the same
    answer for the same page as long as they live.
    """

    @property
    def stamp(self) -> int:
        """The lowest stamp of what the new places lead to.

        Of blobs that were made for it, it is one that was held before the first of them was made.
        """
        ...

    def page(self, location: PageLocation) -> Page | None:
        """Return the page, of the same entries, to be stored in place of one; None to keep it.

        Raises:
            CorruptionError: it cannot be read, and nothing replaces it.
        """
        ...

    def root(self, record: VersionRecord, error: CorruptionError) -> Root:
        """Return the root of a version whose own cannot be read.

        Raises:
            CorruptionError: `error`, if it cannot be told.
        """
        ...

    def empties(self, blob_id: bytes) -> bool:
        """Tell whether what lies in a meta blob is to be stored elsewhere."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class MovedChunks:
    """New places of chunks in a store without damage.

    Attributes:
        emptied: ids of meta blobs whose pages and roots are stored elsewhere.
    """

    parts: StoreParts
    relocation: Relocation
    stamp: int
    emptied: frozenset[bytes] = frozenset()

    def page(self, location: PageLocation) -> Page | None:
        """Return a page at the new places of its chunks; None if none of them moved."""
        return self.relocation.apply(self.parts.pages.read_page(location))

    def root(self, record: VersionRecord, error: CorruptionError) -> Root:
        """Raise `error`: nothing is rebuilt here."""
        del record
        raise error

    def empties(self, blob_id: bytes) -> bool:
        """Tell whether what lies in a meta blob is to be stored elsewhere."""
        return blob_id in self.emptied
