"""Intents: what a writer's session is about to rely on.

Spec: specs/format/09-session.md
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cas.errors import ErrorCode, InvalidInputError
from cas.format.encoding import (
    ID_BYTES,
    MAX_INTENT_BYTES,
    Buffer,
    column,
    is_increasing,
    malformed,
    pack_record,
    sortable_ids,
    unpack_record,
    view_ids,
)
from cas.format.fields import MAX_INTEGER, FieldReader
from cas.model.entry import PageLocation
from cas.model.ids import BlobId, PageId, SessionId

INTENT_MAGIC = b"CASI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a session needs: by name, or behind a page or root that is stored already.

    Attributes:
        k: number of the intent in its session.
        final: whether the session may take the slot that is named here.
        artifact: whose slot, or None.
        slot: the first slot that the session may take, or None.
        revision: which revision of that slot it means to create, or None for the slot itself.
        blob_ids: ids of data blobs, 32 bytes each, strictly increasing.
        meta_ids: ids of meta blobs, likewise.
        pages: stored pages and roots; all that is behind them is needed too.
        stamp: all of it is known to have survived every run of collection up to this one.
    """

    session: SessionId
    k: int
    final: bool
    artifact: str | None
    slot: int | None
    revision: int | None
    blob_ids: bytes
    meta_ids: bytes
    pages: tuple[PageLocation, ...]
    stamp: int
    created_ns: int


def encode_intent(intent: Intent) -> bytes:
    """Return the bytes of an intent.

    Raises:
        InvalidInputError: it names more than 64 MiB of ids.
    """
    pages = intent.pages
    content = pack_record(
        INTENT_MAGIC,
        {
            "session": intent.session.raw,
            "k": intent.k,
            "final": intent.final,
            "artifact": intent.artifact,
            "slot": intent.slot,
            "revision": intent.revision,
            "blob_ids": intent.blob_ids,
            "meta_ids": intent.meta_ids,
            "page_ids": b"".join(page.page_id.raw for page in pages),
            "page_blobs": b"".join(page.blob_id.raw for page in pages),
            "page_blob_sizes": column(np.array([page.blob_size for page in pages]), "<u4"),
            "page_offsets": column(np.array([page.offset for page in pages]), "<u4"),
            "page_lengths": column(np.array([page.length for page in pages]), "<u4"),
            "stamp": intent.stamp,
            "created_ns": intent.created_ns,
        },
    )
    if len(content) > MAX_INTENT_BYTES:
        raise InvalidInputError(
            f"an intent of {len(content)} bytes is over the limit of {MAX_INTENT_BYTES}",
            code=ErrorCode.INVALID_OPTION,
        )
    return content


def decode_intent(content: Buffer, *, what: str) -> Intent:
    """Return the intent that `content` holds.

    Raises:
        CorruptionError: it is damaged, or says what no writer says.
        UnsupportedError: a later cas wrote it.
    """
    record = unpack_record(INTENT_MAGIC, content, what=what, limit=MAX_INTENT_BYTES)
    fields = FieldReader(record, what)
    intent = Intent(
        session=fields.session(),
        k=fields.integer("k"),
        final=fields.boolean("final"),
        artifact=fields.optional_text("artifact"),
        slot=fields.optional_integer("slot"),
        revision=fields.optional_integer("revision"),
        blob_ids=_sorted_ids(fields, "blob_ids", what),
        meta_ids=_sorted_ids(fields, "meta_ids", what),
        pages=_read_pages(fields),
        stamp=fields.integer("stamp"),
        created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
    )
    fields.rest()
    if (intent.final or intent.revision is not None) and intent.slot is None:
        raise malformed(what, "names no slot")
    if intent.slot is not None and intent.artifact is None:
        raise malformed(what, "names a slot of no artifact")
    return intent


def _sorted_ids(fields: FieldReader, name: str, what: str) -> bytes:
    ids = fields.octets(name)
    if len(ids) % ID_BYTES or not is_increasing(sortable_ids(view_ids(ids))):
        raise malformed(what, f"{name} are not sorted ids")
    return ids


def _read_pages(fields: FieldReader) -> tuple[PageLocation, ...]:
    page_ids = fields.ids("page_ids", None)
    count = len(page_ids)
    rows = zip(
        page_ids,
        fields.ids("page_blobs", count),
        fields.column("page_blob_sizes", np.uint32, count).tolist(),
        fields.column("page_offsets", np.uint32, count).tolist(),
        fields.column("page_lengths", np.uint32, count).tolist(),
        strict=True,
    )
    return tuple(
        PageLocation(
            page_id=PageId(page_id.tobytes()),
            blob_id=BlobId(blob_id.tobytes()),
            blob_size=size,
            offset=offset,
            length=length,
        )
        for page_id, blob_id, size, offset, length in rows
    )
