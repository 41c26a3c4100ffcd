"""The files of a version as tensors are read from them: by range, many ranges by one plan."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from cas.model.entry import EntryKind, path_to_bytes
from cas.objects.parts import StoreParts
from cas.operations.pinned import PinnedVersion
from cas.operations.read_file import find_file, open_content, range_tools
from cas.operations.version_pages import file_content
from cas.tensors.mapping import Tensors
from cas.tensors.range_reader import FilePart, FileReader
from cas.tensors.shards import open_tensors
from cas.transfer.file_chunks import FileChunks, chunks_of
from cas.transfer.ranges import WantedRange, fill_ranges
from cas.transfer.reading import ContentReader

# Files are compared one after another; 64 bytes a chunk are a thousandth of a file.
_KEPT_FILES = 8


def read_tensors(parts: StoreParts, version: PinnedVersion, path: str, framework: str) -> Tensors:
    """Return the tensors of a file, folder or index of shards; raises as `open_tensors` does."""
    return open_tensors(VersionFiles(parts, version), path.strip("/"), framework)


class VersionFiles:
    """The files of a version, each opened once. See `TensorFiles`. Thread-safe."""

    def __init__(self, parts: StoreParts, version: PinnedVersion) -> None:
        self._parts = parts
        self._version = version
        self._lock = threading.Lock()
        self._readers: dict[str, ContentReader] = {}
        self._chunks: dict[str, FileChunks | None] = {}

    def open(self, path: str) -> VersionFile:
        """Return a reader of a file; links inside the version are followed."""
        return VersionFile(self, path, self.reader(path))

    def reader(self, path: str) -> ContentReader:
        """Return a reader of a file that knows where its bytes lie."""
        with self._lock:
            reader = self._readers.get(path)
        if reader is None:
            reader = open_content(self._parts, self._version, path)
            with self._lock:
                reader = self._readers.setdefault(path, reader)
        return reader

    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder."""
        for entry in self._version.pages.iter_entries(path_to_bytes(path)):
            return entry.path != path or entry.kind is EntryKind.DIRECTORY
        return not path

    def list(self, folder: str) -> list[str]:
        """Return the paths of the files and links that lie directly in a folder."""
        below = f"{folder}/" if folder else ""
        return [
            entry.path
            for entry in self._version.pages.iter_entries(path_to_bytes(folder))
            if entry.kind is not EntryKind.DIRECTORY and "/" not in entry.path[len(below) :]
        ]

    def chunks(self, path: str, /) -> FileChunks | None:
        """Return the chunks of a file; those of a few files are kept."""
        with self._lock:
            if path in self._chunks:
                return self._chunks[path]
        found = self._version.pages.following_moves(lambda: self._read_chunks(path))
        with self._lock:
            self._chunks[path] = found
            while len(self._chunks) > _KEPT_FILES:
                del self._chunks[next(iter(self._chunks))]
        return found

    def _read_chunks(self, path: str) -> FileChunks | None:
        content = file_content(*find_file(self._version, path))
        return chunks_of(self._parts.tables, content)

    def fill(self, parts: Sequence[FilePart]) -> None:
        """Read many ranges of many files, by one plan."""
        wanted = [WantedRange(self.reader(one.path).content, one.start, one.stop) for one in parts]
        failed = fill_ranges(wanted, [one.buffer for one in parts], range_tools(self._parts))
        for number in failed:
            # Once more by itself: the file may have been moved, or only a neighbour be damaged.
            one = parts[number]
            one.buffer[:] = self.reader(one.path).read(one.start, one.stop)


class VersionFile(FileReader):
    """One of them. See `RangeReader`."""

    def __init__(self, files: VersionFiles, path: str, reader: ContentReader) -> None:
        super().__init__(files, path, reader.size)
        self._reader = reader

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`; what is near them is kept for the next such read."""
        return self._reader.read(start, stop)
