"""Tensors of two versions beside each other: what is told, and that only what differs is read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store
from written_tensors import gguf_of, safetensors_of

import cas
from cas.errors import UnsupportedError

RNG = np.random.default_rng(6)
BIG = 1 << 19  # elements of F32
LAYERS = {f"layer{n}": RNG.random(BIG, np.float32) for n in range(6)}
NAMES = {"<f4": "F32", "<i4": "I32", "<f8": "F64"}
# A chunk at either end of what changed, of each side, and what shares a frame with it.
NEAR = 4 * (512 << 10)


def model(arrays):
    head, at = {}, 0
    for name, array in arrays.items():
        span = [at, at + array.nbytes]
        head[name] = {
            "dtype": NAMES[array.dtype.str],
            "shape": [*array.shape],
            "data_offsets": span,
        }
        at += array.nbytes
    return safetensors_of(head, b"".join(array.tobytes() for array in arrays.values()))


@pytest.fixture
def put(tmp_path):
    """A function that puts files as the next version of `m` and returns its reference; the folder
    is an attribute, as is how a store that has nothing cached is opened.
    """
    backend = with_store(DistantBackend())
    folder = tmp_path / "folder"
    folder.mkdir()

    def put(**files):
        for old in folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        return open_on(backend).put(folder, "m", PLAIN).ref

    put.folder = folder
    put.reopen = lambda: open_on(backend)
    return put


def kinds(diff):
    return {
        (path, change.name): change.kind
        for file in diff.files
        for path, change in [(file.path, change) for change in file.changes]
    }


def changed(arrays, name, at, value):
    array = arrays[name].copy()
    array.reshape(-1)[at] = value
    return arrays | {name: array}


def test_every_kind_of_change_is_told(put):
    """Added, removed, reshaped, retyped, changed; the others are counted."""
    small = np.arange(6, dtype="<f4")
    old = {"a": small, "b": small, "c": small, "d": small, "e": small}
    new = {
        "a": small,
        "b": small.reshape(2, 3),
        "c": small.astype("<i4"),
        "d": small + np.array([0, 0, 0.5, 0, 0, 2], "<f4"),
        "f": small,
    }

    diff = open_diff(put, model(old), model(new))

    assert kinds(diff) == {
        ("x.safetensors", "b"): "reshaped",
        ("x.safetensors", "c"): "retyped",
        ("x.safetensors", "d"): "changed",
        ("x.safetensors", "e"): "removed",
        ("x.safetensors", "f"): "added",
    }
    ((_, change),) = diff.of_kind("changed")
    assert (change.changed_elements, change.elements, change.largest_difference) == (2, 6, 2.0)
    ((_, change),) = diff.of_kind("reshaped")
    assert (change.old_shape, change.new_shape) == ((6,), (2, 3))
    ((_, change),) = diff.of_kind("retyped")
    assert (change.old_dtype, change.new_dtype) == ("F32", "I32")
    assert diff.files[0].unchanged == 1
    assert not diff.is_empty
    assert "2 elements (33.3%), by 2 at most" in diff._repr_html_()
    assert "no differences" in cas.TensorDiff()._repr_html_()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (1, "1 element (under 0.1%)"),
        (5000, "5,000 elements (50.0%)"),
        (9999, "9,999 elements (over 99.9%)"),
        (10_000, "10,000 elements (100.0%)"),
    ],
)
def test_shares_are_0_or_100_percent_only_where_they_are(changed, told):
    """One of ten thousand is not none."""
    change = cas.TensorChange(
        kind="changed",
        name="x",
        new_dtype="F32",
        new_shape=(10_000,),
        elements=10_000,
        changed_elements=changed,
    )

    assert change.describe() == f"F32 [10000]  {told}"


def open_diff(put, old, new, name="x_safetensors"):
    refs = put(**{name: old}), put(**{name: new})
    return put.reopen().diff_tensors(*refs)


def test_only_what_differs_is_read(put):
    """Of 12 MiB a change of one element costs the chunks around it, and tables and headers."""
    old, new = (
        put(x_safetensors=model(LAYERS)),
        put(x_safetensors=model(changed(LAYERS, "layer3", BIG // 2, 9.0))),
    )
    store = put.reopen()

    diff = store.diff_tensors(old, new)

    assert kinds(diff) == {("x.safetensors", "layer3"): "changed"}
    assert diff.files[0].changes[0].changed_elements == 1
    assert diff.files[0].unchanged == 5
    assert 8 <= diff.read_bytes <= 2 * (256 << 10)
    assert store.requests.received_bytes < NEAR


def test_tensors_that_moved_in_their_file_are_not_read(put):
    """A longer header, or a new tensor before them, moves all the others."""
    first = {"first": RNG.random(70_001, np.float32)}
    old, new = put(x_safetensors=model(LAYERS)), put(x_safetensors=model(first | LAYERS))
    store = put.reopen()

    diff = store.diff_tensors(old, new)

    assert kinds(diff) == {("x.safetensors", "first"): "added"}
    assert diff.files[0].unchanged == 6
    assert store.requests.received_bytes < 2 * NEAR


def test_files_that_are_equal_or_moved_are_passed_over(put):
    """Not even their headers are read."""
    content = model(LAYERS)
    old = put(x_safetensors=content, b_txt=b"1")
    new = put(y_safetensors=content, b_txt=b"2")
    store = put.reopen()

    diff = store.diff_tensors(old, new)
    apart = store.diff_tensors(old, new, renames=False)

    assert diff == cas.TensorDiff()
    assert diff.is_empty
    assert set(kinds(apart).values()) == {"added", "removed"}


def test_a_model_that_was_sharded_anew_has_no_differences(put):
    """Tensors are found in the file that has them now; only one of them differs."""
    first, second = (dict(list(LAYERS.items())[part]) for part in (slice(0, 2), slice(2, 6)))
    old = put(model_safetensors=model(LAYERS))
    new = put(
        **{"1_safetensors": model(first), "2_safetensors": model(changed(second, "layer4", 5, 2.0))}
    )
    store = put.reopen()

    diff = store.diff_tensors(old, new)

    assert kinds(diff) == {("2.safetensors", "layer4"): "changed"}
    assert diff.files[1].changes[0].old_path == "model.safetensors"
    assert sum(file.unchanged for file in diff.files) == 5
    assert store.requests.received_bytes < 3 * NEAR


def test_zeros_on_both_sides_are_not_read(put):
    """Holes are equal, wherever the chunks around them end."""
    zeros = {"z": np.zeros(4 * BIG, np.float32)}

    diff = open_diff(put, model(zeros | {"a": LAYERS["layer0"][:9]}), model(zeros))

    assert kinds(diff) == {("x.safetensors", "a"): "removed"}
    assert diff.read_bytes < 1 << 20


def test_a_path_narrows_what_is_compared(put):
    """A file, or a folder."""
    small = LAYERS["layer0"][:1000]
    old = put(x_safetensors=model({"a": small}), y_safetensors=model({"a": small}))
    new = put(x_safetensors=model({"a": small + 1}), y_safetensors=model({"a": small + 1}))

    diff = put.reopen().diff_tensors(old, new, path="y.safetensors")

    assert kinds(diff) == {("y.safetensors", "a"): "changed"}


def saved(save, array):
    file = io.BytesIO()
    save(file, array)
    return file.getvalue()


def gguf(value):
    return gguf_of([], [("a", [32], 8, 0)], bytes(33) + value)


SQUARE = np.arange(12, dtype="<f4").reshape(3, 4)


@pytest.mark.parametrize(
    ("name", "old", "new", "count"),
    [
        ("x_npy", saved(np.save, SQUARE), saved(np.save, SQUARE + 1), 12),
        ("x_npy", saved(np.save, SQUARE), saved(np.save, np.asfortranarray(SQUARE)), 0),
        ("x_npy", saved(np.save, SQUARE), saved(np.save, SQUARE.astype(">f4")), 0),
        ("x_npz", saved(np.savez, SQUARE), saved(np.savez_compressed, SQUARE), 0),
        ("x_npz", saved(np.savez_compressed, SQUARE), saved(np.savez_compressed, SQUARE * 2), 11),
        ("x_gguf", gguf(b"1"), gguf(b"2"), 32),
    ],
)
def test_every_format_is_compared_by_what_it_means(put, name, old, new, count):
    """Order of bytes and dimensions, and compression, are no differences."""
    diff = open_diff(put, old, new, name)

    assert [change.changed_elements for _, change in diff.of_kind("changed")] == [count][:count]
    assert diff.files[0].unchanged == (0 if count else 1)


def test_what_cannot_be_told_is_listed(put):
    """Pickles and broken files are named, and the others compared."""
    small = LAYERS["layer0"][:1000]
    old = put(x_safetensors=model({"a": small}), y_npy=b"\x93NUMPY broken", z_pt=b"\x80\2")
    new = put(x_safetensors=model({"a": small + 1}), y_npy=b"\x93NUMPY other", z_pt=b"\x80\3")

    diff = put.reopen().diff_tensors(old, new)

    assert kinds(diff) == {("x.safetensors", "a"): "changed"}
    assert [path for path, _ in diff.skipped] == ["y.npy", "z.pt"]
    assert "pickled" in diff.skipped[1][1]


def test_a_folder_is_hashed_and_only_what_differs_is_fetched(put):
    """The version is the old side."""
    old = put(x_safetensors=model(LAYERS))
    new = changed(LAYERS, "layer2", 17, 3.0)
    (put.folder / "x.safetensors").write_bytes(model({"new": LAYERS["layer0"][:3]} | new))
    store = put.reopen()

    diff = store.diff_folder_tensors(old, put.folder)
    alone = store.diff_folder_tensors(old, put.folder / "x.safetensors")

    assert kinds(diff) == {
        ("x.safetensors", "new"): "added",
        ("x.safetensors", "layer2"): "changed",
    }
    assert kinds(alone) == kinds(diff)
    assert diff.files[0].unchanged == 5
    assert diff.files[0].changes[1].changed_elements == 1
    assert store.requests.received_bytes < 2 * NEAR


def test_a_url_is_refused(put):
    """With what to do instead."""
    old = put(x_safetensors=model({"a": SQUARE}))

    with pytest.raises(UnsupportedError) as raised:
        put.reopen().diff_folder_tensors(old, "s3://bucket/raw")

    assert "put" in (raised.value.hint or "")


@pytest.mark.parametrize("seed", range(6))
def test_any_edits_are_found(put, seed):
    """As many elements as NumPy finds, by as much."""
    rng = np.random.default_rng(seed)
    old = {f"t{n}": rng.random(int(rng.integers(0, 300_000)), np.float32) for n in range(8)}
    new = {name: array.copy() for name, array in old.items()}
    for name in rng.permutation(list(new))[:5]:
        size = len(new[name])
        for at in rng.integers(0, max(1, size), int(rng.integers(0, 4))):
            new[name][at : at + int(rng.integers(1, 50_000))] += np.float32(rng.random())

    diff = open_diff(put, model(old), model(new))

    found = {change.name: change for _, change in diff.of_kind("changed")}
    for name, before in old.items():
        count = int((before != new[name]).sum())
        assert (found[name].changed_elements if name in found else 0) == count
        if count:
            largest = np.abs(before.astype("f8") - new[name].astype("f8")).max()
            assert found[name].largest_difference == largest
