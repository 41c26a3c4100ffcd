"""Bytes as arrays of NumPy or tensors of PyTorch, without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.tensors.element_types import OBJECTS, ElementType
from cas.tensors.range_reader import unsupported
from cas.tensors.stored_tensor import StoredTensor

Bytes = NDArray[np.uint8]


class Framework(Protocol):
    """What arrays are made with."""

    def check(self, tensor: StoredTensor) -> None:
        """Refuse a tensor that cannot be an array here, before its bytes are read.

        Raises:
            UnsupportedError: its type is none of the framework's, or needs a package that is not
                installed.
        """

    def make(self, tensor: StoredTensor, raw: Bytes, shape: Sequence[int]) -> Any:
        """Return an array of this shape on `raw`: the tensor's, or some of its rows."""


def framework_of(name: str) -> Framework:
    """Return the framework of a name.

    Raises:
        InvalidInputError: there is none.
        UnsupportedError: it is not installed.
    """
    if name == "numpy":
        return NumpyArrays()
    if name == "torch":
        return TorchTensors()
    raise InvalidInputError(
        f"framework {name!r} is neither 'numpy' nor 'torch'", code=ErrorCode.INVALID_OPTION
    )


class NumpyArrays:
    """Arrays of NumPy. See `Framework`."""

    def check(self, tensor: StoredTensor) -> None:
        """Refuse a type that there is not."""
        self._dtype(tensor)

    def make(self, tensor: StoredTensor, raw: Bytes, shape: Sequence[int]) -> np.ndarray:
        """Return an array on `raw`."""
        order: Literal["F", "C"] = "F" if tensor.fortran else "C"
        return np.ndarray(shape, self._dtype(tensor), buffer=raw.data, order=order)

    @staticmethod
    def _dtype(tensor: StoredTensor) -> np.dtype:
        element = tensor.element
        if element.numpy is not None:
            return element.numpy
        if element.ml_dtypes is None:
            raise _blocks(tensor)
        found = extension_type(element)
        if found is None:
            # Never the bits as integers: they would pass for the numbers.
            raise UnsupportedError(
                f"{tensor.path}: tensor {tensor.name!r} is {element.name}, which NumPy lacks",
                code=ErrorCode.MISSING_EXTRA,
                hint='pip install ml_dtypes, or framework="torch", or .raw(name) for the bytes',
            )
        return found


class TorchTensors:
    """Tensors of PyTorch. See `Framework`."""

    def __init__(self) -> None:
        try:
            # It takes a second to import, and is no requirement of this library.
            self._torch: Any = import_module("torch")
        except ImportError as error:
            raise UnsupportedError(
                'framework="torch" needs PyTorch, which is not installed',
                code=ErrorCode.MISSING_EXTRA,
                hint="pip install torch",
            ) from error

    def check(self, tensor: StoredTensor) -> None:
        """Refuse a type that there is not."""
        self._dtype(tensor)

    def make(self, tensor: StoredTensor, raw: Bytes, shape: Sequence[int]) -> Any:
        """Return a tensor on `raw`, turned to this machine's order of bytes."""
        dtype = self._dtype(tensor)
        if not len(raw):  # PyTorch takes no empty buffer
            return self._torch.empty(tuple(shape), dtype=dtype)
        numpy = tensor.element.numpy
        if numpy is not None and not numpy.isnative:
            raw.view(numpy).byteswap(inplace=True)
        flat = self._torch.frombuffer(raw.data, dtype=dtype)
        if tensor.fortran:
            return flat.reshape(tuple(shape)[::-1]).permute(*range(len(shape))[::-1])
        return flat.reshape(tuple(shape))

    def _dtype(self, tensor: StoredTensor) -> Any:
        name = tensor.element.torch
        if name is None and tensor.element.numpy is None:
            raise _blocks(tensor)
        found = None if name is None else getattr(self._torch, name, None)
        if found is None:
            raise UnsupportedError(
                f"{tensor.path}: tensor {tensor.name!r} is {tensor.dtype}, which this PyTorch "
                f"({self._torch.__version__}) lacks",
                code=ErrorCode.UNSUPPORTED_FORMAT,
                hint='framework="numpy", or .raw(name) for the bytes',
            )
        return found


def extension_type(element: ElementType) -> np.dtype | None:
    """Return the type that the package `ml_dtypes` adds to NumPy, if that is installed."""
    try:
        module = import_module("ml_dtypes")  # optional
        found: np.dtype = np.dtype(getattr(module, element.ml_dtypes or ""))
    except (ImportError, AttributeError):
        return None
    return found


def _blocks(tensor: StoredTensor) -> UnsupportedError:
    element = tensor.element
    if element is OBJECTS:
        return unsupported(
            tensor.path,
            f"{tensor.name!r} holds Python objects, which only pickle reads, and pickle runs what "
            f"a file says",
            hint="save numbers, strings or fields: array.astype(...)",
        )
    return UnsupportedError(
        f"{tensor.path}: tensor {tensor.name!r} is {element.name}: {element.block_elements} "
        f"elements share {element.block_bytes} bytes, so there is no array of them",
        code=ErrorCode.UNSUPPORTED_FORMAT,
        hint=".raw(name) gives the bytes as they stand in the file",
    )
