"""Headers of safetensors: what the library writes is read, and what breaks a rule is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from written_tensors import MemoryFiles, reader_of, safetensors_of

from cas.errors import ErrorCode, InvalidInputError, UnsupportedError
from cas.tensors.safetensors_header import parse_safetensors
from cas.tensors.shards import open_tensors


def field(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_what_the_library_writes_is_read():
    """Every type that NumPy has, scalars and empty tensors too."""
    save = pytest.importorskip("safetensors.numpy").save
    rng = np.random.default_rng(1)
    kinds = ["?", "u1", "i1", "<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<u8", "<i8", "<f8", "<c8"]
    wanted = {kind: (rng.random((3, 5)) * 9).astype(kind) for kind in kinds}
    wanted |= {"scalar": np.array(7, np.int64), "empty": np.zeros((0, 4), np.float32)}
    files = MemoryFiles(model=save(wanted, metadata={"format": "np"}))

    tensors = open_tensors(files, "model", "numpy")

    assert set(tensors) == set(wanted)
    assert tensors.metadata == {"format": "np"}
    for name, array in wanted.items():
        assert tensors[name].dtype == array.dtype
        assert np.array_equal(tensors[name], array)


def test_one_tensor_costs_the_header_and_its_bytes():
    """Nothing is read twice, and nothing of its neighbours."""
    payload = bytes(range(256)) * 1024
    head = {
        "a": field("U8", [100_000], [0, 100_000]),
        "b": field("U8", [162_144], [100_000, 262_144]),
    }
    files = MemoryFiles(model=safetensors_of(head, payload))

    tensors = open_tensors(files, "model", "numpy")
    opened = files.read_bytes
    array = tensors["a"]

    assert opened <= (64 << 10) + 16
    assert files.read_bytes - opened == 100_000
    assert array.tobytes() == payload[:100_000]


def test_a_long_header_is_read_on():
    """The first read takes no more than most headers have."""
    head = {f"a tensor with a long name {n:05}": field("U8", [1], [n, n + 1]) for n in range(3000)}
    files = MemoryFiles(model=safetensors_of(head, bytes(3000)))

    tensors = open_tensors(files, "model", "numpy")

    assert len(tensors) == 3000
    assert len(files.reads) == 3


def test_a_file_of_terabytes_is_read():
    """Sizes and offsets are what the file has, however large."""
    tera = 1 << 40
    head = {"a": field("U8", [tera], [0, tera]), "b": field("F64", [tera], [tera, 9 * tera])}
    reader = reader_of(safetensors_of(head) + bytes(64 << 10))
    reader.size += 9 * tera - (64 << 10)

    (first, second), _ = parse_safetensors(reader)

    assert (second.stop - second.start, second.start - first.start) == (8 * tera, tera)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no safetensors"),
        (b"\1\0\0", "no safetensors"),
        (safetensors_of({}, length=1 << 40), "no safetensors"),
        (safetensors_of({}, length=50_000_000), "does not fit"),
        (safetensors_of(b"{nonsense"), "JSON"),
        (safetensors_of(b'{"a":' * 100_000), "JSON"),
        (safetensors_of(b'{"a": 1' + b"0" * 5000 + b"}"), "JSON"),
        (safetensors_of(b'{"a": {}, "a": {}}'), "twice"),
        (safetensors_of({"a": 1}), "no map|by a map"),
        (safetensors_of({"__metadata__": 1}), "no map"),
        (safetensors_of({"a": {}}), "type None"),
        (safetensors_of({"a": field(shape="xy")}, bytes(8)), "length"),
        (safetensors_of({"a": field(shape=[-2])}, bytes(8)), "length"),
        (safetensors_of({"a": field(shape=[True, 2])}, bytes(8)), "length"),
        (safetensors_of({"a": field(shape=[2.0])}, bytes(8)), "length"),
        (safetensors_of({"a": field(shape=[1] * 33)}, bytes(8)), "dimensions"),
        (safetensors_of({"a": field(shape=[0, 1 << 62, 1 << 62], offsets=[0, 0])}), "memory"),
        (safetensors_of({"a": field(shape=[3])}, bytes(8)), "bytes, not those"),
        (safetensors_of({"a": field(offsets=[8, 0])}, bytes(8)), "bytes, not those"),
        (safetensors_of({"a": field(offsets=[0])}, bytes(8)), "no two offsets"),
        (safetensors_of({"a": field(offsets=[4, 12])}, bytes(12)), "gap"),
        (safetensors_of({"a": field(), "b": field()}, bytes(8)), "overlaps"),
        (safetensors_of({"a": field()}, bytes(7)), "file at"),
        (safetensors_of({"a": field()}, bytes(9)), "file at"),
        (safetensors_of({"a": field("F4", [3], [0, 1])}, bytes(1)), "bytes, not those"),
        (safetensors_of({"a": field("F33")}, bytes(8)), "'F33'"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(content, says):
    """By an error that names the file and the rule."""
    with pytest.raises((InvalidInputError, UnsupportedError), match=says) as raised:
        open_tensors(MemoryFiles(model=content), "model", "numpy")

    assert "model" in str(raised.value)
    assert raised.value.code in (ErrorCode.MALFORMED_FILE, ErrorCode.UNSUPPORTED_FORMAT)


def test_an_index_and_a_folder_are_all_their_shards():
    """As one mapping, whichever of them is named."""
    shards = {
        f"model-{n}.safetensors": safetensors_of({f"t{n}": field("U8", [1], [0, 1])}, bytes([n]))
        for n in range(3)
    }
    homes = {f"t{n}": f"model-{n}.safetensors" for n in range(3)}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": homes}).encode()}
    files = MemoryFiles(**shards, **index)

    by_index = open_tensors(files, "model.safetensors.index.json", "numpy")
    by_folder = open_tensors(files, "", "numpy")
    without_index = open_tensors(MemoryFiles(**shards), "", "numpy")

    for tensors in (by_index, by_folder, without_index):
        assert {name: int(array[0]) for name, array in tensors.load().items()} == {
            "t0": 0,
            "t1": 1,
            "t2": 2,
        }


@pytest.mark.parametrize("shard", ["../secret", "/etc/passwd", "a//b", "", "a\0b", "..", 7, None])
def test_an_index_names_only_what_lies_beside_it(shard):
    """Whatever else it names is not even looked for."""
    files = MemoryFiles(
        **{"m.safetensors.index.json": json.dumps({"weight_map": {"a": shard}}).encode()}
    )

    with pytest.raises(InvalidInputError, match="no file beside"):
        open_tensors(files, "m.safetensors.index.json", "numpy")


def test_an_index_that_lies_is_refused():
    """A tensor that its shard does not have."""
    shard = safetensors_of({"a": field("U8", [1], [0, 1])}, b"1")
    index = json.dumps({"weight_map": {"b": "s"}}).encode()

    with pytest.raises(InvalidInputError, match="no tensor 'b'"):
        open_tensors(
            MemoryFiles(s=shard, **{"i.safetensors.index.json": index}),
            "i.safetensors.index.json",
            "numpy",
        )


def test_two_files_with_the_same_tensor_are_told():
    """Rather than one of them left out."""
    shard = safetensors_of({"a": field("U8", [1], [0, 1])}, b"1")

    with pytest.raises(InvalidInputError, match=r"x\.safetensors and y\.safetensors both"):
        open_tensors(MemoryFiles(**{"x.safetensors": shard, "y.safetensors": shard}), "", "numpy")


def test_tensors_are_in_the_order_of_their_bytes():
    """So that a loop over a mapping reads forward."""
    head = {"z": field("U8", [1], [1, 2]), "y": field("U8", [1], [0, 1])}

    tensors, _ = parse_safetensors(reader_of(safetensors_of(head, b"12")))

    assert [one.name for one in tensors] == ["y", "z"]
