"""Where each chunk lies: a hash table in a file, read and written in place by many processes.

A bucket has 16 slots; a slot has the first 8 bytes of a chunk's id, the number of a segment, an
offset in it and a length. Nobody waits to read. A slot that is torn, old or made up leads to bytes
that are not the chunk's, which its id tells, so it costs a miss and nothing else. For the same
reason nothing here is ever synced.

Spec: specs/cache.md
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from cas.chunk_cache.limits import (
    BUCKET_BYTES,
    BUCKET_SLOTS,
    HEADER_BYTES,
    SLOT_BYTES,
    index_bytes_of,
)

INDEX_NAME = "index"
TAG_BYTES = 8
_MAGIC = b"CASCACH1"
_HEADER = struct.Struct("<8s7QI")
_SLOT = struct.Struct("<8sIII")
_EMPTY = bytes(SLOT_BYTES)
_READ_BUCKETS = 4096
_MOST_BUCKET_BITS = 40


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a chunk lies: `length` bytes from `offset` of segment `segment` on."""

    segment: int
    offset: int
    length: int


@dataclass(slots=True)
class Header:
    """What all processes that share a cache know of it; changed under the lock only.

    Attributes:
        bucket_bits: the index has two to this power of buckets.
        limit_bytes: what was enforced last.
        active: number of the segment that is appended to.
        old_below: segments of lower numbers are evicted before long: what is read there is
            appended anew.
        hits: chunks that were found since the cache was made.
        misses: chunks that were not.
        hit_bytes: bytes of those that were.
    """

    bucket_bits: int
    limit_bytes: int
    active: int = 1
    old_below: int = 0
    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0


class Index:
    """An index file that is open. Reading is safe for many threads and processes; `insert` and
    `write_header` are for whoever has the lock.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: it is not there, or not to be opened.
            ValueError: it is no index.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        status = os.fstat(self._descriptor)
        self._identity = status.st_dev, status.st_ino
        self.path = path
        header = self.read_header()
        if header is None:
            raise ValueError(f"{path} is no index")
        self.bucket_bits = header.bucket_bits
        self._shift = 64 - header.bucket_bits

    def __del__(self) -> None:
        # Closed when no thread can be using it any more: its number may be another file's next.
        # Not `suppress`: when the interpreter ends, what a module had imported may be gone.
        try:
            os.close(self._descriptor)
        except (OSError, AttributeError):
            pass

    def is_current(self) -> bool:
        """Tell whether this is the file that its name leads to."""
        try:
            status = os.stat(self.path)  # noqa: PTH116 - half the time of Path.stat
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def read_header(self) -> Header | None:
        """Return the header; None if it is torn or damaged."""
        content = os.pread(self._descriptor, _HEADER.size, 0)
        if len(content) < _HEADER.size:
            return None
        magic, *values, checksum = _HEADER.unpack(content)
        if magic != _MAGIC or checksum != zlib.crc32(content[:-4]):
            return None
        header = Header(*values)
        return header if header.bucket_bits <= _MOST_BUCKET_BITS else None

    def write_header(self, header: Header) -> None:
        """Replace the header."""
        os.pwrite(self._descriptor, _encode_header(header), 0)

    def find(self, chunk_id: bytes) -> Slot | None:
        """Return where a chunk may lie."""
        bucket = os.pread(self._descriptor, BUCKET_BYTES, self._place(chunk_id))
        at = _find_tag(bucket, chunk_id[:TAG_BYTES])
        if at < 0:
            return None
        _, segment, offset, length = _SLOT.unpack_from(bucket, at)
        return Slot(segment, offset, length) if length else None

    def insert(self, chunk_id: bytes, slot: Slot) -> None:
        """Note where a chunk lies; if its bucket is full, in place of what is evicted first."""
        place = self._place(chunk_id)
        bucket = os.pread(self._descriptor, BUCKET_BYTES, place).ljust(BUCKET_BYTES, b"\0")
        at = _find_tag(bucket, chunk_id[:TAG_BYTES])
        if at < 0:
            rows = _SLOT.iter_unpack(bucket)
            segments = [segment if length else -1 for _, segment, _, length in rows]
            at = SLOT_BYTES * segments.index(min(segments))
        content = _SLOT.pack(chunk_id[:TAG_BYTES], *astuple(slot))
        os.pwrite(self._descriptor, content, place + at)

    def remove(self, chunk_id: bytes, slot: Slot) -> None:
        """Forget where a chunk lies if that is what is noted.

        Without the lock: who notes another place at this moment loses it, which costs a miss.
        """
        place = self._place(chunk_id)
        bucket = os.pread(self._descriptor, BUCKET_BYTES, place)
        at = _find_tag(bucket, chunk_id[:TAG_BYTES])
        if at >= 0 and _SLOT.unpack_from(bucket, at)[1:] == astuple(slot):
            os.pwrite(self._descriptor, _EMPTY, place + at)

    def iter_slots(self) -> Iterator[tuple[bytes, Slot]]:
        """Yield the head of each chunk's id that is noted, and where it lies."""
        step = BUCKET_BYTES * _READ_BUCKETS
        for start in range(HEADER_BYTES, index_bytes_of(self.bucket_bits), step):
            content = os.pread(self._descriptor, step, start)
            if content.count(0) == len(content):
                continue
            usable = len(content) // SLOT_BYTES * SLOT_BYTES
            for tag, *where in _SLOT.iter_unpack(content[:usable]):
                if where[2]:
                    yield tag, Slot(*where)

    def _place(self, chunk_id: bytes) -> int:
        bucket = int.from_bytes(chunk_id[:TAG_BYTES]) >> self._shift
        return HEADER_BYTES + bucket * BUCKET_BYTES


def make_index(path: Path, header: Header, before: Index | None = None) -> Index:
    """Put an index in place, with what another one of another size notes; return it, open.

    Raises:
        OSError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(descriptor, _encode_header(header), 0)
        # Sparse: what no chunk needs takes no space.
        os.ftruncate(descriptor, index_bytes_of(header.bucket_bits))
    finally:
        os.close(descriptor)
    made = Index(new)
    if before is not None:
        for tag, slot in sorted(before.iter_slots(), key=lambda one: one[1].segment):
            made.insert(tag, slot)
    new.replace(path)
    made.path = path
    return made


def _encode_header(header: Header) -> bytes:
    content = _HEADER.pack(_MAGIC, *astuple(header), 0)[:-4]
    return content + zlib.crc32(content).to_bytes(4, "little")


def _find_tag(bucket: bytes, tag: bytes) -> int:
    """Return where a slot with this tag begins, or -1."""
    at = bucket.find(tag)
    while at >= 0 and at % SLOT_BYTES:
        at = bucket.find(tag, at + 1)
    return at if at <= BUCKET_BYTES - SLOT_BYTES and len(bucket) >= at + SLOT_BYTES else -1


assert _SLOT.size == SLOT_BYTES
assert _HEADER.size <= HEADER_BYTES
assert BUCKET_BYTES == BUCKET_SLOTS * SLOT_BYTES
