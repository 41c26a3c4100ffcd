"""The header of a GGUF file: what it says of the model, and where its tensors lie.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cas.tensors.element_types import GGML_TYPES
from cas.tensors.range_reader import (
    MAXIMUM_HEADER_BYTES,
    RangeReader,
    malformed,
    read_header,
    unsupported,
)
from cas.tensors.stored_tensor import StoredTensor, check_apart, check_count, check_shape

GGUF_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_FIRST_BYTES = 64 << 10
_MOST_AT_ONCE = 8 << 20
_MAXIMUM_NESTING = 4
_MAXIMUM_NAME = 1 << 16
_DEFAULT_ALIGNMENT = 32
_ALIGNMENT = "general.alignment"
_STRING, _ARRAY = 8, 9
_NUMBERS: dict[int, np.dtype] = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    7: np.dtype("|b1"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}


def parse_gguf(reader: RangeReader) -> tuple[list[StoredTensor], dict[str, Any]]:
    """Return the tensors of a file and its key-values; arrays of numbers are those of NumPy.

    Raises:
        InvalidInputError: it is no GGUF file.
        UnsupportedError: its version or a tensor's type is not known.
        CasError: it cannot be read.
    """
    cursor = _Cursor(reader)
    magic, version = cursor.take(4), cursor.integer(4)
    if magic != GGUF_MAGIC:
        raise malformed(reader.name, "it does not begin as a GGUF file does")
    if version not in _VERSIONS:
        raise unsupported(
            reader.name, f"GGUF of version {version} is not read, or its bytes are big-endian"
        )
    tensor_count, value_count = cursor.integer(8), cursor.integer(8)
    check_count(reader, tensor_count)
    check_count(reader, value_count)
    metadata: dict[str, Any] = {}
    for _ in range(value_count):
        key = cursor.text(_MAXIMUM_NAME)
        if key in metadata:
            raise malformed(reader.name, f"the key {key!r:.80} stands there twice")
        metadata[key] = _value(cursor, cursor.integer(4), _MAXIMUM_NESTING)
    listed = [_listed(cursor) for _ in range(tensor_count)]
    alignment = metadata.get(_ALIGNMENT, _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 30 or alignment % 8:
        raise malformed(reader.name, f"its alignment is {alignment!r:.40}")
    data_start = -(-cursor.position // alignment) * alignment
    tensors = [_tensor(reader, one, data_start, alignment) for one in listed]
    if len({one.name for one in tensors}) != len(tensors):
        raise malformed(reader.name, "two of its tensors have the same name")
    check_apart(reader, tensors)
    return tensors, metadata


class _Cursor:
    """Reads a header of unknown length from its start, in few reads that grow."""

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader
        self._content = memoryview(b"")
        self._start = 0  # of what is held
        self._at = 0
        self._ahead = _FIRST_BYTES

    @property
    def position(self) -> int:
        """Where the next byte stands in the file."""
        return self._start + self._at

    @property
    def left(self) -> int:
        """How much there can be at most."""
        return min(self._reader.size, MAXIMUM_HEADER_BYTES) - self.position

    def fail(self, what: str) -> Exception:
        """Return the error for a header that is wrong here."""
        return malformed(self._reader.name, f"{what}, at {self.position:,}")

    def take(self, length: int) -> memoryview:
        """Return the next bytes."""
        if length > len(self._content) - self._at:
            self._fetch(length)
        self._at += length
        return self._content[self._at - length : self._at]

    def integer(self, length: int) -> int:
        """Return the next integer without a sign."""
        return int.from_bytes(self.take(length), "little")

    def text(self, limit: int = MAXIMUM_HEADER_BYTES) -> str:
        """Return the next string, of up to `limit` bytes; bytes that are no UTF-8 are escaped."""
        length = self.integer(8)
        if length > limit:
            raise self.fail(f"a string has {length:,} bytes")
        return str(self.take(length), "utf-8", "surrogateescape")

    def _fetch(self, length: int) -> None:
        if length > self.left:
            raise self.fail(f"the header ends early, or takes over {MAXIMUM_HEADER_BYTES:,} bytes")
        start = self.position
        stop = min(self._reader.size, start + max(length, self._ahead))
        self._ahead = min(2 * self._ahead, _MOST_AT_ONCE)
        self._content = memoryview(read_header(self._reader, start, stop, "the header"))
        self._start, self._at = start, 0


def _value(cursor: _Cursor, kind: int, nesting: int) -> Any:
    number = _NUMBERS.get(kind)
    if number is not None:
        return np.frombuffer(cursor.take(number.itemsize), number)[0].item()
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY or not nesting:
        raise cursor.fail(f"a value of type {kind} is unknown or nested too deep")
    inner, count = cursor.integer(4), cursor.integer(8)
    number = _NUMBERS.get(inner)
    # What each takes at least: a string its length, an array its type and length.
    least = number.itemsize if number is not None else 8
    if count * least > cursor.left:
        raise cursor.fail(f"an array has {count:,} elements")
    if number is not None:
        return np.frombuffer(bytes(cursor.take(count * number.itemsize)), number)
    return [_value(cursor, inner, nesting - 1) for _ in range(count)]


def _listed(cursor: _Cursor) -> tuple[str, list[int], int, int]:
    """Return name, lengths (the fastest first), type and offset of a tensor."""
    name, dimensions = cursor.text(_MAXIMUM_NAME), cursor.integer(4)
    if 8 * dimensions > cursor.left:
        raise cursor.fail(f"tensor {name!r:.80} has {dimensions:,} dimensions")
    lengths = np.frombuffer(cursor.take(8 * dimensions), "<u8").tolist()
    return name, lengths, cursor.integer(4), cursor.integer(8)


def _tensor(
    reader: RangeReader, listed: tuple[str, list[int], int, int], data_start: int, alignment: int
) -> StoredTensor:
    name, lengths, kind, offset = listed
    element = GGML_TYPES.get(kind)
    if element is None:
        raise unsupported(reader.name, f"tensor {name!r} is of the type {kind}, unknown here")
    shape = check_shape(reader, name, lengths[::-1])
    # Blocks lie along rows: each row fills whole ones.
    row = element.bytes_of(shape[-1] if shape else 1)
    if row is None or offset % alignment:
        raise malformed(reader.name, f"tensor {name!r} is not aligned, or rows end within blocks")
    start = data_start + offset
    tensor = StoredTensor(
        path=reader.name, name=name, element=element, shape=shape, start=start, stop=start
    )
    stop = start + tensor.nbytes
    if stop > reader.size:
        raise malformed(reader.name, f"tensor {name!r} ends at {stop:,}, after the file's end")
    return replace(tensor, stop=stop)
