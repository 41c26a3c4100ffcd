"""Index segments for blobs that the index has lost: only of blobs that a version names, since of no
others is it known that no collection killed them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from cas.errors import CasError, UnsupportedError
from cas.format import keys
from cas.format.blob import BlobTable
from cas.format.segment import decode_segment
from cas.objects.blob_list import BlobRef
from cas.objects.examine_blob import BlobTarget, read_table
from cas.objects.index import build_segment, list_segments, write_segment
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.inspect_structure import Inspection

READERS = 16
# About a million entries: 12 MiB.
SEGMENT_BLOBS = 512


def lost_from_index(parts: StoreParts, found: Inspection) -> tuple[list[int], list[str]]:
    """Return the rows of the needed data blobs that no segment leads to, and damaged segments.

    Raises:
        BackendError: the storage failed.
    """
    known: list[np.ndarray] = []
    damaged: list[str] = []
    superseded: set[str] = set()
    for listed in sorted(list_segments(parts.backend), key=lambda one: -one.level):
        try:
            segment = decode_segment(parts.backend.get(listed.key), what=listed.key)
        except UnsupportedError:
            continue  # a later cas wrote it
        except CasError:
            damaged.append(listed.key)
            continue
        superseded.update(segment.supersedes)
        known.append(np.ascontiguousarray(segment.blob_ids).view("S32").reshape(-1))
    names = np.unique(np.concatenate([np.zeros(0, "S32"), *known]))
    needed = found.needed
    ids = needed.ids.view("S32").reshape(-1) if len(needed) else np.zeros(0, "S32")
    lost = np.flatnonzero(~np.isin(ids, names)).tolist()
    rows = [
        row
        for row in lost
        if not (target := needed.target(row)).is_meta and target.blob_id not in found.damage
    ]
    return rows, [key for key in damaged if key not in superseded]


def rebuild_index(
    parts: StoreParts,
    session: WriterSession,
    found: Inspection,
    stamp: int,
    lost: tuple[list[int], list[str]],
) -> int:
    """Write segments of blobs that the index has lost; return of how many.

    Args:
        stamp: every collection up to it had a verdict before the versions were read.
        lost: what `lost_from_index` found. Segments that are damaged stay where they are, and are
            named as superseded.
    """
    rows, damaged = lost
    levels = [parsed[0] for key in damaged if (parsed := keys.parse_segment_key(key)) is not None]
    level = max(levels, default=-1) + 1
    written = 0
    batches = [rows[at : at + SEGMENT_BLOBS] for at in range(0, len(rows), SEGMENT_BLOBS)]
    if damaged and not batches:
        batches = [[]]
    with ThreadPoolExecutor(READERS, thread_name_prefix="cas-index") as pool:
        for number, batch in enumerate(batches):
            targets = list(found.needed.targets(batch))
            tables = pool.map(lambda one: _table_or_none(parts, one), targets)
            blobs = [
                (
                    BlobRef(
                        blob_id=target.blob_id,
                        size=target.size,
                        table_offset=target.table_offset,
                        stamp=stamp,
                    ),
                    table.chunk_ids,
                )
                for target, table in zip(targets, tables, strict=True)
                if table is not None
            ]
            segment = build_segment(session.id, stamp, blobs)
            if number == 0:
                segment = replace(segment, supersedes=tuple(damaged))
            key = keys.segment_key(min(level, 99), session.id, session.segments)
            session.segments += 1
            write_segment(parts.backend, key, segment)
            written += len(blobs)
    return written


def _table_or_none(parts: StoreParts, target: BlobTarget) -> BlobTable | None:
    try:
        return read_table(parts.backend, target)
    except CasError:
        return None
