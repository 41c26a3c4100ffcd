"""Objects in fsspec's memory, which stands for all storage behind URLs; files to be objects there."""

from __future__ import annotations

import datetime
import os
import uuid

import fsspec
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

BIG = os.urandom(3 << 20) * 3

FILES = {
    "a.txt": b"alpha",
    "empty": b"",
    "d/zeros": bytes(9 << 20),
    "d/big": BIG,
    "d/mid": os.urandom(2 << 20),
    "d/e/text": b"some text\n" * 5000,
    **{f"many/{number:03}": os.urandom(700) for number in range(100)},
}

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class MemoryBucket:
    """Objects in fsspec's memory, below a prefix of the test's own."""

    def __init__(self) -> None:
        self.filesystem: MemoryFileSystem = fsspec.filesystem("memory")
        self.name = f"urls-{uuid.uuid4().hex}"
        self.url = f"memory://{self.name}"

    def path(self, key: str) -> str:
        return f"/{self.name}/{key}"

    def put(self, key: str, content: bytes, written: datetime.datetime = LONG_AGO) -> None:
        file = MemoryFile(self.filesystem, self.path(key), content)
        file.created = written
        self.filesystem.store[self.path(key)] = file

    def put_all(self, prefix: str, files: dict[str, bytes]) -> str:
        """Put files below a prefix, and return its URL."""
        for path, content in files.items():
            self.put(f"{prefix}/{path}", content)
        return f"{self.url}/{prefix}"

    def delete(self, key: str) -> None:
        del self.filesystem.store[self.path(key)]

    def below(self, prefix: str) -> dict[str, bytes]:
        start = self.path(prefix) + "/"
        return {
            path.removeprefix(start): file.getvalue()
            for path, file in self.filesystem.store.items()
            if path.startswith(start)
        }
