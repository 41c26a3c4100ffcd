"""Blobs of a small store: which ones its versions need, the others deleted, their chunks moved."""

from __future__ import annotations

import numpy as np

from cas.format import keys
from cas.format.blob import decode_tail, decode_trailer
from cas.model.names import ArtifactName
from cas.objects.blob_list import BlobRef
from cas.objects.blobs import (
    BLOB_KIND_DATA,
    EncodedFrame,
    assemble_blob,
    decode_data_frame,
    write_blob,
)
from cas.objects.collection_log import list_log
from cas.objects.sessions import WriterSession
from cas.objects.versions import list_slots, read_kept, read_root_location
from cas.operations.new_places import MovedChunks
from cas.operations.version_pages import VersionPages
from cas.transfer.relocation import STAYS, MovedBlob, Relocation

NAME = ArtifactName("data")
NO_CODEC = 0


def ids_in(scene, *folders):
    """Return the ids of the blobs that lie in folders of the store."""
    return {keys.parse_blob_key(key).raw for folder in folders for key in scene.listed(folder)}


def needed_by(scene, *numbers):
    """Return the ids of all blobs behind the newest revisions of versions, by default of all."""
    parts = scene.store().parts
    listing = list_slots(parts.backend, NAME)
    needed = set()
    for number in numbers or listing.slots:
        record = read_kept(parts.backend, listing, number)
        if record is None:
            continue
        location = read_root_location(parts.backend, listing, record)
        pages = VersionPages(parts, record, location)
        needed |= {location.blob_id.raw}
        for ids in (pages.root.blob_ids, *(page.blob_ids for page in pages.iter_pages())):
            needed |= {row.tobytes() for row in ids}
    return needed


def collect(scene):
    """Delete what no version needs. Only where nobody is at work: it asks no one."""
    needed = needed_by(scene)
    for folder in ("blobs", "meta"):
        for key in scene.listed(folder):
            if keys.parse_blob_key(key).raw not in needed:
                scene.truth.delete(key)


def move_blobs(parts, *, keep=lambda row: False):
    """Copy every data blob, each chunk a frame of its own and the last one first.

    Args:
        keep: tells of the row of a chunk whether it stays where it is.
    """
    stamp = list_log(parts.backend).resolved_prefix
    session = WriterSession(parts.backend).id
    moved = {}
    for one in list(parts.backend.list_objects(keys.BLOBS)):
        blob_id = keys.parse_blob_key(one.key)
        content = parts.backend.get(one.key)
        offset, _, _ = decode_trailer(content, what=one.key)
        table = decode_tail(content[offset:], blob_id, blob_size=len(content), table_offset=offset)
        frames = _frames(blob_id, table, content)
        goes = [row for row in range(len(frames)) if not keep(row)][::-1]
        made = assemble_blob(BLOB_KIND_DATA, session, [frames[row] for row in goes])
        write_blob(parts.backend, BLOB_KIND_DATA, made)
        chunks = np.zeros(len(frames), np.int64)
        blobs = np.full(len(frames), STAYS, np.int64)
        chunks[goes], blobs[goes] = np.arange(len(goes)), 0
        ref = BlobRef(
            blob_id=made.blob_id.raw, size=made.size, table_offset=made.table_offset, stamp=stamp
        )
        moved[blob_id.raw] = MovedBlob([ref], blobs, chunks, table.chunk_lengths.astype(np.int64))
    return MovedChunks(parts, Relocation(moved), stamp)


def _frames(blob_id, table, content):
    """Return every chunk of a blob as a frame."""
    made = []
    for frame, (first, stop) in enumerate(
        zip(table.first_chunks[:-1].tolist(), table.first_chunks[1:].tolist(), strict=True)
    ):
        start = int(table.frame_offsets[frame])
        ends = [*table.frame_offsets[1:].tolist(), None]
        rows = np.arange(first, stop)
        end = ends[frame]
        if end is None:
            end, _, _ = decode_trailer(content, what="blob")
        raw = decode_data_frame(blob_id.raw, table, frame, content[start:end], rows)
        for row in rows.tolist():
            at, length = int(table.chunk_starts[row]), int(table.chunk_lengths[row])
            made.append(
                EncodedFrame(
                    codec=NO_CODEC,
                    param=0,
                    payload=bytes(raw[at : at + length]),
                    raw_length=length,
                    chunk_ids=table.chunk_ids[row].tobytes(),
                    chunk_lengths=(length,),
                )
            )
    return made
