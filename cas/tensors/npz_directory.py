"""The arrays of a `.npz` file, which is a ZIP archive of `.npy` files, stored or deflated."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cas.errors import CasError
from cas.tensors.npy_header import FIRST_BYTES, parse_npy
from cas.tensors.range_reader import (
    RangeReader,
    malformed,
    pickled,
    unsupported,
)
from cas.tensors.stored_tensor import Deflated, StoredTensor, check_apart, check_count

_SUFFIX = ".npy"
_PICKLE_SUFFIX = ".pkl"
# Python keeps ten times as much for what a directory lists.
_MAXIMUM_DIRECTORY = 16 << 20
_HEAD_BYTES = 30  # before a member's own name and extra fields
_ENCRYPTED = 0x1
# No deflated stream says more with fewer bytes.
_MOST_A_BYTE = 1032


def parse_npz(reader: RangeReader) -> list[StoredTensor]:
    """Return the arrays of a file; members that are none are left out.

    Raises:
        InvalidInputError: it is no `.npz` file.
        UnsupportedError: it is encrypted or compressed otherwise.
        CasError: it cannot be read.
    """
    listed = _directory(reader)
    members = [one for one in listed if one.filename.endswith(_SUFFIX)]
    if not members and any(one.filename.endswith(_PICKLE_SUFFIX) for one in listed):
        raise pickled(reader.name)  # as PyTorch saves
    check_count(reader, len(members))
    if len({one.filename for one in members}) != len(members):
        raise malformed(reader.name, "two of its members have the same name")
    for one in members:
        _check_member(reader, one)
    spans = [_head_span(reader, one) for one in members]
    heads = reader.read_each(spans)
    tensors = [_tensor(reader, *one) for one in zip(members, heads, strict=True)]
    check_apart(reader, tensors)
    return tensors


def inflate(name: str, content: memoryview, deflated: Deflated, buffer: memoryview) -> None:
    """Put what compressed bytes hold behind `deflated.skip` others into a buffer.

    Raises:
        InvalidInputError: they hold anything else than was told.
    """
    # One byte more than there should be shows a stream that goes on.
    raw = _inflate(name, content, deflated.size + 1)
    if len(raw) != deflated.size or zlib.crc32(raw) != deflated.crc:
        raise malformed(name, "a compressed member is not what the archive's directory says")
    buffer[:] = raw[deflated.skip : deflated.skip + len(buffer)]


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of the archive. See `RangeReader`; `size` is not compressed."""

    archive: RangeReader
    name: str
    size: int
    start: int
    stop: int
    is_deflated: bool
    first: bytes

    def read(self, start: int, stop: int) -> bytes:
        if not self.is_deflated:
            if stop <= len(self.first):
                return self.first[start:stop]
            return self.archive.read(self.start + start, self.start + stop)
        # What is asked for are headers, so what lies before is short; it takes at most
        # a little more when compressed.
        content = self.first
        if stop > FIRST_BYTES:
            content = self.archive.read(self.start, min(self.stop, self.start + 2 * stop + 1024))
        raw = _inflate(self.name, content, stop)
        if len(raw) < stop:
            raise malformed(self.name, "it is shorter than the archive's directory says")
        return raw[start:stop]

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.read(start, stop) for start, stop in ranges]


class _RangeFile(io.RawIOBase):
    """The archive as `zipfile` wants it: a file, of which it may not take too much at once."""

    def __init__(self, reader: RangeReader) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}
        if bases[whence] + offset < 0:
            raise OSError("before the start")  # what zipfile expects of a short file
        self._position = bases[whence] + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        start = min(self._position, self._reader.size)
        left = self._reader.size - start
        stop = start + (left if size is None or size < 0 else min(size, left))
        if stop - start > _MAXIMUM_DIRECTORY:
            raise malformed(self._reader.name, f"its directory takes {stop - start:,} bytes")
        content = self._reader.read(start, stop)
        self._position = start + len(content)
        return content


def _directory(reader: RangeReader) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(_RangeFile(reader)) as archive:
            return list(archive.infolist())
    except CasError:
        raise
    # What the module raises for hostile archives is more than it documents.
    except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OSError) as error:
        raise malformed(reader.name, f"its directory cannot be read: {error!s:.80}") from error


def _check_member(reader: RangeReader, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise unsupported(reader.name, f"{member.filename!r} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise unsupported(reader.name, f"{member.filename!r} is compressed, but not by deflate")
    is_stored = member.compress_type == zipfile.ZIP_STORED
    if is_stored and member.file_size != member.compress_size:
        raise malformed(reader.name, f"{member.filename!r} is stored in two sizes")
    if member.file_size > _MOST_A_BYTE * (member.compress_size + 1):
        raise malformed(
            reader.name,
            f"{member.filename!r} cannot hold {member.file_size:,} bytes in "
            f"{member.compress_size:,}",
        )


def _head_span(reader: RangeReader, member: zipfile.ZipInfo) -> tuple[int, int]:
    """What to read of a member first: its local header and, most likely, that of the array."""
    start = member.header_offset
    if not 0 <= start <= reader.size - _HEAD_BYTES:
        raise malformed(reader.name, f"{member.filename!r} begins after the end")
    likely = _HEAD_BYTES + 4 * len(member.filename) + 128 + 2 * FIRST_BYTES
    return start, min(reader.size, start + likely)


def _tensor(reader: RangeReader, member: zipfile.ZipInfo, head: bytes) -> StoredTensor:
    if head[:4] != b"PK\3\4":
        raise malformed(reader.name, f"{member.filename!r} does not begin where it should")
    lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    start = member.header_offset + _HEAD_BYTES + lengths
    stop = start + member.compress_size
    if stop > reader.size:
        raise malformed(reader.name, f"{member.filename!r} ends after the end of the file")
    name = member.filename.removesuffix(_SUFFIX)
    first = head[_HEAD_BYTES + lengths :][: member.compress_size]
    if len(first) < min(FIRST_BYTES, member.compress_size):
        first = reader.read(start, min(stop, start + 2 * FIRST_BYTES))
    is_deflated = member.compress_type == zipfile.ZIP_DEFLATED
    label = f"{reader.name}: {member.filename}"
    inner = _Member(reader, label, member.file_size, start, stop, is_deflated, first)
    array = parse_npy(inner, name)
    if not is_deflated:
        return replace(array, path=reader.name, start=start + array.start, stop=start + array.stop)
    deflated = Deflated(array.start, member.file_size, member.CRC)
    return replace(array, path=reader.name, start=start, stop=stop, deflated=deflated)


def _inflate(name: str, content: bytes | memoryview, most: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, most)
    except zlib.error as error:
        raise malformed(name, f"its compressed bytes cannot be read: {error!s:.80}") from error
