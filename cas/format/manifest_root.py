"""The root of a manifest: digest, totals, and where each page lies.

Spec: specs/format/06-manifest.md
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cas.format.blob import CHUNK_BYTES, FRAME_HEAD_BYTES, HEADER_BYTES
from cas.format.encoding import Buffer, column, malformed
from cas.format.fields import CRITICAL, FieldReader
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
from cas.format.manifest_digest import PageGroups, StatedDigest
from cas.format.manifest_paging import MAX_PAGE_ENTRIES
from cas.model.entry import PageLocation, Totals
from cas.model.ids import BlobId, PageId, VersionDigest

# Who does not know these would take the digest for one of kind 1, and the version for damaged.
_GROUP_FIELDS = ["groups", "page_groups"]
_TOTALS = ("files", "symlinks", "directories", "externals", "size")


@dataclass(frozen=True, eq=False, kw_only=True)
class Root:
    """The pages of a version, p of them in path order, in b meta blobs.

    Attributes:
        digest: of everything the version holds.
        totals: what it holds in all.
        page_ids: uint8[p, 32].
        page_entries: uint32[p], entries of each page, at least one.
        first_paths: the first path of each page, strictly increasing.
        page_blobs: uint32[p], row in the table of blobs.
        page_offsets: uint32[p], where the page's frame begins in its blob.
        page_lengths: uint32[p], bytes of the whole frame.
        blob_ids: uint8[b, 32]; 32 zero bytes stand for the blob in which the root itself lies, whose
            id cannot be known inside of it. `place_root` puts the id in.
        blob_sizes: uint32[b]; 0 for the root's own blob.
        table_offsets: uint32[b], 0 where it is not stated.
        groups: what the digest is made of, if it is of kind 2.
    """

    digest: VersionDigest
    totals: Totals
    page_ids: NDArray[np.uint8]
    page_entries: NDArray[np.uint32]
    first_paths: list[bytes]
    page_blobs: NDArray[np.uint32]
    page_offsets: NDArray[np.uint32]
    page_lengths: NDArray[np.uint32]
    blob_ids: NDArray[np.uint8]
    blob_sizes: NDArray[np.uint32]
    table_offsets: NDArray[np.uint32]
    groups: PageGroups | None = None

    @property
    def stated(self) -> StatedDigest:
        """The digest and what it is made of."""
        return StatedDigest(self.digest, self.groups)


def encode_root(root: Root) -> bytes:
    """Return the raw bytes of a root; equal roots have equal bytes.

    Raises:
        InvalidInputError: it is over 16 MiB.
        ValueError: it breaks a rule that readers check.
    """
    joined = join_paths(root.first_paths)
    content = pack_manifest(
        "root",
        {
            "digest": root.digest.raw,
            "totals": {name: getattr(root.totals, name) for name in _TOTALS},
            "page_ids": column(root.page_ids, "u1"),
            "page_entries": column(root.page_entries, "<u4"),
            "first_paths": joined,
            "page_blobs": column(root.page_blobs, "<u4"),
            "page_offsets": column(root.page_offsets, "<u4"),
            "page_lengths": column(root.page_lengths, "<u4"),
            **blob_columns(root.blob_ids, root.blob_sizes, root.table_offsets),
            **_group_fields(root.groups),
        },
    )
    return check_readable("root", content, decode_root)


def decode_root(content: Buffer, page_id: PageId | None) -> Root:
    """Return the root that `content` holds, verified against `page_id` if it is given.

    Raises:
        CorruptionError: it is not what the id vouches for, or breaks a rule.
        UnsupportedError: a later cas wrote it.
    """
    fields, what = open_manifest(content, page_id, kind="root")
    digest = VersionDigest(fields.id("digest"))
    totals = _read_totals(fields.reader("totals"))
    page_ids = fields.ids("page_ids", None)
    count = len(page_ids)
    blob_ids, blob_sizes, table_offsets = read_blob_columns(fields)
    root = Root(
        digest=digest,
        totals=totals,
        page_ids=page_ids,
        page_entries=fields.column("page_entries", np.uint32, count),
        first_paths=split_paths_column(fields.octets("first_paths"), count, what),
        page_blobs=fields.column("page_blobs", np.uint32, count),
        page_offsets=fields.column("page_offsets", np.uint32, count),
        page_lengths=fields.column("page_lengths", np.uint32, count),
        blob_ids=blob_ids,
        blob_sizes=blob_sizes,
        table_offsets=table_offsets,
        groups=_read_groups(fields, count),
    )
    fields.rest()
    _check_root(root, what)
    return root


def _read_totals(fields: FieldReader) -> Totals:
    files, symlinks, directories, externals, size = map(fields.integer, _TOTALS)
    fields.rest()
    return Totals(
        files=files, symlinks=symlinks, directories=directories, externals=externals, size=size
    )


def _group_fields(groups: PageGroups | None) -> dict[str, Any]:
    if groups is None:
        return {}
    return {
        "groups": column(groups.digests, "u1"),
        "page_groups": column(groups.pages, "<u4"),
        CRITICAL: _GROUP_FIELDS,
    }


def _read_groups(fields: FieldReader, count: int) -> PageGroups | None:
    if not fields.has_any(_GROUP_FIELDS):
        return None
    pages = fields.column("page_groups", np.uint32, count)
    return PageGroups(fields.ids("groups", None), pages)


def _check_root(root: Root, what: str) -> None:
    entries = root.page_entries
    if not entries.all() or (entries > MAX_PAGE_ENTRIES).any():
        raise malformed(what, f"a page is empty or over {MAX_PAGE_ENTRIES} entries")
    check_sums(entries, root.totals.entries, what, "its pages do not hold its totals")
    if root.groups is not None:
        root.groups.check(entries, what)
        if root.groups.digest() != root.digest:
            raise malformed(what, "its digest is not that of its groups")
    if (root.table_offsets > root.blob_sizes).any():
        raise malformed(what, "the table of a blob lies after its end")
    if (root.page_blobs >= len(root.blob_ids)).any():
        raise malformed(what, "a page lies in a blob that is not listed")
    if (root.page_lengths <= FRAME_HEAD_BYTES + CHUNK_BYTES).any():
        raise malformed(what, "a page is shorter than the head of a frame")
    own = _own_blob(root)
    if len(own) > 1 or root.blob_sizes[own].any():
        raise malformed(what, "its own blob is listed twice, or with a size")
    if (root.page_offsets < HEADER_BYTES).any():
        raise malformed(what, "a page lies in the header of its blob")
    _check_inside(root, ~np.isin(root.page_blobs, own), what)


def _own_blob(root: Root) -> NDArray[np.intp]:
    """Rows of the table of blobs that stand for the root's own: none or one."""
    return np.flatnonzero(~root.blob_ids.any(axis=1))


