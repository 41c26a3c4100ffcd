"""Pages of a manifest: sorted paths with size, mode, hash and where their bytes lie, in columns.

A page is a msgpack map of columns; its id is the BLAKE3 of its raw bytes. It is not compressed
here: it becomes the one chunk of a frame. Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cas.format.encoding import (
    MAX_BLOB_CHUNKS,
    Buffer,
    column,
    malformed,
    unpack_map,
    unsupported,
)
from cas.format.fields import FieldReader
from cas.format.manifest_columns import (
    blob_columns,
    check_readable,
    check_sums,
    join_paths,
    open_manifest,
    pack_manifest,
    read_blob_columns,
    split_paths_column,
)
from cas.format.manifest_digest import (
    DigestBuilder,
    DigestCheck,
    DigestPart,
    GroupDigestBuilder,
    PageGroups,
    StatedDigest,
    digest_part,
    page_digest_columns,
)
from cas.format.manifest_paging import (
    MAX_PAGE_ENTRIES,
    MAX_PAGE_WEIGHT,
    MIN_PAGE_ENTRIES,
    group_ends,
    is_group_end,
    is_page_end,
    split_paths,
)
from cas.format.manifest_root import (
    Root,
    decode_root,
    encode_root,
    find_page,
    place_root,
    root_page_location,
)
from cas.model.entry import Entry, EntryKind, path_to_text
from cas.model.ids import FileHash, PageId

__all__ = [
    "HOLE",
    "INLINE_LIMIT",
    "MAX_PAGE_ENTRIES",
    "MAX_PAGE_WEIGHT",
    "MIN_PAGE_ENTRIES",
    "MODE_EXECUTABLE",
    "DigestBuilder",
    "DigestCheck",
    "DigestPart",
    "GroupDigestBuilder",
    "Page",
    "PageGroups",
    "Root",
    "StatedDigest",
    "decode_page",
    "decode_root",
    "digest_part",
    "encode_page",
    "encode_root",
    "find_page",
    "find_row",
    "group_ends",
    "has_same_entries",
    "is_group_end",
    "is_page_end",
    "is_root",
    "page_blob_ids",
    "page_digest_columns",
    "page_entry",
    "place_root",
    "root_page_location",
    "split_paths",
]

MODE_EXECUTABLE = 1
HOLE = 0xFFFFFFFF
INLINE_LIMIT = 256
_LARGEST_SIZE = (1 << 63) - 1
# Columns of a page besides its kinds and its table of blobs.
_OTHER_COLUMNS = (
    "paths",
    "modes",
    "sizes",
    "hashes",
    "inline_lengths",
    "inline",
    "extent_counts",
    "extent_blobs",
    "extent_first",
    "extent_chunks",
    "extent_lengths",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Page:
    """Entries of a version in path order: n of them, with e extents in b blobs.

    Attributes:
        paths: strictly increasing by bytes; relative, no component empty, `.` or `..`, no NUL.
        kinds: uint8[n], an `EntryKind` each.
        modes: uint8[n], `MODE_EXECUTABLE` or 0.
        sizes: uint64[n], bytes of the file, of the link's target, or of what a URL names.
        hashes: uint8[n, 32], zeros for a directory.
        inline_lengths: uint32[n], bytes of the entry that stand in `inline`.
        inline: contents of small files, link targets and URLs, in entry order.
        extent_counts: uint32[n], extents of each entry.
        extent_blobs: uint32[e], row in the table of blobs, or `HOLE` for zeros.
        extent_first: uint32[e], first chunk in the blob; 0 for a hole.
        extent_chunks: uint32[e], number of chunks; 0 for a hole.
        extent_lengths: uint64[e], raw bytes, at least one.
        blob_ids: uint8[b, 32].
        blob_sizes: uint32[b].
        table_offsets: uint32[b], where the blob's table begins.
    """

    paths: list[bytes]
    kinds: NDArray[np.uint8]
    modes: NDArray[np.uint8]
    sizes: NDArray[np.uint64]
    hashes: NDArray[np.uint8]
    inline_lengths: NDArray[np.uint32]
    inline: bytes
    extent_counts: NDArray[np.uint32]
    extent_blobs: NDArray[np.uint32]
    extent_first: NDArray[np.uint32]
    extent_chunks: NDArray[np.uint32]
    extent_lengths: NDArray[np.uint64]
    blob_ids: NDArray[np.uint8]
    blob_sizes: NDArray[np.uint32]
    table_offsets: NDArray[np.uint32]

    @cached_property
    def inline_starts(self) -> NDArray[np.int64]:
        """Where each entry's bytes begin in `inline`, and at the end its length; int64[n + 1]."""
        return _starts(self.inline_lengths)

    @cached_property
    def extent_starts(self) -> NDArray[np.int64]:
        """Row of each entry's first extent, and at the end the number of extents; int64[n + 1]."""
        return _starts(self.extent_counts)


