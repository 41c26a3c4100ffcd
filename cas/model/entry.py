"""What a version holds: entries, and where their bytes lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum

from cas.model.ids import BlobId, FileHash, PageId


class EntryKind(IntEnum):
    """What an entry is; the number is the one that stands in a page."""

    FILE = 0
    SYMLINK = 1
    DIRECTORY = 2
    EXTERNAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a version.

    Attributes:
        path: relative, `/`-separated; bytes that are not UTF-8 stand as surrogate escapes.
        kind: file, symlink, empty directory or external reference.
        size: bytes of the file, or of the link's target.
        executable: whether the file's owner may execute it.
        hash: BLAKE3 of the file's bytes or of the link's target; None for a directory.
        target: where a symlink points, or the URL of an external reference; else None.
    """

    path: str
    kind: EntryKind
    size: int
    executable: bool = False
    hash: FileHash | None = None
    target: str | None = None

    def _repr_html_(self) -> str | None:
        # Only a notebook needs this module.
        from cas.model.html import show_or_nothing
        from cas.model.html_entries import entry_card

        return show_or_nothing(lambda: entry_card(self))


class EntryList(list[Entry]):
    """A list that a notebook shows as a table."""

    def _repr_html_(self) -> str | None:
        from cas.model.html import show_or_nothing
        from cas.model.html_entries import entries_table

        return show_or_nothing(lambda: entries_table(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a version holds in all: numbers of entries by kind, and bytes of files."""

    files: int
    symlinks: int
    directories: int
    externals: int
    size: int

    @property
    def entries(self) -> int:
        """How many paths there are."""
        return self.files + self.symlinks + self.directories + self.externals


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLocation:
    """Where a manifest page or root lies: one frame of a meta blob.

    Attributes:
        page_id: BLAKE3 of the raw page.
        blob_id: the meta blob.
        blob_size: its size in bytes.
        offset: where the frame's head begins in the blob.
        length: bytes of the frame, head and payload.
    """

    page_id: PageId
    blob_id: BlobId
    blob_size: int
    offset: int
    length: int


def path_to_text(path: bytes) -> str:
    """Return a stored path as text, bytes that are not UTF-8 as surrogate escapes."""
    return path.decode("utf-8", "surrogateescape")


def path_to_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the stored form of a path given as text."""
    return os.fspath(path).encode("utf-8", "surrogateescape")
