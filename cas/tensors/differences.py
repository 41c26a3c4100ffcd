"""By how much two tensors of one type and shape differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cas.tensors.arrays import Bytes, extension_type
from cas.tensors.element_types import ElementType
from cas.tensors.stored_tensor import StoredTensor

_WORDS = (1, 2, 4, 8)


@dataclass(slots=True)
class Difference:
    """What was found so far: elements whose bytes differ (of blocks, all of a block's), and the
    largest difference between two finite numbers, None if there is none.
    """

    changed_elements: int = 0
    largest: float | None = None

    def add(self, element: ElementType, old: Bytes, new: Bytes) -> None:
        """Compare whole elements, as many of the one as of the other."""
        size = element.block_bytes
        if not size or not len(old):
            return
        word = np.dtype(f"u{size}") if size in _WORDS else np.dtype(("V", size))
        if word.kind == "u":
            rows = (old.view(word) != new.view(word)).nonzero()[0]
        else:
            rows = (old.reshape(-1, size) != new.reshape(-1, size)).any(axis=1).nonzero()[0]
        if not len(rows):
            return
        self.changed_elements += len(rows) * element.block_elements
        before = _numbers(element, old.view(word)[rows])
        after = _numbers(element, new.view(word)[rows])
        if before is None or after is None:
            return
        with np.errstate(all="ignore"):
            distances = np.abs(before - after)
        distances = distances[np.isfinite(distances)]
        if len(distances):
            self.largest = max(self.largest or 0.0, float(distances.max()))


def canonical(tensor: StoredTensor, raw: Bytes) -> Bytes:
    """Return a tensor's bytes in C order and little-endian, so that equal ones are equal bytes."""
    dtype = tensor.element.numpy
    if dtype is None or not len(raw):
        return raw
    array: np.ndarray = np.ndarray(
        tensor.shape, dtype, buffer=raw.data, order="F" if tensor.fortran else "C"
    )
    plain = np.ascontiguousarray(array, dtype.newbyteorder("<"))
    return np.frombuffer(plain.tobytes(), np.uint8)


def _numbers(element: ElementType, words: np.ndarray) -> NDArray[np.float64] | np.ndarray | None:
    """Return elements as numbers that can be subtracted, or None if they are none."""
    if element.name == "BF16":
        return (words.astype("<u4") << 16).view("<f4").astype(np.float64)
    dtype = element.numpy if element.ml_dtypes is None else extension_type(element)
    if dtype is None:
        return None
    if element.ml_dtypes is not None:
        return words.view(dtype).astype(np.float64)
    dtype = dtype.newbyteorder("<")
    if dtype.kind in "fiu":
        return words.view(dtype).astype(np.float64)
    return words.view(dtype).astype(np.complex128) if dtype.kind == "c" else None
