"""Tensors by name: which are chosen, how many bytes slices cost, and that they are as of NumPy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from written_tensors import MemoryFiles, safetensors_of

from cas.tensors.shards import open_tensors

CUBE = np.arange(60, dtype="<i4").reshape(5, 4, 3)
INDICES = [
    np.s_[2],
    np.s_[-1],
    np.s_[1:3],
    np.s_[:],
    np.s_[::2],
    np.s_[::-2],
    np.s_[3:1],
    np.s_[4:0:-3],
    np.s_[1:9, 2],
    np.s_[1:3, ::-1, 0],
    np.s_[...],
    np.s_[..., 1],
    np.s_[None],
    np.s_[()],
    np.s_[[0, 2]],
    np.s_[np.int64(3)],
]


def stored(array, name="a"):
    head = {name: {"dtype": "I32", "shape": list(array.shape), "data_offsets": [0, array.nbytes]}}
    return safetensors_of(head, array.tobytes())


@pytest.fixture
def layers():
    """Four scalars with the names of a small model."""
    names = ["layers.0.bias", "layers.0.weight", "layers.1.weight", "head"]
    head = {
        name: {"dtype": "U8", "shape": [], "data_offsets": [at, at + 1]}
        for at, name in enumerate(names)
    }
    return open_tensors(MemoryFiles(model=safetensors_of(head, b"0123")), "model", "numpy")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (None, {"layers.0.bias", "layers.0.weight", "layers.1.weight", "head"}),
        ("layers.0.*", {"layers.0.bias", "layers.0.weight"}),
        ("*.weight", {"layers.0.weight", "layers.1.weight"}),
        ("head", {"head"}),
        ("tail*", set()),
        (["head", "layers.1.weight", "head"], {"head", "layers.1.weight"}),
        (iter(["head"]), {"head"}),
        ([], set()),
    ],
)
def test_names_and_patterns_choose(layers, names, found):
    """All, by pattern, or those of a list, each once."""
    assert set(layers.load(names)) == found


def test_a_name_that_there_is_not_is_a_key_error(layers):
    """As of any mapping."""
    for ask in (layers.__getitem__, layers.describe, layers.raw, layers.get_slice):
        with pytest.raises(KeyError):
            ask("tail")
    with pytest.raises(KeyError):
        layers.load(["head", "tail"])
    assert "tail" not in layers
    assert layers.get("tail") is None


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_slices_are_what_indexing_the_array_gives(index):
    """Whether rows are read or all of it."""
    fortran = io.BytesIO()
    np.save(fortran, np.asfortranarray(CUBE))
    deflated = io.BytesIO()
    np.savez_compressed(deflated, a=CUBE)
    files = MemoryFiles(model=stored(CUBE), **{"a.npy": fortran.getvalue()}, z=deflated.getvalue())

    for path in files.contents:
        tensors = open_tensors(files, path, "numpy")
        assert np.array_equal(tensors.get_slice("a")[index], CUBE[index])


@pytest.mark.parametrize(("index", "rows"), [(2, 1), (np.s_[1:3], 2), (np.s_[1:5:2, 1:], 3)])
def test_a_slice_costs_its_rows(index, rows):
    """And nothing else."""
    files = MemoryFiles(model=stored(CUBE))
    lazy = open_tensors(files, "model", "numpy").get_slice("a")
    before = files.read_bytes

    lazy[index]

    assert files.read_bytes - before == rows * CUBE[0].nbytes
    assert lazy.shape == (5, 4, 3)
    assert lazy.dtype == "I32"


def test_a_row_beyond_the_end_is_an_index_error():
    """As of any sequence."""
    lazy = open_tensors(MemoryFiles(model=stored(CUBE)), "model", "numpy").get_slice("a")

    with pytest.raises(IndexError):
        lazy[5]


def test_a_notebook_shows_what_there_is(layers):
    """Names, types and shapes, escaped; nothing is read."""
    evil = open_tensors(MemoryFiles(model=stored(CUBE, "<evil>\u202e")), "model", "numpy")

    assert "layers.0.bias" in layers._repr_html_()
    assert "4 tensors" in layers._repr_html_()
    assert "[5, 4, 3]" in evil._repr_html_()
    assert "<evil>" not in evil._repr_html_()
    assert "\u202e" not in evil._repr_html_()


def test_arrays_are_nobody_elses(layers):
    """Writing to one changes no other that is read."""
    first = layers["head"]
    first[...] = 9

    assert layers["head"] == ord("3")
