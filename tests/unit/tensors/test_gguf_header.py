"""GGUF: what its own package writes is read, quantised blocks stay blocks, and lies are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from written_tensors import MemoryFiles, gguf_of, gguf_text

from cas.errors import InvalidInputError, UnsupportedError
from cas.tensors.shards import open_tensors

F32, Q8_0 = 0, 8
COUNTED = struct.pack("<IQ", 8, 1 << 60)


def opened(content):
    return open_tensors(MemoryFiles(file=content), "file", "numpy")


def test_what_its_package_writes_is_read(tmp_path):
    """Key-values of every kind, plain and quantised tensors."""
    gguf = pytest.importorskip("gguf")
    rng = np.random.default_rng(3)
    plain = {"a": rng.random((3, 64), np.float32), "b": np.arange(6, dtype=np.int32)}
    blocks = gguf.quantize(plain["a"], gguf.GGMLQuantizationType.Q8_0)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_uint32("small", 7)
    writer.add_array("words", ["one", "zwölf"])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_bool("yes", True)
    for name, array in plain.items():
        writer.add_tensor(name, array)
    writer.add_tensor("q", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    tensors = opened((tmp_path / "x.gguf").read_bytes())

    assert tensors.metadata["general.architecture"] == "llama"
    assert tensors.metadata["small"] == 7
    assert tensors.metadata["words"] == ["one", "zwölf"]
    assert tensors.metadata["numbers"].tolist() == [1, 2, 3]
    assert tensors.metadata["yes"] is True
    assert np.array_equal(tensors["a"], plain["a"])
    assert np.array_equal(tensors["b"], plain["b"])
    assert tensors.describe("q").dtype == "Q8_0"
    assert tensors.describe("q").shape == (3, 64)
    assert tensors.raw("q").tobytes() == blocks.tobytes()


def test_quantised_tensors_are_not_passed_off_as_numbers():
    """Their type is told, and their bytes are had by another name."""
    tensors = opened(gguf_of([], [("q", [32], Q8_0, 0)], bytes(range(34))))

    with pytest.raises(UnsupportedError, match="Q8_0: 32 elements share 34 bytes") as raised:
        tensors["q"]

    assert ".raw(name)" in (raised.value.hint or "")
    assert tensors.raw("q").tolist() == list(range(34))


@pytest.mark.parametrize("alignment", [8, 64])
def test_tensors_begin_where_the_alignment_says(alignment):
    """It is a key-value of the file; 32 if that is missing."""
    value = ("general.alignment", 4, struct.pack("<I", alignment))
    payload = np.array([1, 2], "<f4").tobytes()

    tensors = opened(gguf_of([value], [("a", [2], F32, 0)], payload, alignment=alignment))

    assert tensors["a"].tolist() == [1, 2]


def test_a_long_header_takes_few_reads():
    """Words of a tokenizer are megabytes."""
    words = b"".join(gguf_text(f"word {n}") for n in range(50_000))
    value = ("words", 9, struct.pack("<IQ", 8, 50_000) + words)
    files = MemoryFiles(file=gguf_of([value], []))

    tensors = open_tensors(files, "file", "numpy")

    assert len(tensors.metadata["words"]) == 50_000
    assert len(files.reads) < 8


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"GGUF", "ends early"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "too many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "too many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1000), "ends early"),
        (gguf_of([("a", 13, b"")], []), "type 13"),
        (gguf_of([("a", 9, COUNTED)], []), "elements"),
        (gguf_of([("a", 9, struct.pack("<IQ", 9, 1) * 9)], []), "nested"),
        (gguf_of([("a", 8, struct.pack("<Q", 1 << 62))], []), "string"),
        (gguf_of([("a", 0, b"1"), ("a", 0, b"1")], []), "twice"),
        (gguf_of([("general.alignment", 4, bytes(4))], []), "alignment"),
        (gguf_of([("general.alignment", 8, gguf_text("x"))], []), "alignment"),
        (gguf_of([], [("a", [2], 99, 0)], bytes(8)), "type 99"),
        (gguf_of([], [("a", [1] * 33, F32, 0)], bytes(8)), "dimensions"),
        (gguf_of([], [("a", [31], Q8_0, 0)], bytes(34)), "blocks"),
        (gguf_of([], [("a", [2], F32, 4)], bytes(16)), "aligned"),
        (gguf_of([], [("a", [2], F32, 64)], bytes(16)), "file's end"),
        (gguf_of([], [("a", [1 << 61], F32, 0)], bytes(16)), "memory"),
        (gguf_of([], [("a", [2], F32, 0), ("b", [2], F32, 0)], bytes(16)), "overlap"),
        (gguf_of([], [("a", [2], F32, 0), ("a", [2], F32, 32)], bytes(64)), "same name"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(content, says):
    """By an error that names the file and the rule."""
    with pytest.raises((InvalidInputError, UnsupportedError), match=says) as raised:
        opened(content)

    assert "file" in str(raised.value)
