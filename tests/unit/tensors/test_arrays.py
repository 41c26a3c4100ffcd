"""Bytes as arrays: types that NumPy lacks, and what is told when a package is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from written_tensors import MemoryFiles, safetensors_of

from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.tensors.shards import open_tensors

ONES = {"BF16": b"\x80\x3f", "F8_E4M3": b"\x38", "F8_E5M2": b"\x3c", "F8_E8M0": b"\x7f"}


def of_type(dtype):
    content = ONES[dtype] * 3
    head = {"a": {"dtype": dtype, "shape": [3], "data_offsets": [0, len(content)]}}
    return MemoryFiles(model=safetensors_of(head, content))


@pytest.mark.parametrize("dtype", sorted(ONES))
def test_types_that_numpy_lacks_are_those_of_ml_dtypes(dtype):
    """Numbers, not their bits."""
    pytest.importorskip("ml_dtypes")

    array = open_tensors(of_type(dtype), "model", "numpy")["a"]

    assert array.astype(np.float32).tolist() == [1, 1, 1]
    assert array.flags.writeable


@pytest.mark.parametrize("dtype", sorted(ONES))
def test_without_ml_dtypes_nothing_is_passed_off_as_numbers(dtype, monkeypatch):
    """The error says what to install, and what else there is; nothing is read."""
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    files = of_type(dtype)
    tensors = open_tensors(files, "model", "numpy")
    before = len(files.reads)

    with pytest.raises(UnsupportedError, match=dtype) as raised:
        tensors["a"]

    assert raised.value.code is ErrorCode.MISSING_EXTRA
    assert "pip install ml_dtypes" in (raised.value.hint or "")
    assert 'framework="torch"' in (raised.value.hint or "")
    assert len(files.reads) == before
    assert tensors.raw("a").tobytes() == ONES[dtype] * 3


def test_without_torch_the_error_says_what_to_install(monkeypatch):
    """Before anything is read."""
    monkeypatch.setitem(sys.modules, "torch", None)
    files = of_type("BF16")

    with pytest.raises(UnsupportedError, match="PyTorch") as raised:
        open_tensors(files, "model", "torch")

    assert raised.value.code is ErrorCode.MISSING_EXTRA
    assert raised.value.hint == "pip install torch"
    assert files.reads == []


def test_a_framework_that_there_is_not_is_refused():
    """By its name."""
    with pytest.raises(InvalidInputError, match="'jax'"):
        open_tensors(of_type("BF16"), "model", "jax")


def test_elements_that_share_bytes_are_raw_only():
    """As four bits each are."""
    head = {"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}
    tensors = open_tensors(MemoryFiles(model=safetensors_of(head, b"12")), "model", "numpy")

    with pytest.raises(UnsupportedError, match="F4: 2 elements share 1 bytes"):
        tensors["a"]

    assert tensors.raw("a").tobytes() == b"12"
