"""The header of a safetensors file: eight bytes of length, then JSON.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
from typing import Any

from cas.tensors.element_types import ELEMENT_TYPES
from cas.tensors.range_reader import (
    MAXIMUM_HEADER_BYTES,
    RangeReader,
    malformed,
    read_header,
    unsupported,
)
from cas.tensors.stored_tensor import StoredTensor, check_count, check_numbers, check_shape

_LENGTH_BYTES = 8
# Enough for the headers of most files, so that one read is.
_FIRST_BYTES = 64 << 10
_METADATA = "__metadata__"


def is_safetensors(start: bytes) -> bool:
    """Tell whether a file begins as this format does."""
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    return length <= MAXIMUM_HEADER_BYTES and start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def parse_safetensors(reader: RangeReader) -> tuple[list[StoredTensor], dict[str, Any]]:
    """Return the tensors of a file in the order of their bytes, and what it says of itself.

    Raises:
        InvalidInputError: it is no safetensors file.
        UnsupportedError: a tensor's type is not known.
        CasError: it cannot be read.
    """
    start = reader.read(0, min(_FIRST_BYTES, reader.size))
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    data_start = _LENGTH_BYTES + length
    if len(start) < _LENGTH_BYTES or data_start > reader.size or length > MAXIMUM_HEADER_BYTES:
        raise malformed(reader.name, f"a header of {length:,} bytes does not fit or is too long")
    if len(start) < data_start:
        start += read_header(reader, len(start), data_start, "the header")
    fields = parse_json(reader.name, start[_LENGTH_BYTES:data_start])
    metadata = fields.pop(_METADATA, {})
    check_count(reader, len(fields))
    if not isinstance(metadata, dict):
        raise malformed(reader.name, f"{_METADATA} is no map")
    tensors = [_tensor(reader, name, field, data_start) for name, field in fields.items()]
    tensors.sort(key=lambda one: (one.start, one.stop))
    _check_covered(reader, tensors, data_start)
    return tensors, metadata


def parse_json(name: str, content: bytes) -> dict[str, Any]:
    """Return a JSON object no key of which stands twice.

    Raises:
        InvalidInputError: it is none.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a key stands there twice")
        return made

    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise malformed(name, f"its JSON cannot be read: {str(error)[:80]}") from error
    if not isinstance(value, dict):
        raise malformed(name, "its JSON is no object")
    return value


def _tensor(reader: RangeReader, name: str, field: Any, data_start: int) -> StoredTensor:
    if not isinstance(field, dict):
        raise malformed(reader.name, f"tensor {name!r} is not described by a map")
    dtype, shape, offsets = (field.get(key) for key in ("dtype", "shape", "data_offsets"))
    element = ELEMENT_TYPES.get(dtype) if isinstance(dtype, str) else None
    if element is None:
        raise unsupported(
            reader.name, f"tensor {name!r} is of the type {dtype!r:.40}, which is unknown here"
        )
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        raise malformed(reader.name, f"tensor {name!r} has no shape or no two offsets")
    lengths = check_shape(reader, name, shape)
    begin, end = check_numbers(reader, name, offsets)
    tensor = StoredTensor(
        path=reader.name,
        name=name,
        element=element,
        shape=lengths,
        start=data_start + begin,
        stop=data_start + end,
    )
    if element.bytes_of(tensor.elements) != end - begin:
        raise malformed(
            reader.name,
            f"tensor {name!r} has {end - begin:,} bytes, not those of {dtype} {list(lengths)}",
        )
    return tensor


def _check_covered(reader: RangeReader, tensors: list[StoredTensor], data_start: int) -> None:
    """Every byte after the header belongs to one tensor; else two readers could differ on it."""
    at = data_start
    for tensor in tensors:
        if tensor.start != at:
            raise malformed(
                reader.name, f"tensor {tensor.name!r} leaves a gap, or overlaps another"
            )
        at = tensor.stop
    if at != reader.size:
        raise malformed(reader.name, f"its tensors end at {at:,}, the file at {reader.size:,}")