def _starts(counts: NDArray[np.uint32]) -> NDArray[np.int64]:
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def encode_page(page: Page) -> bytes:
    """Return the raw bytes of a page; equal pages have equal bytes.

    Raises:
        InvalidInputError: it is over 16 MiB.
        ValueError: it breaks a rule that readers check.
    """
    content = pack_manifest(
        "page",
        {
            "count": len(page.paths),
            "paths": join_paths(page.paths),
            "kinds": column(page.kinds, "u1"),
            "modes": column(page.modes, "u1"),
            "sizes": column(page.sizes, "<u8"),
            "hashes": column(page.hashes, "u1"),
            "inline_lengths": column(page.inline_lengths, "<u4"),
            "inline": page.inline,
            "extent_counts": column(page.extent_counts, "<u4"),
            "extent_blobs": column(page.extent_blobs, "<u4"),
            "extent_first": column(page.extent_first, "<u4"),
            "extent_chunks": column(page.extent_chunks, "<u4"),
            "extent_lengths": column(page.extent_lengths, "<u8"),
            **blob_columns(page.blob_ids, page.blob_sizes, page.table_offsets),
        },
    )
    return check_readable("page", content, decode_page)


def decode_page(content: Buffer, page_id: PageId | None) -> Page:
    """Return the page that `content` holds, verified against `page_id` if it is given.

    Columns are read-only views where they can be.

    Raises:
        CorruptionError: it is not what the id vouches for, or breaks a rule.
        UnsupportedError: a later cas wrote it: an unknown kind of entry, mode, critical field.
    """
    fields, what = open_manifest(content, page_id, kind="page")
    count = fields.integer("count", low=1, high=MAX_PAGE_ENTRIES)
    paths = split_paths_column(fields.octets("paths"), count, what)
    extent_blobs = fields.column("extent_blobs", np.uint32, None)
    extents = len(extent_blobs)
    blob_ids, blob_sizes, table_offsets = read_blob_columns(fields)
    page = Page(
        paths=paths,
        kinds=fields.column("kinds", np.uint8, count),
        modes=fields.column("modes", np.uint8, count),
        sizes=fields.column("sizes", np.uint64, count),
        hashes=fields.ids("hashes", count),
        inline_lengths=fields.column("inline_lengths", np.uint32, count),
        inline=fields.octets("inline"),
        extent_counts=fields.column("extent_counts", np.uint32, count),
        extent_blobs=extent_blobs,
        extent_first=fields.column("extent_first", np.uint32, extents),
        extent_chunks=fields.column("extent_chunks", np.uint32, extents),
        extent_lengths=fields.column("extent_lengths", np.uint64, extents),
        blob_ids=blob_ids,
        blob_sizes=blob_sizes,
        table_offsets=table_offsets,
    )
    fields.rest()
    _check_extents(page, what)
    _check_entries(page, what)
    return page


def page_blob_ids(content: Buffer, page_id: PageId | None) -> NDArray[np.uint8]:
    """Return the ids of the data blobs that a page speaks of, uint8[b, 32].

    Looks at little else in the page, so that it is ten times as fast as `decode_page`.

    Raises:
        CorruptionError: it is not what the id vouches for, or no page.
        UnsupportedError: a later cas wrote it, and it may need more than these.
    """
    fields, what = open_manifest(content, page_id, kind="page")
    count = fields.integer("count", low=1, high=MAX_PAGE_ENTRIES)
    _check_kinds(fields.column("kinds", np.uint8, count), what)
    for name in _OTHER_COLUMNS:
        fields.octets(name)
    blob_ids, _, _ = read_blob_columns(fields)
    fields.rest()
    return blob_ids


def is_root(content: Buffer) -> bool:
    """Tell whether `content`, which is a page or a root, is a root.

    Raises:
        CorruptionError: it is no manifest at all.
    """
    fields = FieldReader(unpack_map(content, what="page or root"), "page or root")
    return fields.text("format") == "root"


