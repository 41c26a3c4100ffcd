"""Bytes that every reader must refuse, each with the one thing that is wrong with it."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any, NamedTuple
from zlib import crc32

import msgpack
from formats import SESSION, encode_blob, seal_table
from samples import sample_blob, sample_config, sample_page, sample_root, sample_version

from cas.format import blob, collection, config, manifest, version
from cas.format.encoding import pack_record
from cas.model.names import ArtifactName


class Refused(NamedTuple):
    """Bytes that every reader must refuse."""

    name: str
    format: str
    content: bytes
    error: str


def make_refused() -> list[Refused]:
    """Return bytes that no reader takes, each with the one thing that is wrong with it."""
    later = config.encode_config(sample_config()).replace(b'"version": 1', b'"version": 2')
    return [
        *_refused_slots(),
        *_refused_records(),
        *_refused_pages(),
        *_refused_roots(),
        *_refused_blobs(),
        Refused("store format of a later release", "config", later, "unsupported"),
        Refused("config of something else", "config", b"{}", "corrupt"),
    ]


def _refused_slots() -> list[Refused]:
    slot = version.encode_slot(version.VoidRecord(SESSION))
    other = version.encode_slot(_renamed(sample_version()))
    branch = pack_record(b"CASV", {"kind": "branch"})
    return [
        Refused("slot cut off", "slot", slot[:-1], "corrupt"),
        Refused("slot with a flipped bit", "slot", slot[:9] + b"\x00" + slot[10:], "corrupt"),
        Refused("slot of another artifact", "slot", other, "corrupt"),
        Refused("slot of a later kind", "slot", branch, "unsupported"),
    ]


def _refused_records() -> list[Refused]:
    nested: Any = 1
    for _ in range(8):
        nested = [nested]

    def marked(name: str, content: bytes, error: str = "corrupt") -> Refused:
        return Refused(name, "done", content, error)

    def packed(name: str, error: str = "corrupt", **fields: Any) -> Refused:
        return marked(name, pack_record(b"CASN", {"run": 42, **fields}), error)

    later = _reversioned(collection.encode_done(42))
    numbered = msgpack.packb({"run": 42, 1: 1})
    return [
        marked("record of another kind", collection.encode_floor(42)),
        marked("record of a later format", later, "unsupported"),
        packed("record with a critical field", "unsupported", later=1, critical=["later"]),
        packed("record with an extension type", x=msgpack.ExtType(1, b"")),
        packed("record nested too deeply", x=nested),
        marked("record with a number as key", _sealed(b"CASN\x01" + numbered)),
        marked("record that is a list", _sealed(b"CASN\x01" + msgpack.packb([1]))),
        packed("record with a negative run", run=-1),
    ]


def _refused_pages() -> list[Refused]:
    page = msgpack.unpackb(manifest.encode_page(sample_page()))
    paths, sizes = page["paths"], page["sizes"]

    def paged(name: str, error: str = "corrupt", **changed: Any) -> Refused:
        return Refused(name, "page", msgpack.packb({**page, **changed}), error)

    return [
        paged("path with a parent component", paths=paths.replace(b"bin/run", b"../run!", 1)),
        paged("path with an empty component", paths=paths.replace(b"bin/run", b"bin//run", 1)),
        paged("path that is absolute", paths=b"/" + paths),
        paged("path that ends in a slash", paths=paths + b"/"),
        paged("paths out of order", paths=paths.replace(b"empty", b"zzzzz", 1)),
        paged("path twice", paths=paths.replace(b"empty", b"bin/run", 1)),
        paged("one path too many", paths=paths + b"\0z"),
        paged("kind of a later release", "unsupported", kinds=b"\4" + page["kinds"][1:]),
        paged("mode of a later release", "unsupported", modes=b"\2" + page["modes"][1:]),
        paged("critical field", "unsupported", critical=["later"], later=1),
        paged("page of a later format", "unsupported", version=2),
        paged("size that extents do not fill", sizes=struct.pack("<Q", 30) + sizes[8:]),
        paged("extents that are not counted", extent_counts=bytes(4 * 7)),
        paged("extent of an unlisted blob", extent_blobs=struct.pack("<4I", 0, 0, 9, 1)),
        paged("hole with chunks", extent_chunks=struct.pack("<4I", 2, 1, 1, 1)),
        paged("extent of no chunk", extent_chunks=struct.pack("<4I", 0, 1, 0, 1)),
        paged("extents beyond 64 bits", extent_lengths=struct.pack("<4Q", 17, 12, 1 << 63, 18)),
        paged("inlined bytes that are not counted", inline=page["inline"] + b"x"),
        paged("directory with a hash", hashes=b"\1" * len(page["hashes"])),
    ]


def _refused_roots() -> list[Refused]:
    root = msgpack.unpackb(manifest.encode_root(sample_root()))

    def rooted(name: str, **changed: Any) -> Refused:
        return Refused(name, "root", msgpack.packb({**root, **changed}), "corrupt")

    return [
        rooted("totals that pages do not hold", page_entries=struct.pack("<I", 8)),
        rooted("page outside its blob", page_offsets=struct.pack("<I", 2900)),
        rooted("page in an unlisted blob", page_blobs=struct.pack("<I", 1)),
    ]


def _refused_blobs() -> list[Refused]:
    value = sample_blob()
    raw = blob.encode_table(value["table"])
    content = encode_blob(value)
    frames = content[40 : content.index(b"\x28\xb5\x2f\xfd")]

    def with_table(name: str, changed: bytes) -> Refused:
        return Refused(name, "blob", seal_table(changed, frames), "corrupt")

    later = raw[:4] + b"\2" + raw[5:]
    return [
        Refused("blob cut off", "blob", content[:-1], "corrupt"),
        Refused("table of a later format", "blob", seal_table(later, frames), "unsupported"),
        with_table("table cut off", raw[:-1]),
        with_table("frame that overlaps", raw[:52] + struct.pack("<I", 41) + raw[56:]),
        with_table("chunk of no bytes", raw[:-4] + bytes(4)),
        with_table("more frames than chunks", raw[:40] + struct.pack("<I", 4) + raw[44:]),
    ]


def _renamed(record: version.VersionRecord) -> version.VersionRecord:
    every = {one.name: getattr(record, one.name) for one in fields(record)}
    return version.VersionRecord(**{**every, "artifact": ArtifactName("team/other")})


def _reversioned(content: bytes) -> bytes:
    return _sealed(content[:4] + b"\2" + content[5:-4])


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", crc32(body))
