"""The files of a local folder as tensors are read from them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import path_to_bytes, path_to_text
from cas.tensors.range_reader import FilePart, FileReader
from cas.transfer.cutting import open_source, read_fully
from cas.transfer.file_chunks import FileChunks


class LocalFiles:
    """Regular files below a folder, or a file alone as the path "". See `TensorFiles`."""

    def __init__(self, folder: str) -> None:
        self._folder = os.fsencode(folder)

    def open(self, path: str) -> FileReader:
        """Return a reader of a file."""
        with self._opened(path) as descriptor:
            return FileReader(self, path, os.fstat(descriptor).st_size)

    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder."""
        return os.path.isdir(self._place(path))

    def list(self, folder: str) -> list[str]:
        """Return the paths of the files that lie directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        with os.scandir(self._place(folder)) as entries:
            found = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return sorted(prefix + path_to_text(name) for name in found)

    def chunks(self, _path: str, /) -> FileChunks | None:
        """Tell that it has none."""
        return None

    def fill(self, parts: Sequence[FilePart]) -> None:
        """Read many ranges of many files."""
        for one in parts:
            with self._opened(one.path) as descriptor:
                content = read_fully(descriptor, one.start, one.stop - one.start)
            if len(content) != len(one.buffer):
                raise InvalidInputError(
                    f"{one.path} became shorter while it was read", code=ErrorCode.SOURCE_CHANGED
                )
            one.buffer[:] = content

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        descriptor = open_source(self._place(path))
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _place(self, path: str) -> bytes:
        return os.path.join(self._folder, path_to_bytes(path)) if path else self._folder
