"""Looking at a cache of chunks from outside: what it takes, whether it is right, making it smaller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from cas.chunk_cache.files import CacheFiles
from cas.chunk_cache.index import INDEX_NAME, Header, Index
from cas.chunk_cache.limits import MINIMUM_BYTES, geometry_of
from cas.chunk_cache.segments import Segments, used_bytes
from cas.environment import ensure_private_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What is in a cache, and what it was good for since it was made.

    Attributes:
        used_bytes: all its files on disk.
        entries: chunks in it.
        entry_bytes: their bytes.
        hits: chunks that were found.
        misses: chunks that were not.
        hit_bytes: bytes that need not be fetched.
    """

    used_bytes: int = 0
    entries: int = 0
    entry_bytes: int = 0
    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCheck:
    """What was found by reading everything in a cache.

    Attributes:
        chunks: that are what their ids say.
        size: their bytes.
        removed: entries that led to other bytes, and are gone now.
    """

    chunks: int
    size: int
    removed: int


def measure_cache(folder: Path) -> CacheUse:
    """Return what is in a cache. Makes nothing.

    Raises:
        InvalidInputError: the folder is not this user's alone.
    """
    index = _index_in(folder)
    if index is None:
        return CacheUse(used_bytes=used_bytes(folder))
    sizes = Segments(folder).sizes()
    lengths = [slot.length for _, slot in index.iter_slots() if slot.segment in sizes]
    header = index.read_header() or Header(0, 0)
    return CacheUse(
        used_bytes=used_bytes(folder),
        entries=len(lengths),
        entry_bytes=sum(lengths),
        hits=header.hits,
        misses=header.misses,
        hit_bytes=header.hit_bytes,
    )


def check_cache(folder: Path) -> CacheCheck:
    """Read everything in a cache, and remove what is not what it should be.

    Raises:
        InvalidInputError: the folder is not this user's alone.
    """
    index = _index_in(folder)
    chunks = size = removed = 0
    if index is not None:
        segments = Segments(folder)
        sizes = segments.sizes()
        for tag, slot in index.iter_slots():
            if slot.offset + slot.length > sizes.get(slot.segment, 0):
                continue  # evicted, or on its way
            content = segments.try_read(slot)
            if blake3(content).digest().startswith(tag):
                chunks += 1
                size += slot.length
            elif slot.segment in segments.sizes():
                index.remove(tag, slot)
                removed += 1
    return CacheCheck(chunks=chunks, size=size, removed=removed)


def shrink_cache(folder: Path, limit_bytes: int) -> int:
    """Throw out what is over a limit, everything for 0; return the bytes that this freed.

    Waits for processes that write at the moment. Those that read go on, and fetch what is gone.

    Raises:
        InvalidInputError: the folder is not this user's alone.
        OSError: something cannot be removed.
    """
    before = used_bytes(folder)
    if before == 0:
        return 0
    files = CacheFiles(folder, geometry_of(limit_bytes or MINIMUM_BYTES))
    with files.locked(wait=True):
        if limit_bytes:
            files.prepare()
        else:
            files.clear()
    return max(0, before - used_bytes(folder))


def _index_in(folder: Path) -> Index | None:
    if not folder.is_dir():
        return None
    ensure_private_dir(folder)
    try:
        return Index(folder / INDEX_NAME)
    except (OSError, ValueError):
        return None
