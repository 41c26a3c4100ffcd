"""The published vectors of chunking, and a second implementation written from the spec page."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cas.chunking.cutter import Cutter
from cas.chunking.profile import ChunkProfile
from cas.chunking.zeros import split_zeros

VECTORS = Path(__file__).parents[2] / "specs" / "vectors" / "chunking"
CUTS = json.loads((VECTORS / "cuts.json").read_text(encoding="utf-8"))
GEAR = [int(word, 16) for word in json.loads((VECTORS / "gear.json").read_text(encoding="utf-8"))]
MASKS = {
    4096: (0x0000D90313530000, 0x0000590003530000),
    16384: (0x0000D90303537000, 0x0000D90103530000),
    65536: (0x0000D90707537000, 0x0000D90313530000),
    1048576: (0x0000D93767537000, 0x0000D90707537000),
}


def build(parts: list[dict[str, Any]]) -> bytes:
    """Return the bytes that a vector's parts describe."""
    return b"".join(build_part(part) for part in parts)


def build_part(part: dict[str, Any]) -> bytes:
    length = part["length"]
    if part["kind"] == "repeat":
        pattern = bytes.fromhex(part["pattern"])
        return (pattern * (length // len(pattern) + 1))[:length]
    seed = part["seed"].encode("ascii")
    blocks = (
        hashlib.sha256(seed + row.to_bytes(8, "little")).digest() for row in range(length // 32 + 1)
    )
    stream = b"".join(blocks)[:length]
    if part["kind"] == "digits":
        return stream.translate(b"0123456789abcdef" * 16)
    assert part["kind"] == "sha256"
    return stream


def cut_from_the_spec(content: bytes, average: int) -> list[int]:
    """Cut by the words of specs/format/04-chunking.md, one byte after another."""
    strict, loose = MASKS[average]
    ends: list[int] = []
    start = 0
    while start < len(content):
        left = len(content) - start
        if left <= average // 4:
            length = left
        else:
            length = min(left, average * 4)
            value = 0
            for position in range(average // 4, length & ~1):
                value = (2 * value + GEAR[content[start + position]]) & (2**64 - 1)
                if value & (strict if position < average & ~1 else loose) == 0:
                    length = position
                    break
        start += length
        ends.append(start)
    return ends


def test_gear_table_is_the_published_one():
    """Entry b is the first 8 bytes, big endian, of the MD5 of 64 bytes of value b."""
    digests = [hashlib.md5(bytes([value]) * 64).digest() for value in range(256)]

    assert [int.from_bytes(digest[:8], "big") for digest in digests] == GEAR


@pytest.mark.parametrize("vector", CUTS["streams"], ids=lambda vector: vector["name"])
def test_stream_is_cut_where_the_vector_says(vector):
    """Cuts never change: a store written long ago still shares chunks with today's files."""
    content = build(vector["parts"])
    assert hashlib.sha256(content).hexdigest() == vector["sha256"]

    ends = Cutter(ChunkProfile(vector["average"])).cut(content)

    assert ends.tolist() == vector["ends"]


@pytest.mark.parametrize("vector", CUTS["streams"], ids=lambda vector: vector["name"])
def test_spec_page_alone_gives_the_same_cuts(vector):
    """An implementation that only follows the spec page agrees with the vectors."""
    content = build(vector["parts"])

    assert cut_from_the_spec(content, vector["average"]) == vector["ends"]


@pytest.mark.parametrize("vector", CUTS["files"], ids=lambda vector: vector["name"])
def test_file_is_split_into_zeros_and_chunks_as_the_vector_says(vector):
    """Zero blocks are taken out first; cutting begins anew after each run of them."""
    content = build(vector["parts"])
    assert hashlib.sha256(content).hexdigest() == vector["sha256"]
    cutter = Cutter(ChunkProfile(vector["average"]))

    items: list[list[object]] = []
    for run in split_zeros(content):
        if run.zero:
            items.append(["zeros", run.stop - run.start])
            continue
        start = 0
        for end in cutter.cut(content[run.start : run.stop]).tolist():
            items.append(["chunk", end - start])
            start = end

    assert items == vector["items"]