def _check_extents(page: Page, what: str) -> None:
    if (page.table_offsets >= page.blob_sizes).any():
        raise malformed(what, "the table of a blob lies after its end")
    is_hole = page.extent_blobs == HOLE
    chunks = page.extent_chunks.astype(np.int64)
    if (is_hole & ((chunks != 0) | (page.extent_first != 0))).any():
        raise malformed(what, "a hole names chunks")
    if (~is_hole & (page.extent_blobs >= len(page.blob_ids))).any():
        raise malformed(what, "an extent lies in a blob that is not listed")
    beyond = page.extent_first + chunks > MAX_BLOB_CHUNKS
    if (~is_hole & ((chunks == 0) | beyond)).any():
        raise malformed(what, "an extent names chunks that no blob can have")
    if not page.extent_lengths.all() or (page.extent_lengths > _LARGEST_SIZE).any():
        raise malformed(what, "an extent is empty or too long")


def _check_kinds(kinds: NDArray[np.uint8], what: str) -> None:
    if (kinds > EntryKind.EXTERNAL).any():
        raise unsupported(what, f"this cas does not know entries of kind {int(kinds.max())}")


def _check_entries(page: Page, what: str) -> None:
    kinds, sizes = page.kinds, page.sizes
    _check_kinds(kinds, what)
    if (page.modes > MODE_EXECUTABLE).any():
        raise unsupported(what, f"this cas does not know mode bits {int(page.modes.max()):#x}")
    if (sizes > _LARGEST_SIZE).any():
        raise malformed(what, "an entry is too long")
    check_sums(page.inline_lengths, len(page.inline), what, "its inlined bytes do not add up")
    starts = check_sums(
        page.extent_counts, len(page.extent_lengths), what, "its extents do not add up"
    )
    ends = np.zeros(len(page.extent_lengths) + 1, np.uint64)
    np.cumsum(page.extent_lengths, out=ends[1:])
    if (ends[1:] < ends[:-1]).any():
        raise malformed(what, "its extents are too long")
    in_extents = ends[starts[1:]] - ends[starts[:-1]]
    inlined = page.inline_lengths.astype(np.uint64)
    no_extents = page.extent_counts == 0
    held = np.where(no_extents, inlined, in_extents)
    is_file, is_directory = kinds == EntryKind.FILE, kinds == EntryKind.DIRECTORY
    is_link, is_external = kinds == EntryKind.SYMLINK, kinds == EntryKind.EXTERNAL
    wrong = is_file & ((held != sizes) | (~no_extents & (inlined != 0)))
    wrong |= is_directory & ((sizes != 0) | (inlined != 0) | page.hashes.any(axis=1))
    wrong |= is_link & ((inlined != sizes) | (inlined == 0))
    wrong |= is_external & (inlined == 0)
    wrong |= ~is_file & (~no_extents | (page.modes != 0))
    if wrong.any():
        path = path_to_text(page.paths[int(np.flatnonzero(wrong)[0])])
        raise malformed(what, f"the entry {path[:80]!r} does not hold together")


def find_row(page: Page, path: bytes) -> int | None:
    """Return the row of `path` in a page, or None if it is not there."""
    row = bisect_left(page.paths, path)
    return row if row < len(page.paths) and page.paths[row] == path else None


def has_same_entries(page: Page, other: Page) -> bool:
    """Tell whether two pages hold the same, wherever it lies."""
    return (
        page.paths == other.paths
        and np.array_equal(page.kinds, other.kinds)
        and np.array_equal(page.modes, other.modes)
        and np.array_equal(page.sizes, other.sizes)
        and np.array_equal(page.hashes, other.hashes)
        # The URL of an external reference stands nowhere else.
        and page.inline == other.inline
    )


def page_entry(page: Page, row: int) -> Entry:
    """Return the entry in `row` of a page."""
    kind = EntryKind(int(page.kinds[row]))
    target = None
    if kind in (EntryKind.SYMLINK, EntryKind.EXTERNAL):
        start, stop = page.inline_starts[row : row + 2].tolist()
        target = path_to_text(page.inline[start:stop])
    return Entry(
        path=path_to_text(page.paths[row]),
        kind=kind,
        size=int(page.sizes[row]),
        executable=bool(page.modes[row] & MODE_EXECUTABLE),
        hash=None if kind is EntryKind.DIRECTORY else FileHash(page.hashes[row].tobytes()),
        target=target,
    )
