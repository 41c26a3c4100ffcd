"""How much of each blob is live, in bytes as they are stored."""

from __future__ import annotations

from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cas.errors import CorruptionError
from cas.format.blob import CHUNK_BYTES, BlobTable
from cas.objects.blob_list import BlobRef
from cas.objects.id_sets import Ids
from cas.objects.parts import StoreParts
from cas.operations.plan_repack import BlobShare, MetaShare
from cas.operations.survey_places import Survey

READ_THREADS = 16
# Ids fill most of a table and cannot be compressed: no table of n chunks is shorter than 32 n.
LEAST_TABLE_BYTES = 32
# A blob's chunks are of different lengths; one with few live chunks may still be mostly live.
MARGIN = 1.5
# At most what a blob takes beside its frames: header, table and trailer, and a row for each frame.
BLOB_OVERHEAD_BYTES, ROW_BYTES = 200, 60

Int64s = NDArray[np.int64]


def data_shares(
    parts: StoreParts, survey: Survey, live_share: float
) -> tuple[list[tuple[BlobRef, BlobShare]], list[str]]:
    """Return the data blobs that may be mostly dead, and what is wrong with tables of others.

    Only the tables of blobs are read of which few chunks seem to live, by the length of the table.
    """
    data = survey.data
    most_chunks = (data.sizes - data.table_offsets) / LEAST_TABLE_BYTES
    rows = np.flatnonzero(data.chunks < most_chunks * live_share * MARGIN).tolist()
    refs = [
        BlobRef(
            blob_id=data.ids[row].tobytes(),
            size=int(data.sizes[row]),
            table_offset=int(data.table_offsets[row]),
            stamp=0,
        )
        for row in rows
    ]

    def read(ref: BlobRef) -> BlobTable | CorruptionError:
        try:
            return parts.tables.read(ref)
        except CorruptionError as error:
            return error

    shares, problems = [], []
    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="cas-tables") as pool:
        for row, ref, table in zip(rows, refs, pool.map(read, refs), strict=True):
            if isinstance(table, CorruptionError):
                problems.append(str(table))
                continue
            live = round(ref.size * _live_share(table, data.chunks_of(row)))
            share = BlobShare(blob_id=ref.blob_id, size=ref.size, live_bytes=live)
            shares.append((ref, share))
    return shares, problems


def meta_shares(survey: Survey) -> list[MetaShare]:
    """Return the blobs of pages and roots, and for which versions each is needed."""
    sizes: dict[bytes, int] = {}
    live: dict[bytes, dict[int, int]] = {}
    users: dict[bytes, set[int]] = {}
    for number, version in enumerate(survey.versions):
        for location in (version.root, *(survey.pages[row] for row in version.pages.tolist())):
            raw = location.blob_id.raw
            sizes[raw] = location.blob_size
            live.setdefault(raw, {})[location.offset] = location.length
            users.setdefault(raw, set()).add(number)
    return [
        MetaShare(
            share=BlobShare(blob_id=raw, size=size, live_bytes=_live_bytes(size, live[raw])),
            versions=frozenset(users[raw]),
        )
        for raw, size in sizes.items()
    ]


def replaced_metas(survey: Survey, emptied: Ids, versions: Container[int]) -> frozenset[bytes]:
    """Return the blobs of which every page and root is made anew.

    Args:
        survey: what lies where.
        emptied: the data blobs that are emptied; pages that name one are made anew.
        versions: the rows of the versions that get a new root.
    """
    names = survey.pages_naming(emptied)
    listed = {version.root.blob_id.raw for version in survey.versions}
    listed |= {page.blob_id.raw for page in survey.pages}
    # A page that names such a blob has new roots in all its versions.
    staying = {page.blob_id.raw for page, goes in zip(survey.pages, names, strict=True) if not goes}
    staying |= {
        version.root.blob_id.raw
        for row, version in enumerate(survey.versions)
        if row not in versions
    }
    return frozenset(listed - staying)


def _live_bytes(size: int, frames: dict[int, int]) -> int:
    """What pages take, and at most what names them: a blob of live pages alone is all live."""
    return min(size, sum(frames.values()) + BLOB_OVERHEAD_BYTES + len(frames) * ROW_BYTES)


def _live_share(table: BlobTable, chunks: Int64s) -> float:
    """How much of what a blob holds is in some of its chunks. All of them are all of it: what heads
    and tables take beside small chunks is not dead.
    """
    shares = table.frame_stored / np.maximum(table.frame_raw, 1)
    stored = table.chunk_lengths * shares[table.chunk_frames] + CHUNK_BYTES
    return float(stored[chunks[chunks < len(stored)]].sum() / stored.sum())
