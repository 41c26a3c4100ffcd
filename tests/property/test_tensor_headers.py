"""Files of tensors are read or refused, whatever their bytes: no other error, no endless memory."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_bytes import mutated
from written_tensors import MemoryFiles, gguf_of, gguf_text, npy_of, safetensors_of

from cas.errors import InvalidInputError, UnsupportedError
from cas.tensors.shards import open_tensors

many = settings(max_examples=150, deadline=None)
ARRAYS = {"a": np.arange(6, dtype=">i4").reshape(2, 3), "b": np.array([(1, 2.0)], "i2,f8")}
WORDS = struct.pack("<IQ", 8, 2) + gguf_text("one") + gguf_text("two")
EXTREMES = [b"\0" * 4, b"\xff" * 4, b"\xff" * 8, b"\0\0\0\x80", b"\xff\xff\xff\x7f"]


def archive(save):
    file = io.BytesIO()
    save(file, **ARRAYS)
    return file.getvalue()


def plain(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


SEEDS = {
    "safetensors": [
        safetensors_of(
            {
                "__metadata__": {"format": "np"},
                "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
                "b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]},
            },
            bytes(10),
        )
    ],
    "npy": [plain(array) for array in ARRAYS.values()],
    "npz": [archive(np.savez), archive(np.savez_compressed)],
    "gguf": [
        gguf_of(
            [("general.alignment", 4, struct.pack("<I", 32)), ("words", 9, WORDS), ("x", 7, b"\1")],
            [("a", [2, 2], 0, 0), ("q", [32], 8, 32)],
            bytes(32 + 34),
        )
    ],
}


def survive(content):
    """Open a file and read what can be read of it, never more bytes than it may hold; tell whether
    it was read, or refused by name.
    """
    files = MemoryFiles(file=content)
    try:
        tensors = open_tensors(files, "file", "numpy")
        for name in tensors:
            spec = tensors.describe(name)
            assert spec.nbytes <= 1032 * (len(content) + 1)
            assert tensors.raw(name).nbytes == spec.nbytes
            if spec.element.block_elements == 1:
                tensors.get_slice(name)[...]
    except (InvalidInputError, UnsupportedError) as refused:
        return "file" in str(refused)
    return True


@st.composite
def mutated_or_cut(draw, seeds):
    """A seed with a few bytes changed, dropped, repeated or put in, or cut."""
    content = draw(mutated(seeds, EXTREMES))
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_seeds_are_whole_files(name):
    """Mutation begins behind the checks, not in front of them."""
    for seed in SEEDS[name]:
        assert open_tensors(MemoryFiles(file=seed), "file", "numpy")


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_mutated_files_are_read_or_refused(name):
    """By an error that names the file, and with no more memory than the file may ask for."""

    @many
    @given(mutated_or_cut(SEEDS[name]))
    def run(content):
        assert survive(content)

    run()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELD = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "U8", "F4", "BF16", "BOOL"]) | JSON,
        "shape": st.lists(st.integers(-1, 5) | st.integers(0, 2**66), max_size=4) | JSON,
        "data_offsets": st.lists(st.integers(0, 20), max_size=3) | JSON,
    },
)


@many
@given(st.dictionaries(st.text(max_size=5) | st.just("__metadata__"), FIELD | JSON, max_size=3))
def test_any_json_is_read_or_refused_as_a_header(fields):
    """Of safetensors."""
    assert survive(safetensors_of(fields, bytes(16)))


LITERAL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text("<>|=OiufcSUVmMb0123456789[]nsD,", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.lists(st.tuples(st.text(max_size=3), inner), max_size=3)
    ),
    max_leaves=8,
)


@many
@given(LITERAL, LITERAL | st.booleans(), st.lists(st.integers(0, 5), max_size=4).map(tuple))
def test_any_literal_is_read_or_refused_as_a_header(descr, order, shape):
    """Of an array of NumPy."""
    text = repr({"descr": descr, "fortran_order": order, "shape": shape})

    assert survive(npy_of(text, bytes(64), version=(3, 0)))


@many
@given(st.binary(max_size=200))
def test_noise_is_refused(content):
    """Behind each magic number, too."""
    for magic in (b"", b"\x93NUMPY\1\0", b"GGUF\3\0\0\0", b"PK\3\4", b"\x20\0\0\0\0\0\0\0{"):
        assert survive(magic + content)


@many
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(["u1", "<i2", "<f4", "<f8", "?"]),
            st.lists(st.integers(0, 4), max_size=4),
        ),
        max_size=6,
    )
)
def test_what_is_written_is_read(shapes):
    """As safetensors by hand: names, types and shapes of any kind."""
    head, payload, arrays = {}, b"", {}
    names = {"u1": "U8", "<i2": "I16", "<f4": "F32", "<f8": "F64", "?": "BOOL"}
    for name, (kind, shape) in shapes.items():
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.arange(count).reshape(shape).astype(kind)
        span = [len(payload), len(payload) + arrays[name].nbytes]
        head[name] = {"dtype": names[kind], "shape": shape, "data_offsets": span}
        payload += arrays[name].tobytes()
    content = safetensors_of(json.dumps(head).encode(), payload)

    loaded = open_tensors(MemoryFiles(file=content), "file", "numpy").load()

    assert set(loaded) == set(arrays)
    assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())
