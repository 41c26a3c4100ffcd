"""The header of a `.npy` file, without which nothing is unpickled.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

import numpy as np

from cas.tensors.element_types import OBJECTS, element_of
from cas.tensors.range_reader import RangeReader, malformed, read_header
from cas.tensors.stored_tensor import StoredTensor, check_shape

NPY_MAGIC = b"\x93NUMPY"
FIRST_BYTES = 256  # the headers of nearly all arrays end at 128
# Python's parser is given no more; the longest headers are those of wide tables.
_MAXIMUM_LITERAL = 64 << 10
_MAXIMUM_NESTING = 8
_TYPE = re.compile(r"[<>|=]?[biufcSUVmMO](\d{0,9})(\[\d{0,9}[a-zA-Zμ]{1,3}\])?")
_KEYS = {"descr", "fortran_order", "shape"}


def parse_npy(reader: RangeReader, name: str) -> StoredTensor:
    """Return the array of a file, called `name`; of objects of Python, their bytes.

    Raises:
        InvalidInputError: it is no `.npy` file.
        CasError: it cannot be read.
    """
    start = reader.read(0, min(FIRST_BYTES, reader.size))
    version, width = start[6:8], 2 if start[6:7] == b"\1" else 4
    if start[:6] != NPY_MAGIC or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise malformed(reader.name, "it does not begin as a .npy file of version 1, 2 or 3 does")
    length = int.from_bytes(start[8 : 8 + width], "little")
    data_start = 8 + width + length
    if length > _MAXIMUM_LITERAL:
        raise malformed(reader.name, f"its header takes {length:,} bytes, which is too many")
    if len(start) < data_start:
        start += read_header(reader, len(start), data_start, "the header")
    text = start[8 + width : data_start]
    fields = _parse_literal(reader.name, text, "utf-8" if version == b"\3\0" else "latin-1")
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise malformed(reader.name, "its header is no map of descr, fortran_order and shape")
    if not isinstance(fields["fortran_order"], bool) or not isinstance(fields["shape"], tuple):
        raise malformed(reader.name, "fortran_order is no bool or shape no tuple")
    shape = check_shape(reader, name, fields["shape"])
    dtype = _parse_type(reader.name, fields["descr"])
    element = element_of(dtype)
    if dtype.hasobject:
        element, shape = OBJECTS, (reader.size - data_start,)
    tensor = StoredTensor(
        path=reader.name,
        name=name,
        element=element,
        shape=shape,
        start=data_start,
        stop=data_start,
        fortran=fields["fortran_order"],
    )
    return _with_bytes(reader, tensor)


def _with_bytes(reader: RangeReader, tensor: StoredTensor) -> StoredTensor:
    """Bytes after the array are others' business: several arrays may stand one after another."""
    nbytes = tensor.element.block_bytes * tensor.elements
    if tensor.start + nbytes > reader.size:
        raise malformed(
            reader.name,
            f"{tensor.dtype} {list(tensor.shape)} takes {nbytes:,} bytes, "
            f"and {reader.size - tensor.start:,} follow the header",
        )
    return replace(tensor, stop=tensor.start + nbytes)


def _parse_literal(name: str, content: bytes, encoding: str) -> Any:
    try:
        text = content.decode(encoding)
        try:
            return ast.literal_eval(text)
        except SyntaxError:
            return ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text))  # Python 2 wrote 10L
    # The parser says so too when brackets are nested too deep.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise malformed(name, f"its header cannot be read: {str(error)[:80]}") from error


def _parse_type(name: str, descr: Any) -> np.dtype:
    _check_type(name, descr, _MAXIMUM_NESTING)
    try:
        dtype = np.lib.format.descr_to_dtype(descr)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise malformed(name, f"its type {descr!r:.80} is none") from error
    return dtype


def _check_type(name: str, descr: Any, depth: int) -> None:
    """NumPy takes far more for a type than it writes, and finds out late what is none."""
    if isinstance(descr, str) and _TYPE.fullmatch(descr):
        return
    if depth and isinstance(descr, tuple) and len(descr) == 2 and _is_shape(descr[1]):
        _check_type(name, descr[0], depth - 1)
        return
    if depth and isinstance(descr, list) and descr:
        for field in descr:
            if not isinstance(field, tuple) or len(field) not in (2, 3):
                break
            if len(field) == 3 and not _is_shape(field[2]):
                break
            _check_type(name, field[1], depth - 1)
        else:
            return
    raise malformed(name, f"its type {descr!r:.80} is none")


def _is_shape(value: Any) -> bool:
    lengths = value if isinstance(value, tuple) else (value,)
    return len(lengths) <= _MAXIMUM_NESTING and all(
        isinstance(length, int) and 0 <= length < 1 << 31 for length in lengths
    )
