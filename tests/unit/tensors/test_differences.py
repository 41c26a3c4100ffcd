"""By how much tensors differ: elements, and the largest distance between finite numbers."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from cas.tensors.differences import Difference
from cas.tensors.element_types import ELEMENT_TYPES, GGML_TYPES, element_of


def compared(element, old, new):
    found = Difference()
    found.add(element, *(np.frombuffer(side, np.uint8) for side in (old, new)))
    return found.changed_elements, found.largest


@pytest.mark.parametrize("name", ["U8", "I16", "F16", "F32", "F64", "I64", "U64", "C64"])
def test_numbers_are_counted_and_measured(name):
    """Of every kind that can be subtracted."""
    element = ELEMENT_TYPES[name]
    old = np.array([1, 2, 3, 4]).astype(element.numpy)
    new = np.array([1, 7, 3, 5]).astype(element.numpy)

    assert compared(element, old.tobytes(), new.tobytes()) == (2, 5.0)


def test_half_of_a_float_needs_no_package(monkeypatch):
    """BF16 is the upper half of F32."""
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)

    assert compared(ELEMENT_TYPES["BF16"], b"\x80\x3f\x80\x3f", b"\x80\x3f\x00\x40") == (1, 1.0)
    assert compared(ELEMENT_TYPES["F8_E4M3"], b"\x38\x38", b"\x38\x40") == (1, None)


def test_eight_bits_are_measured_with_the_package():
    """It knows what they mean."""
    pytest.importorskip("ml_dtypes")

    assert compared(ELEMENT_TYPES["F8_E4M3"], b"\x38\x38", b"\x38\x40") == (1, 1.0)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_distance(odd):
    """It is counted all the same."""
    old, new = np.array([1.0, 2.0, 3.0]), np.array([odd, 2.0, 3.5])

    assert compared(ELEMENT_TYPES["F64"], old.tobytes(), new.tobytes()) == (2, 0.5)
    assert compared(ELEMENT_TYPES["F64"], old[:1].tobytes(), new[:1].tobytes()) == (1, None)


def test_blocks_records_and_truths_are_counted():
    """All elements of a block that differs; no distance."""
    record = element_of(np.dtype([("a", "<i4"), ("b", "<f8")]))

    assert compared(GGML_TYPES[8], bytes(68), bytes(67) + b"1") == (32, None)
    assert compared(record, bytes(24), bytes(20) + b"1234") == (1, None)
    assert compared(ELEMENT_TYPES["BOOL"], b"\0\1", b"\1\1") == (1, None)
