"""How tools and tests read and write each kind of stored object, and show it as JSON."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

from cas.format import (
    blob,
    collection,
    config,
    manifest,
    segment,
    session,
    verification,
    version,
)
from cas.format.encoding import decompress_exact
from cas.model.ids import SessionId
from cas.model.names import ArtifactName

# What the objects of the vectors are read as.
ARTIFACT = ArtifactName("team/bert")
NUMBER = 3
SESSION = SessionId(bytes(range(16)))
NONCE = bytes(range(16, 32))


class Format(NamedTuple):
    """How to read and write one kind of object."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def zstd_of(raw: bytes) -> bytes:
    """Return a zstd frame of one raw block: the same bytes from every release of zstd."""
    head = b"\x28\xb5\x2f\xfd" + b"\xa0" + struct.pack("<I", len(raw))
    return head + (1 | len(raw) << 3).to_bytes(3, "little") + raw


def seal_table(raw: bytes, frames: bytes, kind: int = blob.KIND_DATA) -> bytes:
    """Return a whole blob around a raw table and encoded frames."""
    body = blob.encode_header(kind, NONCE, SESSION) + frames
    packed = zstd_of(raw)
    return body + packed + blob.encode_trailer(len(body), len(packed), len(raw))


def decode_blob(content: bytes) -> dict[str, Any]:
    """Read a whole blob: header, table, every frame."""
    header = blob.decode_header(content, what="blob")
    offset, stored, raw_size = blob.decode_trailer(content, what="blob")
    tail = content[offset:]
    # The id stands nowhere in a blob; whoever reads one has it from a page.
    raw = decompress_exact(tail[:stored], raw_size, blob.MAX_TABLE_BYTES, "table")
    table = blob.decode_tail(
        tail,
        blob.table_blob_id(raw),
        blob_size=len(content),
        table_offset=offset,
        kind=header.kind,
    )
    frames = []
    for row, start in enumerate(table.frame_offsets.tolist()):
        count, payload = int(table.frame_chunks[row]), int(table.frame_stored[row])
        stop = start + blob.frame_length(count, payload)
        frames.append(blob.decode_frame(content[start:stop], what=f"frame {row}"))
    return {"header": header, "blob_id": blob.table_blob_id(raw), "table": table, "frames": frames}


def encode_blob(value: dict[str, Any]) -> bytes:
    """Write what `decode_blob` read."""
    frames = b"".join(
        blob.encode_frame_head(
            frame.codec,
            frame.param,
            len(frame.payload),
            frame.raw_length,
            frame.chunk_ids.tobytes(),
            frame.chunk_lengths.tolist(),
        )
        + bytes(frame.payload)
        for frame in value["frames"]
    )
    return seal_table(blob.encode_table(value["table"]), frames, value["header"].kind)


FORMATS = {
    "config": Format(config.decode_config, config.encode_config),
    "blob": Format(decode_blob, encode_blob),
    "page": Format(lambda content: manifest.decode_page(content, None), manifest.encode_page),
    "root": Format(lambda content: manifest.decode_root(content, None), manifest.encode_root),
    "slot": Format(
        lambda content: version.decode_slot(content, what="slot", artifact=ARTIFACT, number=NUMBER),
        version.encode_slot,
    ),
    "revision": Format(
        lambda content: version.decode_revision(content, what="revision"), version.encode_revision
    ),
    "move": Format(lambda content: version.decode_move(content, what="move"), version.encode_move),
    "alias": Format(
        lambda content: version.decode_alias(content, what="alias"), version.encode_alias
    ),
    "expiry": Format(
        lambda content: version.decode_expiry(content, what="expiry"), version.encode_expiry
    ),
    "intent": Format(
        lambda content: session.decode_intent(content, what="intent"), session.encode_intent
    ),
    "condemn": Format(
        lambda content: collection.decode_condemn(content, what="condemn"),
        collection.encode_condemn,
    ),
    "verdict": Format(
        lambda content: collection.decode_verdict(content, what="verdict"),
        collection.encode_verdict,
    ),
    "done": Format(
        lambda content: collection.decode_done(content, what="done"), collection.encode_done
    ),
    "floor": Format(
        lambda content: collection.decode_floor(content, what="floor"), collection.encode_floor
    ),
    "segment": Format(
        lambda content: segment.decode_segment(content, what="segment"), segment.encode_segment
    ),
    "results": Format(
        lambda content: verification.decode_results(content, what="results"),
        verification.encode_results,
    ),
    "damage": Format(
        lambda content: verification.decode_damage(content, what="damage"),
        verification.encode_damage,
    ),
}


def describe(value: Any) -> Any:
    """Return a decoded value as JSON can hold it: bytes as hexadecimal digits."""
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8:
            return [row.tobytes().hex() for row in value] if value.ndim == 2 else value.tolist()
        return value.tolist()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if hasattr(value, "hex") and not isinstance(value, float):
        return value.hex
    if isinstance(value, ArtifactName):
        return str(value)
    if is_dataclass(value):
        return {
            one.name: describe(getattr(value, one.name))
            for one in fields(value)
            if not _is_left_out(one, getattr(value, one.name))
        }
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    return value


def _is_left_out(one: Field[Any], value: Any) -> bool:
    """Tell whether a field came after format 1 and is not set: vectors of before do not have it."""
    return one.default in (None, False) and value == one.default
