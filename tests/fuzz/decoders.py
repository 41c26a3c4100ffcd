"""Every decoder of stored bytes as a target for hostile input, and inputs to begin with.

A checksum or an id keeps random bytes away from what lies behind it, so those formats have a
second target that takes the inside and seals it: `slot` and `slot-sealed`.
"""

from __future__ import annotations

import json
import runpy
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cas.errors import CorruptionError, UnsupportedError
from cas.format import blob, collection, keys, segment
from cas.format.encoding import MAX_RECORD_BYTES, unpack_map, unpack_record
from cas.objects.examine_blob import BlobTarget
from cas.objects.scan_blob import scan_blob

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "specs" / "vectors"
TOOL = runpy.run_path(str(ROOT / "tools" / "vectors" / "formats.py"))
SEALED_MAGICS = {
    "slot": b"CASV",
    "revision": b"CASR",
    "move": b"CASM",
    "alias": b"CASA",
    "expiry": b"CASP",
    "intent": b"CASI",
    "done": b"CASN",
    "floor": b"CASF",
    "results": b"CASK",
    "damage": b"CASW",
}
HEAD_MAGICS = {"condemn": b"CASC", "verdict": b"CASD", "segment": b"CASX"}
REFUSALS = (CorruptionError, UnsupportedError)


def seal_record(magic: bytes, body: bytes) -> bytes:
    """Return a record with this body, its checksum right."""
    sealed = magic + b"\1" + body
    return sealed + struct.pack("<I", zlib.crc32(sealed))


def seal_headed(magic: bytes, content: bytes) -> bytes:
    """Return a record with a head; the first two bytes of `content` say how long its body is."""
    length = int.from_bytes(content[:2], "little")
    inner = b"CASH" if magic == b"CASX" else magic
    head = seal_record(inner, content[2 : 2 + length])
    return struct.pack("<4sI", magic, len(head)) + head + content[2 + length :]


def unseal_headed(content: bytes) -> bytes:
    """Return what `seal_headed` makes `content` of."""
    length = struct.unpack_from("<I", content, 4)[0]
    body = content[8 + 5 : 8 + length - 4]
    return len(body).to_bytes(2, "little") + body + content[8 + length :]


def decode_sealed_table(raw: bytes) -> object:
    """Read bytes as the raw table of a blob whose id they have; its frames end where the seed's do."""
    packed = TOOL["zstd_of"](raw)
    offset, _, _ = blob.decode_trailer(SEEDS["blob"][0], what="seed")
    content = packed + blob.encode_trailer(offset, len(packed), len(raw))
    return blob.decode_tail(
        content, blob.table_blob_id(raw), blob_size=offset + len(content), table_offset=offset
    )


def decode_partial_segment(content: bytes) -> object:
    """Read bytes as the beginning of a segment, and ask how much more to read."""
    segment.segment_prefix_bytes(content, 4, what="segment")
    return segment.decode_segment(content, what="segment", partial=True)


def decode_blocks(content: bytes) -> object:
    """Read the head of a condemn record and every block that it names."""
    head = collection.condemn_head(content, what="condemn")
    blocks = collection.block_ranges(head, head.block_firsts)
    return [
        collection.decode_block(head, one, content[one.start : one.stop], what="condemn")
        for one in blocks
    ]


def parse_keys(content: bytes) -> object:
    """Give bytes to every parser of keys, as a listing of a bucket might."""
    key = content.decode("latin-1")
    parsers = (
        keys.parse_alias_key,
        keys.parse_artifact_folder,
        keys.parse_blob_key,
        keys.parse_collection_key,
        keys.parse_intent_key,
        keys.parse_segment_key,
        keys.parse_damage_key,
        keys.parse_results_key,
        keys.parse_version_key,
        keys.decode_component,
    )
    return [parse(key) for parse in parsers]


def scan_frames(content: bytes) -> object:
    """Scan bytes for the frames of a blob; pages know where its table begins, or do not."""
    extents = [(0, 1, 100), (1, 2, 5000), (16383, 1, 1)]
    return [
        scan_blob(content, BlobTarget(bytes(32), False, len(content), offset), extents)
        for offset in (0, len(content) // 2)
    ]


def _seal_with(seal: Callable[[bytes, bytes], bytes], name: str, magic: bytes):
    decode = TOOL["FORMATS"][name].decode
    return lambda content: decode(seal(magic, content))


def _make_decoders() -> dict[str, Callable[[bytes], object]]:
    decoders = {name: one.decode for name, one in TOOL["FORMATS"].items()}
    for name, magic in SEALED_MAGICS.items():
        decoders[f"{name}-sealed"] = _seal_with(seal_record, name, magic)
    for name, magic in HEAD_MAGICS.items():
        decoders[f"{name}-sealed"] = _seal_with(seal_headed, name, magic)
    decoders["blob-frame"] = lambda content: blob.decode_frame(content, what="frame")
    decoders["blob-table-sealed"] = decode_sealed_table
    decoders["segment-partial"] = decode_partial_segment
    decoders["condemn-blocks"] = decode_blocks
    decoders["map"] = lambda content: unpack_map(content, what="map")
    decoders["record"] = lambda content: unpack_record(
        b"CASN", content, what="record", limit=MAX_RECORD_BYTES
    )
    decoders["keys"] = parse_keys
    decoders["blob-scan"] = scan_frames
    return decoders


def _make_seeds() -> dict[str, list[bytes]]:
    seeds: dict[str, list[bytes]] = {}
    for path in sorted(VECTORS.rglob("*.bin")):
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        seeds.setdefault(described["format"], []).append(path.read_bytes())
    for name in SEALED_MAGICS:
        seeds[f"{name}-sealed"] = [content[5:-4] for content in seeds[name]]
    for name in HEAD_MAGICS:
        seeds[f"{name}-sealed"] = [unseal_headed(content) for content in seeds[name]]
    whole = TOOL["decode_blob"](seeds["blob"][0])
    start, stop = whole["table"].frame_offsets.tolist()
    seeds["blob-frame"] = [seeds["blob"][0][start:stop]]
    seeds["blob-table-sealed"] = [blob.encode_table(whole["table"])]
    seeds["segment-partial"] = seeds["segment"]
    seeds["condemn-blocks"] = seeds["condemn"]
    seeds["map"] = seeds["page"] + seeds["root"] + seeds["slot-sealed"]
    seeds["record"] = seeds["done"]
    seeds["blob-scan"] = seeds["blob"]
    listed = json.loads((VECTORS / "layout" / "keys.json").read_text(encoding="utf-8"))
    seeds["keys"] = [key.encode() for key in listed.values()]
    return seeds


DECODERS = _make_decoders()
SEEDS = _make_seeds()


def survive(name: str, content: bytes) -> bool:
    """Give bytes to a decoder; tell whether it took them. Any other error is a bug."""
    with np.errstate(all="raise"):
        try:
            DECODERS[name](content)
        except REFUSALS:
            return False
    return True
