"""Files of tensors as the formats say, byte by byte, and files in memory to read them from."""

from __future__ import annotations

import json
import struct
from typing import Any

from cas.errors import ErrorCode, NotFoundError
from cas.tensors.range_reader import FileReader


class MemoryFiles:
    """Files by path, of which it is known how much was read."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = contents
        self.reads: list[tuple[str, int, int]] = []

    @property
    def read_bytes(self) -> int:
        return sum(stop - start for _, start, stop in self.reads)

    def open(self, path):
        if path not in self.contents:
            raise NotFoundError(path, code=ErrorCode.PATH_NOT_FOUND)
        return FileReader(self, path, len(self.contents[path]))

    def is_folder(self, path):
        return path not in self.contents

    def list(self, folder):
        return sorted(self.contents)

    def fill(self, parts):
        for one in parts:
            content = self.contents[one.path]
            assert 0 <= one.start <= one.stop <= len(content)
            self.reads.append((one.path, one.start, one.stop))
            one.buffer[:] = content[one.start : one.stop]


def reader_of(content: bytes, name: str = "file") -> FileReader:
    """Return a reader of these bytes."""
    return MemoryFiles(**{name: content}).open(name)


def safetensors_of(fields: Any, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a safetensors file with this header, which may be JSON text already."""
    header = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + payload


def npy_of(header: str, payload: bytes = b"", *, version: tuple[int, int] = (1, 0)) -> bytes:
    """Return a `.npy` file with this header."""
    text = header.encode("utf-8" if version == (3, 0) else "latin-1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + payload


def gguf_text(text: str) -> bytes:
    """Return a string of GGUF."""
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def gguf_of(
    values: list[tuple[str, int, bytes]],
    tensors: list[tuple[str, list[int], int, int]],
    payload: bytes = b"",
    *,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Return a GGUF file: values of key, type and bytes; tensors of name, lengths, type, offset."""
    content = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, kind, value in values:
        content += gguf_text(key) + struct.pack("<I", kind) + value
    for name, lengths, kind, offset in tensors:
        content += gguf_text(name) + struct.pack(f"<I{len(lengths)}Q", len(lengths), *lengths)
        content += struct.pack("<IQ", kind, offset)
    return content + bytes(-len(content) % alignment) + payload
