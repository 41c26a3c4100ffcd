"""What the parsers need of a file, and what readers of tensors need of all files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cas.errors import ErrorCode, InvalidInputError, UnsupportedError

# What `safetensors` allows for a header, and enough for the words of any tokenizer in a GGUF.
MAXIMUM_HEADER_BYTES = 100_000_000
MAXIMUM_TENSORS = 1_000_000
MAXIMUM_DIMENSIONS = 32  # what every NumPy allows


class RangeReader(Protocol):
    """One file, read by range."""

    @property
    def name(self) -> str:
        """Its path, as errors name it."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`, which lie inside the file.

        Raises:
            CasError: they cannot be read.
        """

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several ranges, read together; raises as `read` does."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes `start` to `stop` of a file, and the zeroed buffer of that length that takes them."""

    path: str
    start: int
    stop: int
    buffer: memoryview


class TensorFiles(Protocol):
    """The files of a version or folder, by path."""

    def open(self, path: str) -> RangeReader:
        """Return a reader of a file.

        Raises:
            NotFoundError: there is none.
        """

    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder."""

    def list(self, folder: str) -> Sequence[str]:
        """Return the paths of the files that lie directly in a folder, in order."""

    def fill(self, parts: Sequence[FilePart]) -> None:
        """Read many ranges of many files, many at once.

        Raises:
            CasError: one of them cannot be read.
        """


class FileReader:
    """One file of several. See `RangeReader`."""

    def __init__(self, files: TensorFiles, name: str, size: int) -> None:
        self._files = files
        self.name = name
        self.size = size

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`."""
        return self.read_each([(start, stop)])[0]

    def read_each(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of several ranges, read together."""
        buffers = [bytearray(stop - start) for start, stop in ranges]
        parts = [
            FilePart(self.name, start, stop, memoryview(buffer))
            for (start, stop), buffer in zip(ranges, buffers, strict=True)
        ]
        self._files.fill(parts)
        return list(map(bytes, buffers))


def malformed(name: str, what: str) -> InvalidInputError:
    """Return the error for a file that is not what its format asks for."""
    return InvalidInputError(f"{name}: {what}", code=ErrorCode.MALFORMED_FILE)


def unsupported(name: str, what: str, hint: str | None = None) -> UnsupportedError:
    """Return the error for what a format allows and nobody here reads."""
    return UnsupportedError(f"{name}: {what}", code=ErrorCode.UNSUPPORTED_FORMAT, hint=hint)


def read_header(reader: RangeReader, start: int, stop: int, what: str) -> bytes:
    """Return bytes of a header, checked to lie in the file and within what headers may take.

    Raises:
        InvalidInputError: they do not.
        CasError: they cannot be read.
    """
    if stop > reader.size:
        raise malformed(reader.name, f"{what} ends at {stop:,}, after the file's {reader.size:,}")
    if stop - start > MAXIMUM_HEADER_BYTES:
        raise malformed(reader.name, f"{what} takes {stop - start:,} bytes, which is too many")
    return reader.read(start, stop)


def pickled(name: str) -> UnsupportedError:
    """Return the error for a file that only unpickling could read."""
    return unsupported(
        name,
        "it is pickled, and unpickling runs whatever a file says",
        hint="save it as safetensors: safetensors.torch.save_file(state_dict, ...)",
    )
