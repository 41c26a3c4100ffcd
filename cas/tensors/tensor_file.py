"""Which format a file has, told by its first bytes, and what its header says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cas.tensors.gguf_header import GGUF_MAGIC, parse_gguf
from cas.tensors.npy_header import NPY_MAGIC, parse_npy
from cas.tensors.npz_directory import parse_npz
from cas.tensors.range_reader import RangeReader, malformed, pickled
from cas.tensors.safetensors_header import is_safetensors, parse_safetensors
from cas.tensors.stored_tensor import StoredTensor

TENSOR_SUFFIXES = (".safetensors", ".npy", ".npz", ".gguf")
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
_MAGIC_BYTES = 16
_PICKLE_START = b"\x80"
_ZIP_STARTS = (b"PK\3\4", b"PK\5\6")


@dataclass(frozen=True, slots=True)
class TensorFile:
    """The tensors of a file, in its order, and what it says of itself."""

    tensors: Sequence[StoredTensor]
    metadata: Mapping[str, Any]


def parse_file(reader: RangeReader) -> TensorFile:
    """Read the header of a file.

    Raises:
        InvalidInputError: it is of no format that is known here, or not as its format asks for.
        UnsupportedError: it is pickled, or has what is not read here.
        CasError: it cannot be read.
    """
    start = reader.read(0, min(_MAGIC_BYTES, reader.size))
    if start.startswith(GGUF_MAGIC):
        return TensorFile(*parse_gguf(reader))
    if start.startswith(NPY_MAGIC):
        name = reader.name.rpartition("/")[2].removesuffix(".npy")
        return TensorFile([parse_npy(reader, name)], {})
    if start.startswith(_ZIP_STARTS):
        return TensorFile(parse_npz(reader), {})
    if is_safetensors(start):
        return TensorFile(*parse_safetensors(reader))
    if start.startswith(_PICKLE_START) or reader.name.endswith(PICKLE_SUFFIXES):
        raise pickled(reader.name)
    raise malformed(reader.name, "it is no safetensors, .npy, .npz or GGUF file")
