"""`.npy` and `.npz`: what NumPy writes is read, objects never are, and lies are refused."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from written_tensors import MemoryFiles, npy_of

from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.tensors.shards import open_tensors

RNG = np.random.default_rng(2)
RECORDS = np.array(
    [(1, 2.5, [1, 2]), (3, 4.5, [3, 4])], [("a", "<i4"), ("b", ">f8"), ("c", "<u2", (2,))]
)
ARRAYS = {
    "plain": RNG.random((4, 6)).astype("<f4"),
    "big": np.arange(12, dtype=">i4").reshape(3, 4),
    "fortran": np.asfortranarray(RNG.random((5, 3))),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 3), np.int16),
    "text": np.array(["one", "zwölf"]),
    "bytes": np.array([b"a", b"bc"]),
    "times": np.array(["2020-01-01", "2021-05-06"], "M8[D]"),
    "complex": (RNG.random(4) + 1j).astype("<c16"),
    "records": RECORDS,
    "bool": np.array([True, False]),
}


def saved(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def archive(save, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def one(content, name="x.npy"):
    return open_tensors(MemoryFiles(**{name: content}), name, "numpy")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_what_numpy_writes_is_read(name, version):
    """Every version of the header, every kind of type, both orders."""
    tensors = one(saved(ARRAYS[name], version))

    assert list(tensors) == ["x"]
    assert tensors["x"].dtype == ARRAYS[name].dtype
    assert tensors["x"].flags.writeable
    assert np.array_equal(tensors["x"], ARRAYS[name])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_are_read(save):
    """Stored and deflated members, all at once and one by one."""
    tensors = one(archive(save, **ARRAYS), "x.npz")

    loaded = tensors.load()

    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert tensors.describe(name).shape == array.shape
        assert np.array_equal(loaded[name], array)
        assert np.array_equal(tensors[name], array)
        assert loaded[name].flags.writeable


def test_one_stored_member_costs_its_bytes():
    """And the directory, and the heads of the members."""
    big = RNG.integers(0, 255, (3, 1 << 20), np.uint8)
    files = MemoryFiles(x=archive(np.savez, a=big[0], b=big[1], c=big[2]))

    tensors = open_tensors(files, "x", "numpy")
    opened = files.read_bytes
    array = tensors["b"]

    assert opened < 200 << 10
    assert files.read_bytes - opened == 1 << 20
    assert np.array_equal(array, big[1])


@pytest.mark.parametrize(
    "array", [np.array([{}, 1], object), np.zeros(2, [("a", "i4"), ("b", object)])]
)
def test_objects_are_refused_unread(array):
    """Reading them would be unpickling; beside them all else is read."""
    content = io.BytesIO()
    np.savez(content, good=np.arange(3), bad=array)
    alone, mixed = one(saved(array)), one(content.getvalue(), "x.npz")

    for tensors, name in ((alone, "x"), (mixed, "bad")):
        for ask in (tensors.__getitem__, tensors.get_slice):
            with pytest.raises(UnsupportedError, match="pickle") as raised:
                ask(name)
            assert raised.value.code is ErrorCode.UNSUPPORTED_FORMAT
        assert tensors.describe(name).dtype == "objects"
    assert mixed["good"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["x.pt", "pytorch_model.bin", "nameless"])
def test_pickles_are_refused_with_what_to_do(name):
    """Old ones and those in archives, whatever they are called."""
    plain = pickle.dumps({"a": 1})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", plain)

    for content in (plain, file.getvalue()):
        with pytest.raises(UnsupportedError, match="pickled") as raised:
            one(content, name)
        assert "safetensors" in (raised.value.hint or "")


def header(descr="'<f4'", order="False", shape="(2,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npy_of(header())[:7], "version 1, 2 or 3"),
        (npy_of(header(), version=(4, 0)), "version 1, 2 or 3"),
        (npy_of(header())[:20], "after the file's"),
        (npy_of(header(), bytes(7)), "follow the header"),
        (npy_of("{" * 900), "cannot be read"),
        (npy_of("-" * 60_000 + "1"), "cannot be read"),
        (npy_of("__import__('os').abort()"), "cannot be read"),
        (npy_of(header() + " " * (65 << 10), version=(2, 0)), "too many"),
        (npy_of("[]"), "no map"),
        (npy_of("{'descr': '<f4'}"), "no map"),
        (npy_of(header(order="0"), bytes(8)), "no bool"),
        (npy_of(header(shape="[2]"), bytes(8)), "no tuple"),
        (npy_of(header(shape="(-2,)"), bytes(8)), "length"),
        (npy_of(header(shape=f"({1 << 60},)"), bytes(8)), "memory"),
        (npy_of(header("'q9'"), bytes(8)), "none"),
        (npy_of(header("'<f5'"), bytes(8)), "none"),
        (npy_of(header("None"), bytes(8)), "none"),
        (npy_of(header("[]"), bytes(8)), "none"),
        (npy_of(header("[('a', '<f4'), ('a', '<f4')]"), bytes(16)), "none"),
        (npy_of(header("'i4,i4'"), bytes(16)), "none"),
        (npy_of(header("('<f4', (2147483647, 2147483647))"), bytes(16)), "none|follow"),
    ],
)
def test_an_array_that_breaks_a_rule_is_refused(content, says):
    """By an error that names the file and the rule."""
    with pytest.raises(InvalidInputError, match=says) as raised:
        one(content)

    assert "x.npy" in str(raised.value)


def test_headers_of_python_2_are_read():
    """It wrote lengths as 10L."""
    content = npy_of(header(shape="(2L,)"), np.array([1, 2], "<f4").tobytes())

    assert one(content)["x"].tolist() == [1, 2]


def patched(content, at, patch):
    return content[:at] + patch + content[at + len(patch) :]


def test_archives_that_lie_are_refused():
    """About sizes, places, checksums, methods and encryption; a bomb before it is inflated."""
    array = np.zeros(1 << 16, np.uint8)
    content = archive(np.savez_compressed, a=array)
    entry = content.rindex(b"PK\1\2")
    small = archive(np.savez, a=array[:8], b=array[:8])
    first, second = small.index(b"PK\1\2"), small.rindex(b"PK\1\2")

    lies = {
        "cannot hold": patched(content, entry + 24, struct.pack("<I", 1 << 30)),
        "directory says": patched(content, entry + 16, b"abcd"),
        "encrypted": patched(content, entry + 8, b"\1\0"),
        "not by deflate": patched(content, entry + 10, struct.pack("<H", 12)),
        "two sizes": patched(content, entry + 10, struct.pack("<H", 0)),
        "begin": patched(content, entry + 42, struct.pack("<I", 7)),
        "same name": small.replace(b"b.npy", b"a.npy"),
        "overlap": patched(small, second + 42, small[first + 42 : first + 46]),
        "cannot be read": content[:-30],
    }

    for says, lie in lies.items():
        with pytest.raises((InvalidInputError, UnsupportedError), match=says):
            one(lie, "x.npz").load()


def test_deflated_members_end_where_they_say():
    """Neither sooner nor later."""
    content = archive(np.savez_compressed, a=np.arange(9000))
    entry = content.rindex(b"PK\1\2")
    size = struct.unpack_from("<I", content, entry + 24)[0]

    for other in (size - 1, size + 1):
        with pytest.raises(InvalidInputError):
            one(patched(content, entry + 24, struct.pack("<I", other)), "x.npz").load()
