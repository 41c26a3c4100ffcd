"""Chunks that can be made again from a number, and whether a cache has them."""

from __future__ import annotations

import random

from blake3 import blake3

from cas.chunk_cache.cache import ChunkCache
from cas.model.units import MIB

LIMIT = 16 * MIB


def content(number: int, size: int = 60_000) -> bytes:
    """The bytes of chunk `number`."""
    return random.Random(number).randbytes(size)


def chunk(number: int, size: int = 60_000) -> tuple[bytes, bytes]:
    """A chunk's id and bytes."""
    raw = content(number, size)
    return blake3(raw).digest(), raw


def is_kept(cache: ChunkCache, number: int, size: int = 60_000) -> bool:
    """Tell whether the cache has a chunk; what it gives must be right."""
    chunk_id, raw = chunk(number, size)
    found = cache.find(chunk_id, size)
    assert found is None or bytes(found) == raw
    return found is not None
