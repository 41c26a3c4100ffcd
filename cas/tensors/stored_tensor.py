"""Where a tensor lies in its file, and the checks that all formats share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cas.tensors.element_types import ElementType
from cas.tensors.range_reader import (
    MAXIMUM_DIMENSIONS,
    MAXIMUM_TENSORS,
    RangeReader,
    malformed,
)


@dataclass(frozen=True, slots=True)
class Deflated:
    """A tensor's bytes are compressed: they come out after `skip` others of `size` in all, whose
    checksum is `crc`.
    """

    skip: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor as the header of its file tells: type, shape, and the bytes of the file it takes.

    Attributes:
        path: the file.
        name: the tensor's name there.
        element: what its elements are.
        shape: its lengths, the slowest first.
        start: where its bytes begin in the file.
        stop: where they end.
        fortran: whether the first dimension is the fastest.
        deflated: set if those bytes are compressed.
    """

    path: str
    name: str
    element: ElementType
    shape: tuple[int, ...]
    start: int
    stop: int
    fortran: bool = False
    deflated: Deflated | None = None

    @property
    def dtype(self) -> str:
        """The type of its elements: `F32`, `BF16`, `Q4_K` and so on."""
        return self.element.name

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements, not compressed."""
        return self.element.bytes_of(self.elements) or 0


def check_shape(reader: RangeReader, name: str, shape: Sequence[object]) -> tuple[int, ...]:
    """Return a shape that arrays can have.

    Raises:
        InvalidInputError: it is none.
    """
    if len(shape) > MAXIMUM_DIMENSIONS:
        raise malformed(reader.name, f"tensor {name!r} has {len(shape)} dimensions")
    lengths = check_numbers(reader, name, shape)
    # NumPy counts the strides of empty arrays, too; 64 bytes are more than most elements take.
    if math.prod(length for length in lengths if length) >= 1 << 57:
        raise malformed(reader.name, f"tensor {name!r} has more elements than any memory")
    return lengths


def check_numbers(reader: RangeReader, name: str, numbers: Sequence[object]) -> tuple[int, ...]:
    """Return what must be integers that are not negative: lengths, offsets.

    Raises:
        InvalidInputError: one is not.
    """
    checked: list[int] = []
    for number in numbers:
        # True is an int to Python.
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise malformed(
                reader.name, f"tensor {name!r} has a length or offset of {number!r:.40}"
            )
        checked.append(number)
    return tuple(checked)


def check_count(reader: RangeReader, count: int) -> None:
    """Refuse more tensors than any model has.

    Raises:
        InvalidInputError: there are more.
    """
    if count > MAXIMUM_TENSORS:
        raise malformed(reader.name, f"it has {count:,} tensors, which is too many")


def check_apart(reader: RangeReader, tensors: Iterable[StoredTensor]) -> None:
    """Refuse tensors that share bytes: few bytes would then fill any memory.

    Raises:
        InvalidInputError: some do.
    """
    end, before = 0, ""
    for tensor in sorted(tensors, key=lambda one: (one.start, one.stop)):
        if tensor.start < end and tensor.stop > tensor.start:
            raise malformed(reader.name, f"tensors {before!r} and {tensor.name!r} overlap")
        if tensor.stop > end:
            end, before = tensor.stop, tensor.name
