"""What the elements of tensors are, and what NumPy and PyTorch call them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementType:
    """A type of elements, which are stored `block_elements` at once in `block_bytes` bytes.

    Attributes:
        name: as safetensors names it; what other formats alone have, as they do.
        numpy: NumPy's own type for it; None if it has none.
        ml_dtypes: the name of the type in the package `ml_dtypes`, for what NumPy lacks.
        torch: the name of the type in PyTorch.
    """

    name: str
    block_bytes: int
    block_elements: int = 1
    numpy: np.dtype | None = None
    ml_dtypes: str | None = None
    torch: str | None = None

    def bytes_of(self, elements: int) -> int | None:
        """Return how many bytes elements take, or None if they fill no whole blocks."""
        blocks, rest = divmod(elements, self.block_elements)
        return None if rest else blocks * self.block_bytes


def _plain(name: str, numpy: str, torch: str | None) -> ElementType:
    dtype = np.dtype(numpy)
    return ElementType(name=name, block_bytes=dtype.itemsize, numpy=dtype, torch=torch)


def _extended(name: str, size: int, ml_dtypes: str, torch: str | None) -> ElementType:
    return ElementType(name=name, block_bytes=size, ml_dtypes=ml_dtypes, torch=torch)


def _blocks(name: str, elements: int, size: int) -> ElementType:
    return ElementType(name=name, block_elements=elements, block_bytes=size)


_EVERY = (
    _plain("BOOL", "|b1", "bool"),
    _plain("U8", "|u1", "uint8"),
    _plain("I8", "|i1", "int8"),
    _plain("U16", "<u2", "uint16"),
    _plain("I16", "<i2", "int16"),
    _plain("F16", "<f2", "float16"),
    _plain("U32", "<u4", "uint32"),
    _plain("I32", "<i4", "int32"),
    _plain("F32", "<f4", "float32"),
    _plain("U64", "<u8", "uint64"),
    _plain("I64", "<i8", "int64"),
    _plain("F64", "<f8", "float64"),
    _plain("C64", "<c8", "complex64"),
    _plain("C128", "<c16", "complex128"),
    _extended("BF16", 2, "bfloat16", "bfloat16"),
    _extended("F8_E4M3", 1, "float8_e4m3fn", "float8_e4m3fn"),
    _extended("F8_E4M3FNUZ", 1, "float8_e4m3fnuz", "float8_e4m3fnuz"),
    _extended("F8_E5M2", 1, "float8_e5m2", "float8_e5m2"),
    _extended("F8_E5M2FNUZ", 1, "float8_e5m2fnuz", "float8_e5m2fnuz"),
    _extended("F8_E8M0", 1, "float8_e8m0fnu", "float8_e8m0fnu"),
    # Several elements share a byte, which no array has.
    _blocks("F4", 2, 1),
    _blocks("F6_E2M3", 4, 3),
    _blocks("F6_E3M2", 4, 3),
)
ELEMENT_TYPES = {element.name: element for element in _EVERY}
_BY_NUMPY = {
    element.numpy.newbyteorder("<"): element for element in _EVERY if element.numpy is not None
}

# What only pickle reads, byte by byte.
OBJECTS = ElementType(name="objects", block_bytes=1)

# Those of GGUF by number. Quantised ones are blocks with their own scales.
GGML_TYPES = {
    0: ELEMENT_TYPES["F32"],
    1: ELEMENT_TYPES["F16"],
    2: _blocks("Q4_0", 32, 18),
    3: _blocks("Q4_1", 32, 20),
    6: _blocks("Q5_0", 32, 22),
    7: _blocks("Q5_1", 32, 24),
    8: _blocks("Q8_0", 32, 34),
    9: _blocks("Q8_1", 32, 40),
    10: _blocks("Q2_K", 256, 84),
    11: _blocks("Q3_K", 256, 110),
    12: _blocks("Q4_K", 256, 144),
    13: _blocks("Q5_K", 256, 176),
    14: _blocks("Q6_K", 256, 210),
    15: _blocks("Q8_K", 256, 292),
    16: _blocks("IQ2_XXS", 256, 66),
    17: _blocks("IQ2_XS", 256, 74),
    18: _blocks("IQ3_XXS", 256, 98),
    19: _blocks("IQ1_S", 256, 50),
    20: _blocks("IQ4_NL", 32, 18),
    21: _blocks("IQ3_S", 256, 110),
    22: _blocks("IQ2_S", 256, 82),
    23: _blocks("IQ4_XS", 256, 136),
    24: ELEMENT_TYPES["I8"],
    25: ELEMENT_TYPES["I16"],
    26: ELEMENT_TYPES["I32"],
    27: ELEMENT_TYPES["I64"],
    28: ELEMENT_TYPES["F64"],
    29: _blocks("IQ1_M", 256, 56),
    30: ELEMENT_TYPES["BF16"],
    34: _blocks("TQ1_0", 256, 54),
    35: _blocks("TQ2_0", 256, 66),
    39: _blocks("MXFP4", 32, 17),
    40: _blocks("NVFP4", 64, 36),
    41: _blocks("Q1_0", 128, 18),
}


def element_of(dtype: np.dtype) -> ElementType:
    """Return what a type of NumPy is here: its own name, where the other formats have none."""
    known = _BY_NUMPY.get(dtype.newbyteorder("<")) if dtype.names is None else None
    name = known.name if known else str(dtype)
    torch = known.torch if known else None
    return ElementType(name=name, block_bytes=dtype.itemsize, numpy=dtype, torch=torch)