def _check_inside(root: Root, pages: NDArray[np.bool_], what: str) -> None:
    stops = root.page_offsets.astype(np.int64) + root.page_lengths
    if (pages & (stops > root.blob_sizes[root.page_blobs])).any():
        raise malformed(what, "a page lies outside its blob")


def place_root(root: Root, location: PageLocation) -> Root:
    """Return the root with the id and size of its own blob, where it lies, put in.

    Raises:
        CorruptionError: a page lies outside of that blob.
    """
    own = _own_blob(root)
    if len(own) == 0:
        return root
    ids, sizes = root.blob_ids.copy(), root.blob_sizes.copy()
    ids[own] = np.frombuffer(location.blob_id.raw, np.uint8)
    sizes[own] = location.blob_size
    placed = replace(root, blob_ids=ids, blob_sizes=sizes)
    _check_inside(placed, np.isin(root.page_blobs, own), f"root {location.page_id.short}")
    return placed


def root_page_location(root: Root, row: int) -> PageLocation:
    """Return where page `row` of a version lies."""
    blob = int(root.page_blobs[row])
    return PageLocation(
        page_id=PageId(root.page_ids[row].tobytes()),
        blob_id=BlobId(root.blob_ids[blob].tobytes()),
        blob_size=int(root.blob_sizes[blob]),
        offset=int(root.page_offsets[row]),
        length=int(root.page_lengths[row]),
    )


def find_page(root: Root, path: bytes) -> int:
    """Return the row of the only page that can hold `path`, or -1 if it sorts before all."""
    return bisect_right(root.first_paths, path) - 1
